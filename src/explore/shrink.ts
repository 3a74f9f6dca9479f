/**
 * From a failing schedule to a small one with the same failure: fewest preemptions, then fewest switches, then fewest steps.
 * Everything that is kept was run, and failed with the same kind and title.
 *
 * First by asking which orders between operations matter (delta debugging: Zeller and Hildebrandt, TSE 2002), and letting every
 * flow go on by itself but for these: a failure that one order decides costs one preemption, whatever it was met with. Then by
 * changing the schedule and running it: leave the end to a policy that never preempts, bring each actor's steps together in ever
 * smaller stretches, join, drop and swap segments. That ends in a local minimum. Whether fewer preemptions would do is then asked
 * of an exhaustive search below what was reached.
 */
import type { Actor } from '#base/strategy';
import type { Order } from '#scheduler/ordered';
import { BoundedSearch } from './bounded.ts';
import { fewestOf } from './delta.ts';
import type { Executor, Plan, RunResult, Segment } from './executor.ts';
import { runLeniently } from './lenient.ts';
import { missingFrom, orderedPlan, ordersOf } from './orders.ts';
import {
  type Failure,
  type ScheduleCost,
  compareCost,
  costOf,
  failsWith,
  joined,
  segmentsOf,
} from './schedule.ts';
import { runSearch } from './search.ts';

/** What a search below a bound came to. */
export interface BelowResult {
  /** A plan that fails with at most so many preemptions. */
  readonly plan: Plan | undefined;
  readonly runs: number;
  /** Without a plan: all schedules within the bound were covered. */
  readonly complete: boolean;
}

/** Looks for a failure with at most `preemptions`, in at most `runsMax` runs. */
export type SearchBelow = (
  preemptions: number,
  runsMax: number,
  isSame: (result: RunResult) => boolean,
) => BelowResult;

export interface ShrinkOptions {
  /** Number of the policy that never preempts. */
  readonly stay: number;
  /** For changing and running. Default 2,000. */
  readonly runsMax?: number;
  /** So many preemptions are few enough: nothing is tried to make it smaller. */
  readonly enough?: number | undefined;
  /** Asked when nothing smaller is found by changing. Without it, `minimal` is true only for no preemptions at all. */
  readonly searchBelow?: SearchBelow;
  /** For searching below. Default 3,000. */
  readonly searchRunsMax?: number;
}

const RUNS_DEFAULT = 2_000;
const SEARCH_RUNS_DEFAULT = 3_000;
/** Places at which a long schedule is tried without its end. */
const CUTS_MAX = 48;

export interface Shrunk {
  /** The whole run, to its last step. */
  readonly schedule: readonly Segment[];
  readonly cost: ScheduleCost;
  /** Proved: no schedule with fewer preemptions fails so. */
  readonly minimal: boolean;
  readonly runs: number;
}

/** @returns undefined if the plan does not fail so in the first place */
export function shrink(
  executor: Executor,
  plan: Plan,
  failure: Failure,
  options: ShrinkOptions,
): Shrunk | undefined {
  const shrinker = new Shrinker(executor, failure, options);
  return shrinker.begin(plan) ? shrinker.smallest() : undefined;
}

/** Failures that show in what memory holds, and in nothing but that. */
const SEEN_IN_MEMORY: ReadonlySet<string> = new Set(['check', 'oops', 'panic', 'deadlock']);

/**
 * The search of bounded.ts as shrinking wants it. What it calls covered is so for this failure: beginnings that came to the same
 * memory count as the same only where the failure cannot tell them apart either.
 */
export function boundedBelow(executor: Executor, failure: Failure): SearchBelow {
  const sameness = SEEN_IN_MEMORY.has(failure.kind) ? 'state' : 'trace';
  return (preemptions, runsMax, isSame) => {
    const search = new BoundedSearch({ kind: 'preemptions', boundMax: preemptions, runs: runsMax, sameness });
    let found: Plan | undefined;
    const runs = runSearch(search, executor, (result, _run, plan) => {
      if (!isSame(result)) return false;
      found = plan;
      return true;
    });
    return { plan: found, runs, complete: search.covered() >= preemptions };
  };
}

