/**
 * The format `smp-trace/1`: a trace as bytes, for comparing two runs and for keeping one.
 *
 *     0   the name, 11 bytes of ASCII, and a zero
 *     12  bytes of this header: 32
 *     16  CPUs of the machine
 *     20  events that follow
 *     24  events that did not fit the machine's rings
 *     28  0
 *     32  the events in machine order, eight words each:
 *           sequence, type | pid << 8, cpu | context << 8 | depth << 16, a, b, c, d, 0
 *
 * All numbers are unsigned 32-bit, least significant byte first, whatever the host.
 */
import { SmplabError } from '#base/errors';
import { EVENT_WORDS, type EventType, type TraceEvent } from './events.ts';

export const TRACE_FORMAT = 'smp-trace/1';

const NAME_BYTES = 12;
const HEADER_BYTES = 32;
const EVENT_BYTES = EVENT_WORDS * 4;

export interface Trace {
  readonly cpus: number;
  /** In machine order. */
  readonly events: readonly TraceEvent[];
  /** Events that were counted and not kept. */
  readonly lost: number;
}

export function encodeTrace({ cpus, events, lost }: Trace): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + events.length * EVENT_BYTES);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode(TRACE_FORMAT));
  const write = (at: number, ...words: readonly number[]): void => {
    for (const [index, word] of words.entries()) view.setUint32(at + index * 4, word, true);
  };
  write(NAME_BYTES, HEADER_BYTES, cpus, events.length, lost);
  for (const [index, event] of events.entries()) {
    const { sequence, type, pid, cpu, context, depth, a, b, c, d } = event;
    const where = cpu | (context << 8) | (depth << 16);
    write(HEADER_BYTES + index * EVENT_BYTES, sequence, type | (pid << 8), where, a, b, c, d);
  }
  return bytes;
}

/** @throws SmplabError SMPLAB_BAD_USAGE for bytes that are no trace of this version, or not a whole one */
export function decodeTrace(bytes: Uint8Array): Trace {
  const name = new TextDecoder().decode(bytes.subarray(0, NAME_BYTES));
  if (name !== `${TRACE_FORMAT}\0` || bytes.length < HEADER_BYTES) {
    throw new SmplabError('SMPLAB_BAD_USAGE', `not a trace: expected the format ${TRACE_FORMAT}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at: number): number => view.getUint32(at, true);
  const header = word(NAME_BYTES);
  const count = word(20);
  const expected = header + count * EVENT_BYTES;
  if (header < HEADER_BYTES || bytes.length !== expected) {
    throw new SmplabError(
      'SMPLAB_BAD_USAGE',
      `the trace has ${bytes.length} bytes: expected ${expected} by its header`,
    );
  }
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
  return { cpus: word(16), events, lost: word(24) };
}
