/**
 * Which orders of a failing run decide: pairs of steps of different flows that conflict, with nothing between them. Each is turned
 * round (the second first, all else as near as it can be), the schedule is run, and if the failure is gone the pair decides.
 *
 * A flow that a deadlock left waiting, or that the end of the run cut short, has a step that never happened. Such a step is found
 * by trying: the steps of the others are left out one at a time, until the flow can go, and what it then does meets what was
 * left out.
 */
import { Flow, cpuOf, flowOf } from '#base/strategy';
import { Footprint, OpType, footprint } from '#trace/operations';
import { type Step, decodeSteps, mainOperation, stepsConflict } from '#trace/steps';
import { type Executor, type RunResult, RunStop, type Segment } from './executor.ts';
import { runLeniently } from './lenient.ts';
import { dependentsBetween, immediatePairs } from './order.ts';
import { type Failure, failsWith, failuresOf, joined } from './schedule.ts';

/** What became of a pair turned round. */
export type FlipOutcome =
  /** nothing failed: the pair decides */
  | 'passes'
  /** something else failed: the pair decides */
  | 'fails-otherwise'
  | 'fails-the-same'
  /** the second waits for the first, or is what it is because of it */
  | 'cannot-be-turned';

export interface FlippedPair {
  readonly first: Step;
  /** A later step of the run; or one that never happened: then it is in `waiting` or `unreached`. */
  readonly second: Step;
  readonly outcome: FlipOutcome;
  /** fails-otherwise: with what. */
  readonly failure?: Failure;
}

export interface Explanation {
  /** The failing run. */
  readonly steps: readonly Step[];
  /** What the flows that a deadlock stopped would do next, numbered from the end of the run. */
  readonly waiting: readonly Step[];
  /** What flows would have done next had the failure not ended the run, where that decides. Numbered likewise. */
  readonly unreached: readonly Step[];
  /** In the order of the run. */
  readonly decisive: readonly FlippedPair[];
  /** The other pairs that were tried. */
  readonly indifferent: readonly FlippedPair[];
  /** Pairs, at most, for which no run was left. */
  readonly untried: number;
  readonly runs: number;
}

export interface ExplainOptions {
  /** Number of the policy that never preempts. */
  readonly stay: number;
  /** Default 200. */
  readonly runsMax?: number;
}

const RUNS_DEFAULT = 200;
/** Pairs of a run that are looked at; in the latest ones a failure is most often decided. */
const PAIRS_MAX = 400;
/** Steps that may be left out to find what one flow waits for. */
const BLOCKERS_MAX = 32;

/**
 * @param schedule of a whole run that fails so; best a minimal one
 * @returns undefined if it does not fail so
 */
export function explain(
  executor: Executor,
  schedule: readonly Segment[],
  failure: Failure,
  options: ExplainOptions,
): Explanation | undefined {
  const result = executor.run({ prefix: schedule, policy: options.stay, seed: 1 });
  if (!failsWith(result, failure)) return undefined;
  const steps = decodeSteps(result.log);
  return new Explainer(executor, steps, failure, options).explained(result.stop === RunStop.DEADLOCK);
}

/** A turned pair, and where in the new run its second step stands. */
interface Turned {
  readonly exact: readonly Segment[];
  readonly rest: readonly Segment[];
}

class Explainer {
  readonly #executor: Executor;
  readonly #steps: readonly Step[];
  readonly #failure: Failure;
  readonly #stay: number;
  readonly #runsMax: number;
  readonly #pairs: FlippedPair[] = [];
  readonly #waiting: Step[] = [];
  readonly #unreached: Step[] = [];
  #runs = 1;
  #untried = 0;

  constructor(executor: Executor, steps: readonly Step[], failure: Failure, options: ExplainOptions) {
    this.#executor = executor;
    this.#steps = steps;
    this.#failure = failure;
    this.#stay = options.stay;
    this.#runsMax = options.runsMax ?? RUNS_DEFAULT;
  }

