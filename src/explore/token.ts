/**
 * A failing schedule as a short printable string, `smp1:SCENARIO:PAYLOAD`. SCENARIO is its name or path, with everything
 * but letters, digits and `._/-` as %XX of UTF-8. PAYLOAD is base64url of
 *
 *     smplab's version      three varints, or 0x7f and a counted string for a version of another form
 *     image hash            4 bytes: kernel symbols and memory layout
 *     scenario hash         4 bytes: of its content
 *     CPUs                  varint
 *     flags                 byte: 1 intel, 2 tso, 4 step limit follows (varint), 8 hash of other options follows (4 bytes),
 *                           16 injected faults follow (a counted string: machine/fault-text.ts)
 *     log digest            4 bytes: of what every step did (schedule.ts)
 *     schedule              (below)
 *     checkpoints           min(segments, 16) half bytes: of the digest at the end of evenly spread segments
 *     check                 4 bytes: CRC-32 of everything in the token before it, the readable part included
 *
 * The schedule is a counted table of actors in the order they first go, the number of its segments, and for each segment
 * one varint: 1 + (steps - 1) * (actors - 1) + which of the other actors it is. A varint 0 repeats: a period and a number
 * of segments to copy from so far back. That keeps a livelock of a million switches as short as one round of it.
 *
 * A CRC-32 finds every burst of up to 32 bits, and one changed character is a burst of at most 8: never accepted.
 */
import { SmplabError } from '#base/errors';
import type { Segment } from './executor.ts';
import { ByteReader, ByteWriter, crc32 } from './token-bytes.ts';
import { readSchedule, writeSchedule } from './token-schedule.ts';

export const TOKEN_FORMAT = 'smp1';

/** What a schedule belongs to: it means nothing elsewhere. */
export interface TokenIdentity {
  /** smplab's own version */
  readonly version: string;
  /** 32 bits: hash of the kernel's symbols and memory layout */
  readonly imageHash: number;
  /** Id in the gallery, or path: how a replay finds it. */
  readonly scenario: string;
  /** 32 bits: hash of what the scenario says */
  readonly scenarioHash: number;
  readonly cpus: number;
  readonly vendor: 'amd' | 'intel';
  readonly memoryModel: 'sc' | 'tso';
  /** Steps after which a run counts as a livelock; 0: the limit that is built in. */
  readonly stepsMax?: number;
  /** 32 bits: hash of all other configuration that matters; 0: as the scenario has it. */
  readonly optionsHash?: number;
  /** Injected faults and what their chance starts from, as text; not given: none. */
  readonly faults?: string | undefined;
}

export interface Token extends TokenIdentity {
  /** The whole run, from its first step to its last. */
  readonly schedule: readonly Segment[];
  /** 32 bits: logDigest() of the run */
  readonly logDigest: number;
  /** Four bits each: see checkpointSegments(). */
  readonly checkpoints: readonly number[];
}

const CHECKPOINTS_MAX = 16;
const Flag = { INTEL: 1, TSO: 2, STEPS_MAX: 4, OPTIONS: 8, FAULTS: 16 } as const;
const OTHER_VERSION = 0x7f;

/** Numbers of the segments at whose end the digest is noted: all of a short schedule, 16 evenly spread ones of a long. */
export function checkpointSegments(segments: number): number[] {
  const count = Math.min(segments, CHECKPOINTS_MAX);
  return Array.from({ length: count }, (_, at) => Math.floor(((at + 1) * segments) / count) - 1);
}

