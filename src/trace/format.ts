/**
 * The format `smp-trace/1`: a trace as bytes, for comparing two runs and for keeping one.
 *
 *     0   the name, 11 bytes of ASCII, and a zero
 *     12  bytes of this header
 *     16  CPUs of the machine
 *     20  events that follow
 *     24  events that did not fit the machine's rings
 *     28  bytes of the JSON that says more about the trace; 0: there is none, and the header is 32 bytes
 *     32  if there is: FNV-1a of all bytes but these four
 *     36  0
 *     40  the JSON, UTF-8, filled up with spaces to a multiple of four
 *     then the events in machine order, eight words each:
 *           sequence, type | pid << 8, cpu | context << 8 | depth << 16, a, b, c, d, 0
 *
 * All numbers are unsigned 32-bit, least significant byte first, whatever the host.
 */
import { SmplabError } from '#base/errors';
import { EVENT_WORDS, type EventType, type TraceEvent } from './events.ts';

export const TRACE_FORMAT = 'smp-trace/1';

const NAME_BYTES = 12;
const HEADER_BYTES = 32;
/** Where the JSON begins, in a header that has any. */
const ABOUT_AT = 40;
const EVENT_BYTES = EVENT_WORDS * 4;

const Header = { BYTES: 12, CPUS: 16, EVENTS: 20, LOST: 24, ABOUT_BYTES: 28, CHECK: 32 } as const;

export interface Trace {
  readonly cpus: number;
  /** In machine order. */
  readonly events: readonly TraceEvent[];
  /** Events that were counted and not kept. */
  readonly lost: number;
  /** What else is known: names, log, findings. Becomes JSON, and is not looked into here. */
  readonly about?: object;
}

export function encodeTrace({ cpus, events, lost, about }: Trace): Uint8Array {
  const json = new TextEncoder().encode(about === undefined ? '' : JSON.stringify(about));
  const header = about === undefined ? HEADER_BYTES : ABOUT_AT + Math.ceil(json.length / 4) * 4;
  const bytes = new Uint8Array(header + events.length * EVENT_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(TRACE_FORMAT));
  const write = (at: number, ...words: readonly number[]): void => {
    for (const [index, word] of words.entries()) view.setUint32(at + index * 4, word, true);
  };
  write(Header.BYTES, header, cpus, events.length, lost, json.length);
  for (const [index, event] of events.entries()) {
    const { sequence, type, pid, cpu, context, depth, a, b, c, d } = event;
    const where = cpu | (context << 8) | (depth << 16);
    write(header + index * EVENT_BYTES, sequence, type | (pid << 8), where, a, b, c, d);
  }
  if (about === undefined) return bytes;
  bytes.fill(SPACE, ABOUT_AT, header);
  bytes.set(json, ABOUT_AT);
  write(Header.CHECK, checkOf(bytes));
  return bytes;
}

const SPACE = 0x20;
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

function checkOf(bytes: Uint8Array): number {
  let hash = FNV_OFFSET;
  for (const [at, byte] of bytes.entries()) {
    const isItself = at >= Header.CHECK && at < Header.CHECK + 4;
    if (!isItself) hash = Math.imul(hash ^ byte, FNV_PRIME);
  }
  return hash >>> 0;
}

function refuse(message: string): never {
  throw new SmplabError('SMPLAB_BAD_USAGE', message);
}

/** @throws SmplabError SMPLAB_BAD_USAGE for bytes that are no trace of this version, or not a whole one */
export function decodeTrace(bytes: Uint8Array): Trace {
  const name = new TextDecoder().decode(bytes.subarray(0, NAME_BYTES));
  if (name !== `${TRACE_FORMAT}\0` || bytes.length < HEADER_BYTES) {
    refuse(`not a trace: expected the format ${TRACE_FORMAT}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at: number): number => view.getUint32(at, true);
  const header = word(Header.BYTES);
  const count = word(Header.EVENTS);
  const expected = header + count * EVENT_BYTES;
  if (header < HEADER_BYTES || bytes.length !== expected) {
    refuse(`the trace has ${bytes.length} bytes: expected ${expected} by its header`);
  }
  const about = aboutOf(bytes, word, header);
  const events = Array.from({ length: count }, (_, index): TraceEvent => {
    const at = header + index * EVENT_BYTES;
    const what = word(at + 4);
    const where = word(at + 8);
    return {
      sequence: word(at),
      type: (what & 0xff) as EventType,
      pid: what >>> 8,
      cpu: where & 0xff,
      context: (where >>> 8) & 0xff,
      depth: where >>> 16,
      a: word(at + 12),
      b: word(at + 16),
      c: word(at + 20),
      d: word(at + 24),
    };
  });
  return {
    cpus: word(Header.CPUS),
    events,
    lost: word(Header.LOST),
    ...(about === undefined ? {} : { about }),
  };
}

function aboutOf(bytes: Uint8Array, word: (at: number) => number, header: number): object | undefined {
  const length = word(Header.ABOUT_BYTES);
  if (length === 0) return undefined;
  if (header < ABOUT_AT + length || checkOf(bytes) !== word(Header.CHECK)) {
    refuse('the trace is damaged: its bytes are not those that were written');
  }
  try {
    const about: unknown = JSON.parse(new TextDecoder().decode(bytes.subarray(ABOUT_AT, ABOUT_AT + length)));
    if (typeof about === 'object' && about !== null) return about;
  } catch {
    // Told below, with the other case.
  }
  return refuse('the trace is damaged: what it says about itself cannot be read');
}