  explained(isDeadlock: boolean): Explanation {
    for (const actor of this.#stopped()) this.#findBlocker(actor, isDeadlock);
    const { pairs, left } = immediatePairs(this.#steps, PAIRS_MAX);
    this.#untried += left;
    for (const [first, second] of pairs.toReversed()) {
      if (this.#runs < this.#runsMax) this.#flip(first, second);
      else this.#untried++;
    }
    const all = this.#pairs.toSorted(
      (a, b) => a.first.index - b.first.index || a.second.index - b.second.index,
    );
    const decides = ({ outcome }: FlippedPair): boolean =>
      outcome === 'passes' || outcome === 'fails-otherwise';
    return {
      steps: this.#steps,
      waiting: this.#waiting,
      unreached: this.#unreached,
      decisive: all.filter(decides),
      indifferent: all.filter((pair) => !decides(pair)),
      untried: this.#untried,
      runs: this.#runs,
    };
  }

  #flip(first: number, second: number): void {
    const pair = { first: this.#steps[first]!, second: this.#steps[second]! };
    const turned = this.#turned(this.#beginOf(first, second), second);
    const run = turned === undefined ? undefined : this.#run(turned);
    if (turned === undefined || run === undefined || !this.#isSameStep(run, turned, pair.second)) {
      this.#pairs.push({ ...pair, outcome: 'cannot-be-turned' });
    } else this.#pairs.push({ ...pair, ...this.#outcome(run) });
  }

  /**
   * Where a lock is given back and another takes it, it is the taking of the first that could have come later: and where an
   * interrupt ends, its beginning.
   */
  #beginOf(first: number, second: number): number {
    const { actor } = this.#steps[first]!;
    const [gives, takes] = [mainOperation(this.#steps[first]!), mainOperation(this.#steps[second]!)];
    const begins = ({ operations }: Step): boolean =>
      operations.some(({ type, address }) => type === OpType.ACQUIRE && address === takes.address);
    if (isInterrupt(actor) && cpuOf(actor) === cpuOf(this.#steps[second]!.actor)) {
      return this.#lastOf(first, actor, isEntry) ?? first;
    }
    if (takes.type !== OpType.ACQUIRE || gives.address !== takes.address) return first;
    return this.#lastOf(first, actor, begins) ?? first;
  }

  #lastOf(until: number, actor: number, is: (step: Step) => boolean): number | undefined {
    for (let at = until; at >= 0; at--)
      if (this.#steps[at]!.actor === actor && is(this.#steps[at]!)) return at;
    return undefined;
  }

  /** All that does not follow from `first`, then `second`; after it the rest. Undefined if `second` follows from more than it. */
  #turned(first: number, second: number): Turned | undefined {
    const later = dependentsBetween(this.#steps, first, second);
    const { actor } = this.#steps[second]!;
    const exact: Segment[] = [];
    const rest: Segment[] = [];
    for (const { index, actor: who } of this.#steps) {
      if (index === second) continue;
      const isLater = index === first || later.has(index);
      if (isLater && who === actor && index < second) return undefined;
      (index > second || isLater ? rest : exact).push({ actor: who, steps: 1 });
    }
    return { exact: joined([...exact, { actor, steps: 1 }]), rest: joined(rest) };
  }

  #run({ exact, rest }: Turned): RunResult | undefined {
    const { result, runs } = runLeniently(this.#executor, exact, rest, this.#stay);
    this.#runs += runs;
    return result.stop === RunStop.DIVERGED ? undefined : result;
  }

  /** Whether the turned run did, where the second step should stand, what that step did in the failing one. */
  #isSameStep(run: RunResult, turned: Turned, wanted: Step): boolean {
    const found = decodeSteps(run.log)[stepsOf(turned.exact) - 1];
    if (found?.actor !== wanted.actor) return false;
    const [a, b] = [mainOperation(found), mainOperation(wanted)];
    return a.type === b.type && a.address === b.address;
  }

  #outcome(run: RunResult): { outcome: FlipOutcome; failure?: Failure } {
    if (failsWith(run, this.#failure)) return { outcome: 'fails-the-same' };
    const [failure] = failuresOf(run);
    if (failure === undefined) return { outcome: 'passes' };
    return { outcome: 'fails-otherwise', failure: { kind: failure.kind, title: failure.title } };
  }

  /** Flows that began and did not end. What an interrupt keeps from going on is among them, and is found to wait for nothing. */
  #stopped(): readonly number[] {
    const open = new Set<number>();
    for (const { actor, operations } of this.#steps) {
      if (flowOf(actor) === Flow.BUFFER) continue;
      open.add(actor);
      if (operations.some(({ type }) => type === OpType.END || type === OpType.IRQ_EXIT)) open.delete(actor);
    }
    return [...open].toSorted((a, b) => a - b);
  }

  /**
   * Leaves out what others did, the latest first, until the flow can go on and meets what was left out. That is what a
   * deadlocked flow waits for, whether it decides or not. One that could have gone on meets much: only what decides is kept.
   */
  #findBlocker(actor: number, isDeadlock: boolean): void {
    const others = this.#steps.filter((step) => cpuOf(step.actor) !== cpuOf(actor) && touches(step));
    for (const first of others.toReversed().slice(0, BLOCKERS_MAX)) {
      if (this.#runs >= this.#runsMax) return;
      const turned = this.#without(first, actor);
      const run = turned === undefined ? undefined : this.#run(turned);
      if (turned === undefined || run === undefined) continue;
      const next = decodeSteps(run.log)[stepsOf(turned.exact) - 1];
      // The run may have ended before it got so far.
      if (next?.actor !== actor) continue;
      const outcome = this.#outcome(run);
      if (!stepsConflict(first, next) || (!isDeadlock && outcome.outcome === 'fails-the-same')) continue;
      const never = this.#waiting.length + this.#unreached.length;
      const second = { ...next, index: this.#steps.length + never };
      (isDeadlock ? this.#waiting : this.#unreached).push(second);
      this.#pairs.push({ first, second, ...outcome });
      return;
    }
  }

  /** The run without a step and what follows from it, then one step more of the flow than it had. */
  #without(first: Step, actor: number): Turned | undefined {
    const later = dependentsBetween(this.#steps, first.index, this.#steps.length);
    const exact: Segment[] = [];
    const rest: Segment[] = [];
    for (const { index, actor: who } of this.#steps) {
      const isLater = index === first.index || later.has(index);
      if (isLater && who === actor) return undefined;
      (isLater ? rest : exact).push({ actor: who, steps: 1 });
    }
    return { exact: joined([...exact, { actor, steps: 1 }]), rest: joined(rest) };
  }
}

function isInterrupt(actor: number): boolean {
  return flowOf(actor) === Flow.INTERRUPT || flowOf(actor) === Flow.NESTED;
}

function isEntry({ operations }: Step): boolean {
  return operations[0]!.type === OpType.IRQ_ENTRY;
}

function touches({ operations }: Step): boolean {
  return operations.some(({ type }) => footprint(type) !== Footprint.NONE);
}

function stepsOf(segments: readonly Segment[]): number {
  return segments.reduce((sum, { steps }) => sum + steps, 0);
}
