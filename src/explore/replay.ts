/** Running a recorded schedule again, and saying where the run leaves the record. */
import { OpFlag } from '#trace/operations';
import { type LogNames, type Operation, type Step, decodeSteps } from '#trace/steps';
import { type Executor, type Plan, type RunResult, RunStop, type Segment } from './executor.ts';
import { logDigest, segmentsOf } from './schedule.ts';
import { actorText, numbersOnly, stepText } from './step-text.ts';
import { type Token, checkpointSegments } from './token.ts';

/** The part of a token that a run itself gives. */
export type Recording = Pick<Token, 'schedule' | 'logDigest' | 'checkpoints'>;

export interface ReplayOptions {
  /** Number of a policy for what comes after the schedule: nothing does, unless the run diverges. */
  readonly policy: number;
  readonly names?: LogNames;
}

/** Where a run and its record part. */
export interface Divergence {
  /** The first step that can be wrong: all before are as recorded. */
  readonly step: number;
  /** The last step the first difference can be at. */
  readonly stepMax: number;
  readonly expected: string;
  readonly found: string;
  /** All of it in one line. */
  readonly message: string;
}

export interface Replay {
  readonly result: RunResult;
  /** Undefined: every step did what the recorded one did. */
  readonly divergence: Divergence | undefined;
}

/** What a token keeps of a run. */
export function recordingOf(log: RunResult['log']): Recording {
  const schedule = segmentsOf(log);
  const digests: number[] = [];
  const whole = logDigest(log, (_step, digest) => digests.push(digest));
  const ends = checkpointEnds(schedule);
  return { schedule, logDigest: whole, checkpoints: ends.map((steps) => digests[steps - 1]! & 15) };
}

/** Steps made when each checkpoint is reached. */
function checkpointEnds(schedule: readonly Segment[]): number[] {
  const ends: number[] = [];
  let steps = 0;
  for (const segment of schedule) ends.push((steps += segment.steps));
  return checkpointSegments(schedule.length).map((segment) => ends[segment]!);
}

/** The plan that gives a recorded run again. */
export function planOf(recording: Pick<Recording, 'schedule'>, policy: number): Plan {
  return { prefix: recording.schedule, policy, seed: 1 };
}

/** Runs a recording and compares: at every step the actor, and by digest everything that each step did. */
export function replay(executor: Executor, recording: Recording, options: ReplayOptions): Replay {
  const result = executor.run(planOf(recording, options.policy));
  return { result, divergence: divergenceOf(result, recording, options.names ?? numbersOnly) };
}

function divergenceOf(result: RunResult, recording: Recording, names: LogNames): Divergence | undefined {
  const digests: number[] = [];
  const whole = logDigest(result.log, (_step, digest) => digests.push(digest));
  const stepsRecorded = recording.schedule.reduce((sum, { steps }) => sum + steps, 0);
  if (whole === recording.logDigest && digests.length === stepsRecorded) return undefined;
  let sure = 0;
  for (const [checkpoint, end] of checkpointEnds(recording.schedule).entries()) {
    if (end > digests.length) break;
    if ((digests[end - 1]! & 15) !== recording.checkpoints[checkpoint]!) {
      return within(sure, end - 1, result, recording, names);
    }
    sure = end;
  }
  if (result.stop === RunStop.DIVERGED) return stoppedAt(result.divergedAt, recording, names, result);
  if (digests.length !== stepsRecorded) return otherLength(digests.length, stepsRecorded, names, result);
  return within(sure, stepsRecorded - 1, result, recording, names);
}

function actorAt(schedule: readonly Segment[], step: number): string {
  let end = 0;
  for (const { actor, steps } of schedule) {
    end += steps;
    if (step < end) return actorText(actor);
  }
  return 'the end of the run';
}

function divergence(step: number, stepMax: number, expected: string, found: string): Divergence {
  const where = step === stepMax ? `at step ${step}` : `between steps ${step} and ${stepMax}`;
  const message = `the run leaves the recorded one ${where}: expected ${expected}, found ${found}`;
  return { step, stepMax, expected, found, message };
}

/** A checkpoint does not hold: somewhere since the one before, a step did something else. */
function within(
  from: number,
  to: number,
  { log }: RunResult,
  { schedule }: Recording,
  names: LogNames,
): Divergence {
  const steps = decodeSteps(log);
  const expected = `the recorded steps of ${actorAt(schedule, from)}`;
  const found =
    steps[from] === undefined ? 'the end of the run' : `others, from ${stepText(steps[from], names)}`;
  return divergence(from, to, expected, found);
}

/** The executor could not go on as recorded. Up to there every checkpoint holds. */
function stoppedAt(step: number, { schedule }: Recording, names: LogNames, { log }: RunResult): Divergence {
  const last = decodeSteps(log)[step - 1];
  const after = last === undefined ? '' : ` after ${stepText(last, names)}`;
  return divergence(
    step,
    step,
    actorAt(schedule, step),
    `that it cannot go on: it waits or has ended${after}`,
  );
}