function readable(scenario: string): string {
  return encodeURIComponent(scenario)
    .replaceAll('%2F', '/')
    .replaceAll(/[!'()*~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The check covers the readable part as bytes before the payload. */
function checkOf(head: string, payload: Uint8Array): number {
  return crc32(payload, crc32(new TextEncoder().encode(head)));
}

export function encodeToken(token: Token): string {
  const bytes = new ByteWriter();
  writeVersion(bytes, token.version);
  bytes.word(token.imageHash);
  bytes.word(token.scenarioHash);
  bytes.varint(token.cpus);
  const stepsMax = token.stepsMax ?? 0;
  const optionsHash = token.optionsHash ?? 0;
  bytes.byte(
    (token.vendor === 'intel' ? Flag.INTEL : 0) |
      (token.memoryModel === 'tso' ? Flag.TSO : 0) |
      (stepsMax === 0 ? 0 : Flag.STEPS_MAX) |
      (optionsHash === 0 ? 0 : Flag.OPTIONS) |
      (token.faults === undefined ? 0 : Flag.FAULTS),
  );
  if (stepsMax !== 0) bytes.varint(stepsMax);
  if (optionsHash !== 0) bytes.word(optionsHash);
  if (token.faults !== undefined) writeText(bytes, token.faults);
  bytes.word(token.logDigest);
  writeSchedule(bytes, token.schedule);
  writeHalves(bytes, token.checkpoints);
  const head = `${TOKEN_FORMAT}:${readable(token.scenario)}:`;
  bytes.word(checkOf(head, bytes.written()));
  return head + Buffer.from(bytes.written()).toString('base64url');
}

/**
 * @param here what is about to run it; without it the token is only taken apart, so that its scenario can be found
 * @throws SmplabError SMPLAB_BAD_TOKEN for text that is no whole token of this format, and for one that is not from `here`
 */
export function decodeToken(text: string, here?: TokenIdentity): Token {
  const parts = /^([a-z]+)(\d+):([\w.%/-]*):([\w-]*)$/.exec(text.trim());
  if (parts === null) throw bad('damaged', `expected ${TOKEN_FORMAT}:SCENARIO:LETTERS, got ${quoted(text)}`);
  const [, name, version, scenario, letters] = parts as unknown as [string, string, string, string, string];
  if (`${name}${version}` !== TOKEN_FORMAT) {
    throw bad('of another format', `expected ${TOKEN_FORMAT}, got ${name}${version}`);
  }
  const payload = Buffer.from(letters, 'base64url');
  // Bits of the last letter that no byte uses: the CRC does not see them.
  if (payload.length < 4 || payload.toString('base64url') !== letters) {
    throw bad('damaged', 'its letters are not those of whole bytes: was it copied whole?');
  }
  const body = payload.subarray(0, -4);
  const check = new ByteReader(payload.subarray(-4)).word();
  const found = checkOf(`${TOKEN_FORMAT}:${scenario}:`, body);
  if (check !== found) {
    throw bad('damaged', `expected check ${hex(check)}, got ${hex(found)}: was it copied whole?`);
  }
  const token = readToken(new ByteReader(body), decodeURIComponent(scenario));
  if (here !== undefined) checkTokenFits(token, here);
  return token;
}

function readToken(bytes: ByteReader, scenario: string): Token {
  const version = readVersion(bytes);
  const imageHash = bytes.word();
  const scenarioHash = bytes.word();
  const cpus = bytes.varint();
  const flags = bytes.byte();
  const stepsMax = (flags & Flag.STEPS_MAX) === 0 ? 0 : bytes.varint();
  const optionsHash = (flags & Flag.OPTIONS) === 0 ? 0 : bytes.word();
  const faults = (flags & Flag.FAULTS) === 0 ? undefined : readText(bytes);
  const logDigest = bytes.word();
  const schedule = readSchedule(bytes);
  const checkpoints = readHalves(bytes, checkpointSegments(schedule.length).length);
  if (bytes.left !== 0) throw bad('damaged', `expected its end, got ${bytes.left} bytes more`);
  return {
    version,
    imageHash,
    scenario,
    scenarioHash,
    cpus,
    vendor: (flags & Flag.INTEL) === 0 ? 'amd' : 'intel',
    memoryModel: (flags & Flag.TSO) === 0 ? 'sc' : 'tso',
    stepsMax,
    optionsHash,
    ...(faults === undefined ? {} : { faults }),
    schedule,
    logDigest,
    checkpoints,
  };
}

/**
 * Refuses a token that was made by something else than what is about to run it.
 * @throws SmplabError SMPLAB_BAD_TOKEN with the first thing that differs, expected and got
 */
export function checkTokenFits(token: TokenIdentity, here: TokenIdentity): void {
  const differs = (what: string, made: unknown, now: unknown, mend: string): void => {
    if (made !== now)
      throw bad(`from another ${what}`, `made with ${String(made)}, got ${String(now)}; ${mend}`);
  };
  differs('version', token.version, here.version, `use smplab ${token.version}, or replay --tolerant`);
  differs('scenario', token.scenario, here.scenario, 'name the scenario it was made with');
  const edited = `${token.scenario} was edited since: replay --tolerant`;
  differs('state of its scenario', hex(token.scenarioHash), hex(here.scenarioHash), edited);
  // After the scenario: what that declares is part of the image.
  differs(
    'kernel image',
    hex(token.imageHash),
    hex(here.imageHash),
    'the kernel sources differ: replay --tolerant',
  );
  const set = 'set it as it was';
  differs('configuration', `cpus=${token.cpus}`, `cpus=${here.cpus}`, set);
  differs('configuration', `vendor=${token.vendor}`, `vendor=${here.vendor}`, set);
  differs('configuration', `memory-model=${token.memoryModel}`, `memory-model=${here.memoryModel}`, set);
  differs('configuration', `steps-max=${token.stepsMax ?? 0}`, `steps-max=${here.stepsMax ?? 0}`, set);
  differs('configuration', `faults ${token.faults ?? 'none'}`, `faults ${here.faults ?? 'none'}`, set);
  const [made, now] = [token.optionsHash ?? 0, here.optionsHash ?? 0];
  differs('configuration', `options ${hex(made)}`, `options ${hex(now)}`, set);
}

function bad(how: string, detail: string): SmplabError {
  return new SmplabError('SMPLAB_BAD_TOKEN', `the token is ${how}: ${detail}`);
}

function hex(word: number): string {
  return `0x${(word >>> 0).toString(16).padStart(8, '0')}`;
}

function quoted(text: string): string {
  return text.length <= 40 ? `'${text}'` : `'${text.slice(0, 37)}...'`;
}

function writeVersion(bytes: ByteWriter, version: string): void {
  const numbers = /^(\d+)\.(\d+)\.(\d+)$/.exec(version)?.slice(1).map(Number);
  if (numbers !== undefined && numbers[0]! < OTHER_VERSION && numbers.join('.') === version) {
    for (const number of numbers) bytes.varint(number);
    return;
  }
  bytes.byte(OTHER_VERSION);
  writeText(bytes, version);
}

function writeText(bytes: ByteWriter, text: string): void {
  const encoded = new TextEncoder().encode(text);
  bytes.varint(encoded.length);
  for (const byte of encoded) bytes.byte(byte);
}

function readText(bytes: ByteReader): string {
  const text = Uint8Array.from({ length: bytes.countOfBytes() }, () => bytes.byte());
  return new TextDecoder().decode(text);
}

function readVersion(bytes: ByteReader): string {
  const first = bytes.varint();
  if (first !== OTHER_VERSION) return `${first}.${bytes.varint()}.${bytes.varint()}`;
  return readText(bytes);
}

function writeHalves(bytes: ByteWriter, halves: readonly number[]): void {
  for (let at = 0; at < halves.length; at += 2) bytes.byte((halves[at]! & 15) | ((halves[at + 1] ?? 0) << 4));
}

function readHalves(bytes: ByteReader, count: number): number[] {
  const packed = Array.from({ length: Math.ceil(count / 2) }, () => bytes.byte());
  return Array.from({ length: count }, (_, at) => (packed[at >> 1]! >>> ((at & 1) * 4)) & 15);
}
