/**
 * A schedule by the names of its operations, so that it can be followed through edited code: each segment lasts until its
 * actor has done what its last step did (`the 2nd store of counter in increment`), however many steps that takes now.
 *
 * Occurrences count from the start of a segment and not of the run: an edit then shifts only the segment it is in.
 * Beside a token stands this as its long form, `TOKEN+NAMES`: NAMES is base64url of a counted table of strings, and for each
 * segment actor, type, site, variable (numbers of strings) and occurrence, all varints, and a CRC-32 of it all.
 */
import type { Actor } from '#base/strategy';
import { type LogNames, type Step, decodeSteps, mainOperation } from '#trace/steps';
import { type Executor, type RunResult, RunStop, type Segment } from './executor.ts';
import { joined } from './schedule.ts';
import { actorText, operandText, stepText, typeText } from './step-text.ts';
import { ByteReader, ByteWriter, crc32, damaged } from './token-bytes.ts';
import { type Token, type TokenIdentity, decodeToken, encodeToken } from './token.ts';

/** What a step did, in names that outlive an edit. */
export interface OperationName {
  /** OpType, in words */
  readonly type: string;
  /** The kernel function, empty outside all. */
  readonly site: string;
  /** Empty if the operation touches nothing, or nothing that has a name. */
  readonly variable: string;
}

/** `actor` goes on until it has done the operation `occurrence` times in this segment. */
export interface TolerantSegment extends OperationName {
  readonly actor: Actor;
  readonly occurrence: number;
}

export type TolerantSchedule = readonly TolerantSegment[];

function nameOf(step: Step, names: LogNames): OperationName {
  const { type, site } = mainOperation(step);
  const variable = operandText(step, names);
  // Memory without a name may be elsewhere after the edit: then the operation and its function have to do.
  const named = variable.startsWith('0x') ? '' : variable;
  return { type: typeText(type), site: site === 0 ? '' : names.symbol(site), variable: named };
}

function isNamed(step: Step, wanted: OperationName, names: LogNames): boolean {
  const { type, site, variable } = nameOf(step, names);
  return type === wanted.type && site === wanted.site && variable === wanted.variable;
}

/** What to follow of a run. */
export function tolerantSchedule(log: RunResult['log'], names: LogNames): TolerantSchedule {
  const schedule: TolerantSegment[] = [];
  let segment: Step[] = [];
  const steps = decodeSteps(log);
  for (const step of steps) {
    segment.push(step);
    if (steps[step.index + 1]?.actor === step.actor) continue;
    const name = nameOf(step, names);
    const occurrence = segment.filter((other) => isNamed(other, name, names)).length;
    schedule.push({ actor: step.actor, ...name, occurrence });
    segment = [];
  }
  return schedule;
}

/** Where a schedule could no longer be followed. */
export interface Lost {
  /** Which segment of the schedule, from 0 */
  readonly segment: number;
  /** The step of the run at which it should have begun, or gone on */
  readonly step: number;
  readonly message: string;
}

export interface Followed {
  /** Of the run that followed furthest. */
  readonly result: RunResult;
  /** As far as it could be followed: as the prefix of a plan it gives that run again. */
  readonly prefix: readonly Segment[];
  readonly lost: Lost | undefined;
}

/**
 * Follows a schedule by names, one run for each segment: the prefix so far, then the segment's actor, under a policy that
 * stays with it while it can go on; the log says after how many steps it did what it should.
 * @param stay number of that policy
 */
export function followTolerant(
  executor: Executor,
  schedule: TolerantSchedule,
  names: LogNames,
  stay: number,
): Followed {
  let prefix: readonly Segment[] = [];
  let done = 0;
  for (const [number, segment] of schedule.entries()) {
    const run = executor.run({
      prefix: joined([...prefix, { actor: segment.actor, steps: 1 }]),
      policy: stay,
      seed: 1,
    });
    const steps = decodeSteps(run.log).slice(done);
    const length = run.stop === RunStop.DIVERGED ? 0 : lengthOf(steps, segment, names);
    if (length === 0) {
      const message = lostText(segment, done, run.stop === RunStop.DIVERGED ? [] : steps, names);
      const result = executor.run({ prefix, policy: stay, seed: 1 });
      return { result, prefix, lost: { segment: number, step: done, message } };
    }
    prefix = joined([...prefix, { actor: segment.actor, steps: length }]);
    done += length;
  }
  return { result: executor.run({ prefix, policy: stay, seed: 1 }), prefix, lost: undefined };
}