function otherLength(found: number, recorded: number, names: LogNames, { log }: RunResult): Divergence {
  const at = Math.min(found, recorded);
  const next = decodeSteps(log)[at];
  return divergence(
    at,
    at,
    found < recorded ? `${recorded - found} steps more` : 'the end of the run',
    next === undefined ? 'the end of the run' : stepText(next, names),
  );
}

/** What selfCheck() found: two runs of one schedule that are not the same. */
export interface Unsteady {
  /** The first step that differs; the number of steps if only what the runs came to does. */
  readonly step: number;
  readonly first: string;
  readonly second: string;
  /** Both, and where to look, in one sentence. */
  readonly message: string;
}

/**
 * Runs a plan twice and compares the logs, what the runs came to, and their findings.
 * Between the two, memory may become known as shared; then the policy is asked more often the second time, and may choose
 * otherwise with every right. So the second run follows what the first one did, and choice points are not compared.
 * The second is made by the program's code: the first may come of what flows have been seen to do.
 */
export function selfCheck(
  executor: Executor,
  plan: Plan,
  names: LogNames = numbersOnly,
): Unsteady | undefined {
  const first = executor.run(plan);
  const { stop, findings, finalState } = first;
  const words = first.log.words.slice();
  const log = { words, records: first.log.records };
  const prefix = first.sharedGrew ? segmentsOf(log) : plan.prefix;
  const second = executor.run({ ...plan, prefix, isAnew: true });
  const before = decodeSteps(log);
  const after = decodeSteps(second.log);
  for (let step = 0; step < Math.max(before.length, after.length); step++) {
    const difference = differs(before[step], after[step], first.sharedGrew);
    if (difference !== undefined) return unsteady(step, before[step], after[step], difference, names);
  }
  return outcomes({ stop, findings, finalState }, second, before.length);
}

type Difference = 'actor' | 'enabled' | 'operation' | 'value';

function differs(a: Step | undefined, b: Step | undefined, grew: boolean): Difference | undefined {
  if (a?.actor !== b?.actor || a === undefined || b === undefined) return 'actor';
  if (a.operations.length !== b.operations.length) return 'operation';
  for (const [index, operation] of a.operations.entries()) {
    const other = b.operations[index]!;
    if (placeOf(operation) !== placeOf(other)) return 'operation';
    if (operation.read !== other.read || operation.written !== other.written) return 'value';
  }
  const sameChoices = a.enabledLow === b.enabledLow && a.enabledHigh === b.enabledHigh;
  if (!sameChoices && a.visible === b.visible) return 'enabled';
  return !grew && a.visible !== b.visible ? 'enabled' : undefined;
}

/** What an operation is, but for its values. */
function placeOf({ type, kind, flags, address, size, site }: Operation): string {
  return [type, kind, flags & ~OpFlag.VISIBLE, address, size, site].join(' ');
}

const WHERE_TO_LOOK: Readonly<Record<Difference, string>> = {
  actor: 'somebody else went on: who can go depends on something outside simulated memory',
  enabled:
    'other actors could have gone: what a wait or an interrupt depends on is not all in simulated memory',
  operation:
    'the code took another way: look for Date, Math.random, or a variable outside simulated memory that kept what an earlier run left in it',
  value:
    'the code computed another value: look for Date, Math.random, or a variable outside simulated memory that kept what an earlier run left in it',
};

function unsteady(
  step: number,
  a: Step | undefined,
  b: Step | undefined,
  difference: Difference,
  names: LogNames,
): Unsteady {
  const first = a === undefined ? 'the run had ended' : stepText(a, names);
  const second = b === undefined ? 'the run had ended' : stepText(b, names);
  const message =
    `the scenario changes between two runs of one schedule: at step ${step} first ${first}, then ${second}; ` +
    WHERE_TO_LOOK[difference];
  return { step, first, second, message };
}

/** Same steps: but did they come to the same? */
type Came = Pick<RunResult, 'stop' | 'findings' | 'finalState'>;

function outcomes(a: Came, b: Came, step: number): Unsteady | undefined {
  const said = ({ findings }: Came): string =>
    findings.length === 0
      ? 'nothing found'
      : findings.map(({ kind, title }) => `${kind}: ${title}`).join('; ');
  const compared: readonly [string, string, string][] = [
    ['how it stopped', `stop ${a.stop}`, `stop ${b.stop}`],
    ['what its checks said', said(a), said(b)],
    ['the final state', a.finalState, b.finalState],
  ];
  const different = compared.find(([, first, second]) => first !== second);
  if (different === undefined) return undefined;
  const [what, first, second] = different;
  const message =
    `the scenario changes between two runs of one schedule: every step was the same, but ${what} was not: ` +
    `first ${first}, then ${second}; a check may look only at simulated memory`;
  return { step, first, second, message };
}