type Change = (schedule: readonly Segment[]) => Iterable<readonly Segment[]>;

class Shrinker {
  readonly #executor: Executor;
  readonly #failure: Failure;
  readonly #options: ShrinkOptions;
  readonly #tried = new Set<string>();
  #schedule: readonly Segment[] = [];
  #cost: ScheduleCost = { preemptions: Infinity, switches: Infinity, steps: Infinity };
  #runs = 0;
  #searched = 0;

  constructor(executor: Executor, failure: Failure, options: ShrinkOptions) {
    this.#executor = executor;
    this.#failure = failure;
    this.#options = options;
  }

  begin(plan: Plan): boolean {
    return this.#keep(this.#run(plan));
  }

  smallest(): Shrunk {
    this.#order();
    this.#change();
    let minimal = this.#cost.preemptions === 0;
    while (!minimal && !this.#isEnough() && this.#options.searchBelow !== undefined) {
      const bound = this.#cost.preemptions - 1;
      const left = (this.#options.searchRunsMax ?? SEARCH_RUNS_DEFAULT) - this.#searched;
      if (left <= 0) break;
      const below = this.#options.searchBelow(bound, left, (result) => failsWith(result, this.#failure));
      this.#searched += below.runs;
      const found = below.plan === undefined ? false : this.begin(below.plan);
      if (found) {
        this.#order();
        this.#change();
      }
      minimal = this.#cost.preemptions === 0 || (!found && below.plan === undefined && below.complete);
      if (!found) break;
    }
    const [schedule, cost, runs] = [this.#schedule, this.#cost, this.#runs + this.#searched];
    return { schedule, cost, minimal, runs };
  }

  /**
   * Finds the few orders that matter, and keeps the run that they and nothing else bring about: what is left has hardly a
   * preemption that could be spared, however many there were.
   */
  #order(): void {
    for (let before: ScheduleCost | undefined; before !== this.#cost && !this.#isEnough();) {
      before = this.#cost;
      const begins = this.#schedule[0]!.actor;
      const enough = this.#enoughOrders(begins);
      if (enough !== undefined) fewestOf(enough, (some) => this.#failsWith(begins, some));
    }
  }

  /**
   * Of the failing run's orders, so many that it fails: from none, those that the run has missed, until it does. Few, since most
   * orders come about by themselves or do not matter.
   */
  #enoughOrders(begins: Actor): readonly Order[] | undefined {
    const all = ordersOf(this.#run({ prefix: this.#schedule, policy: this.#options.stay, seed: 1 }).log);
    let chosen: readonly Order[] = [];
    while (!this.#isSpent()) {
      const plan = orderedPlan(begins, chosen);
      const result = plan === undefined ? undefined : this.#run(plan);
      if (result === undefined) return undefined;
      this.#keep(result);
      if (failsWith(result, this.#failure)) return chosen;
      const wanted = new Set([...chosen, ...missingFrom(result.log, all)]);
      if (wanted.size === chosen.length) return undefined;
      chosen = all.filter((order) => wanted.has(order));
    }
    return undefined;
  }

  #failsWith(begins: Actor, orders: readonly Order[]): boolean {
    const plan = this.#isSpent() ? undefined : orderedPlan(begins, orders);
    if (plan === undefined) return false;
    const result = this.#run(plan);
    this.#keep(result);
    return failsWith(result, this.#failure);
  }

  #run(plan: Plan): RunResult {
    this.#runs++;
    return this.#executor.run(plan);
  }

  #isEnough(): boolean {
    return this.#cost.preemptions <= (this.#options.enough ?? 0);
  }

  /** No more runs, or no use for them. */
  #isSpent(): boolean {
    if (this.#options.enough !== undefined && this.#isEnough()) return true;
    return this.#runs >= (this.#options.runsMax ?? RUNS_DEFAULT);
  }

  /** Every kind of change until none makes it smaller. What changes most comes first, since it makes the others cheaper. */
  #change(): void {
    const changes: readonly Change[] = [cuts, stretches, withoutActors, withoutSegments, swaps];
    for (let smaller = true; smaller;) {
      smaller = false;
      for (const change of changes) if (this.#sweep(change)) smaller = true;
    }
  }

  /**
   * One kind of change, from its first place to its last. Where one helped, the sweep goes on behind it: beginning again each time
   * would spend the runs on places that have just been tried, and a long schedule has hundreds of them.
   */
  #sweep(change: Change): boolean {
    let improved = false;
    for (let done = 0; ;) {
      let place = 0;
      const candidates = change(this.#schedule);
      let hit = false;
      for (const candidate of candidates) {
        if (place++ < done) continue;
        hit = this.#try(candidate);
        if (hit) break;
      }
      if (!hit) return improved;
      improved = true;
      done = place - 1;
    }
  }

  #try(candidate: readonly Segment[]): boolean {
    if (this.#isSpent()) return false;
    const key = candidate.map(({ actor, steps }) => `${actor}.${steps}`).join(' ');
    if (this.#tried.has(key)) return false;
    this.#tried.add(key);
    const { result, runs } = runLeniently(this.#executor, [], candidate, this.#options.stay);
    this.#runs += runs;
    return this.#keep(result);
  }

  #keep(result: RunResult): boolean {
    if (!failsWith(result, this.#failure)) return false;
    const cost = costOf(result.log);
    if (compareCost(cost, this.#cost) >= 0) return false;
    this.#schedule = segmentsOf(result.log);
    this.#cost = cost;
    return true;
  }
}

/** Without its end, shortest first: the policy goes on. */
function* cuts(schedule: readonly Segment[]): Iterable<readonly Segment[]> {
  const count = Math.min(schedule.length, CUTS_MAX);
  for (let cut = 0; cut < count; cut++) yield schedule.slice(0, Math.floor((cut * schedule.length) / count));
}

/** Each actor's steps brought together within a stretch: halves, quarters, down to three segments. */
function* stretches(schedule: readonly Segment[]): Iterable<readonly Segment[]> {
  for (let size = schedule.length; size >= 3; size = Math.ceil(size / 2)) {
    for (let from = 0; from + 2 < schedule.length; from += Math.max(1, size >> 1)) {
      const stretch = schedule.slice(from, from + size);
      const around = (inside: readonly Segment[]): readonly Segment[] =>
        joined([...schedule.slice(0, from), ...inside, ...schedule.slice(from + size)]);
      const actors = [...new Set(stretch.map(({ actor }) => actor))];
      yield around(actors.map((actor) => together(stretch, actor)));
      yield around(actors.toReversed().map((actor) => together(stretch, actor)));
    }
    if (size === 3) return;
  }
}

function together(stretch: readonly Segment[], actor: Actor): Segment {
  const steps = stretch.reduce((sum, segment) => (segment.actor === actor ? sum + segment.steps : sum), 0);
  return { actor, steps };
}

/** An actor goes only when nobody else can. */
function* withoutActors(schedule: readonly Segment[]): Iterable<readonly Segment[]> {
  for (const actor of new Set(schedule.map((segment) => segment.actor))) {
    yield joined(schedule.filter((segment) => segment.actor !== actor));
  }
}

/** A segment's steps made with those its actor makes next, with those it made last, or not before the end. */
function* withoutSegments(schedule: readonly Segment[]): Iterable<readonly Segment[]> {
  for (const [at, { actor, steps }] of schedule.entries()) {
    const without = schedule.filter((_, index) => index !== at);
    const isSame = (segment: Segment): boolean => segment.actor === actor;
    const next = without.findIndex((segment, index) => index >= at && isSame(segment));
    const last = without.findLastIndex((segment, index) => index < at && isSame(segment));
    for (const target of [next, last]) {
      if (target < 0) continue;
      yield joined(
        without.map((one, index) => (index === target ? { actor, steps: one.steps + steps } : one)),
      );
    }
    yield joined(without);
  }
}

/** Two neighbours the other way round. */
function* swaps(schedule: readonly Segment[]): Iterable<readonly Segment[]> {
  for (let at = 0; at + 1 < schedule.length; at++) {
    const [first, second] = [schedule[at]!, schedule[at + 1]!];
    yield joined([...schedule.slice(0, at), second, first, ...schedule.slice(at + 2)]);
  }
}