/** Steps the segment lasts now, or 0 if its actor does not come to its end without somebody else. */
function lengthOf(steps: readonly Step[], segment: TolerantSegment, names: LogNames): number {
  let occurrence = 0;
  for (const [index, step] of steps.entries()) {
    if (step.actor !== segment.actor) return 0;
    if (isNamed(step, segment, names) && ++occurrence === segment.occurrence) return index + 1;
  }
  return 0;
}

function lostText(segment: TolerantSegment, done: number, steps: readonly Step[], names: LogNames): string {
  const { actor, type, variable, site, occurrence } = segment;
  const what = [type, variable, site === '' ? '' : `in ${site}`].filter((word) => word !== '').join(' ');
  const times = occurrence === 1 ? '' : ` ${occurrence} times`;
  const own = steps.findIndex((step) => step.actor !== actor);
  const last = own < 0 ? steps.at(-1) : steps[own - 1];
  const found =
    last === undefined
      ? 'it cannot go on there'
      : `it did not before it waited or ended, after ${stepText(last, names)}`;
  return `at step ${done} the schedule is lost: expected ${actorText(actor)} to do ${what}${times}, but ${found}`;
}

export function encodeLongToken(token: Token, schedule: TolerantSchedule): string {
  const strings = [...new Set(schedule.flatMap(({ type, site, variable }) => [type, site, variable]))];
  const numbers = new Map(strings.map((text, number) => [text, number]));
  const bytes = new ByteWriter();
  bytes.varint(strings.length);
  for (const text of strings) {
    const encoded = new TextEncoder().encode(text);
    bytes.varint(encoded.length);
    for (const byte of encoded) bytes.byte(byte);
  }
  bytes.varint(schedule.length);
  for (const { actor, type, site, variable, occurrence } of schedule) {
    bytes.varint(actor);
    for (const text of [type, site, variable]) bytes.varint(numbers.get(text)!);
    bytes.varint(occurrence);
  }
  bytes.word(crc32(bytes.written()));
  return `${encodeToken(token)}+${Buffer.from(bytes.written()).toString('base64url')}`;
}

export interface LongToken {
  readonly token: Token;
  /** Undefined for a token of the short form. */
  readonly schedule: TolerantSchedule | undefined;
}

/**
 * Takes a token of either form apart. For following by names the long form is enough, whatever runs it.
 * @throws SmplabError SMPLAB_BAD_TOKEN as decodeToken()
 */
export function decodeLongToken(text: string, here?: TokenIdentity): LongToken {
  const whole = text.trim();
  const plus = whole.indexOf('+');
  if (plus < 0) return { token: decodeToken(whole, here), schedule: undefined };
  const letters = whole.slice(plus + 1);
  const payload = Buffer.from(letters, 'base64url');
  if (payload.length < 4 || payload.toString('base64url') !== letters) {
    throw damaged('the names after + are not whole: was it copied whole?');
  }
  const body = payload.subarray(0, -4);
  const [check, found] = [new ByteReader(payload.subarray(-4)).word(), crc32(body)];
  if (check !== found)
    throw damaged(`the names after + do not fit their check: expected ${check}, got ${found}`);
  return { token: decodeToken(whole.slice(0, plus), here), schedule: readNames(new ByteReader(body)) };
}

function readNames(bytes: ByteReader): TolerantSchedule {
  const decoder = new TextDecoder();
  const strings = Array.from({ length: bytes.countOfBytes() }, () =>
    decoder.decode(Uint8Array.from({ length: bytes.countOfBytes() }, () => bytes.byte())),
  );
  const string = (): string => {
    const text = strings[bytes.varint()];
    if (text === undefined) throw damaged(`expected one of ${strings.length} names`);
    return text;
  };
  return Array.from({ length: bytes.countOfBytes() }, () => {
    const actor = bytes.varint();
    const [type, site, variable] = [string(), string(), string()];
    return { actor, type, site, variable, occurrence: bytes.varint() };
  });
}
