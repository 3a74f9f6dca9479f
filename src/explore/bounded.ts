/**
 * Exhaustive search within a growing bound: all schedules with no preemption, then all with one, and so on.
 *
 * - **Preemptions** (Musuvathi and Qadeer, "Iterative context bounding", PLDI 2007): a switch away from an actor that
 *   could go on. What comes after a wait, an end or a finished handler is free, in any order.
 * - **Delays** (Emmi, Qadeer, Rakamaric, "Delay-bounded scheduling", POPL 2011): a deterministic scheduler (`stay`: go
 *   on until you cannot, then the next in turn) is made to pass over the actor whose turn it is. Nothing is free, so a
 *   bound holds fewer schedules, and more actors cost little.
 *
 * Both branch at visible steps only, since a switch in front of another step does the same as one at the next visible
 * one. A schedule that comes to where another has been, at the same cost or less, is not continued (state-hash says
 * what *where* means), which keeps the orders of flows that do not meet from multiplying.
 *
 * When memory becomes known as shared, earlier logs lack choice points: everything starts again with what is known
 * now.
 */
import { assert } from '#base/assert';
import type { Actor } from '#base/strategy';
import { policyNumber } from '#scheduler/policies';
import { TraceCoverage } from './coverage.ts';
import { type Executor, type Plan, type RunResult, RunStop, type Segment } from './executor.ts';
import { MASK_ACTORS, RunSteps } from './run-steps.ts';
import { type Search, type Statement, runSearch } from './search.ts';
import { type Sameness, StateHash } from './state-hash.ts';

export interface BoundedOptions {
  readonly kind: 'preemptions' | 'delays';
  /** The last bound searched; without one, until nothing is left. */
  readonly boundMax?: number;
  /** Without one, until the bound is covered. */
  readonly runs?: number;
  /** Which beginnings are the same; 'trace' unless told. */
  readonly sameness?: Sameness;
}

interface Branch {
  readonly prefix: readonly Segment[];
  /** Steps in the prefix: this run branches only behind them. */
  readonly steps: number;
  readonly cost: number;
  /** The step it begins with, as StateHash.keyBefore. */
  readonly key: number;
}

const ROOT: Branch = { prefix: [], steps: 0, cost: 0, key: -1 };

export class BoundedSearch implements Search {
  private readonly options: BoundedOptions;
  private readonly boundMax: number;
  private readonly steps = new RunSteps();
  private readonly hash: StateHash;
  private readonly coverage = new TraceCoverage();
  private readonly policy = policyNumber('stay');
  /** By cost. Taken from the end, so that what is kept stays near the run just made. */
  private waiting: Branch[][] = [[ROOT]];
  /** By step: twice the least cost it was reached at, plus 1 while it only waits to be. */
  private reached = new Map<number, number>([[ROOT.key, 1]]);
  private running: Branch | undefined;
  private executions = 0;
  private restarts = 0;
  private cutShort = 0;
  /** What the schedule of the last run costs. */
  cost = 0;

  constructor(options: BoundedOptions) {
    this.options = options;
    this.boundMax = options.boundMax ?? Infinity;
    this.hash = new StateHash(options.sameness ?? 'trace');
  }

  next(): Plan | undefined {
    if (this.executions >= (this.options.runs ?? Infinity)) return undefined;
    this.running = this.take();
    if (this.running === undefined) return undefined;
    this.cost = this.running.cost;
    this.reached.set(this.running.key, this.cost * 2);
    return { prefix: this.running.prefix, policy: this.policy, seed: 1 };
  }

  /** A branch of the lowest cost there is. Those whose step was reached meanwhile are dropped here. */
  private take(): Branch | undefined {
    for (const list of this.waiting)
      for (let branch = list.pop(); branch !== undefined; branch = list.pop())
        if (this.reached.get(branch.key) === branch.cost * 2 + 1) return branch;
    return undefined;
  }

  observe(result: RunResult): void {
    const branch = this.running!;
    this.running = undefined;
    this.executions++;
    this.coverage.add(result.log);
    if (result.stop === RunStop.STEP_LIMIT || result.stop === RunStop.DIVERGED) this.cutShort++;
    if (result.sharedGrew) {
      this.restart();
      return;
    }
    this.steps.read(result.log);
    this.expand(branch);
  }

  private restart(): void {
    this.restarts++;
    this.waiting = [[ROOT]];
    this.reached = new Map([[ROOT.key, 1]]);
  }

  private expand(branch: Branch): void {
    this.hash.reset();
    for (let step = 0; step < this.steps.count; step++) {
      const actor = this.steps.actor[step]!;
      assert(actor < MASK_ACTORS, `BoundedSearch: actor ${actor}, and masks end at ${MASK_ACTORS}`);
      if (step >= branch.steps) {
        if (this.steps.isChoice(step)) this.branchAt(step, branch.cost);
        // Behind its prefix a run goes on for nothing. Where another has been for as little, that one has
        // branched; what only waits to be run has now been.
        const key = this.hash.keyBefore(actor);
        if ((this.reached.get(key) ?? Infinity) <= branch.cost * 2) return;
        this.reached.set(key, branch.cost * 2);
      }
      this.hash.step(this.steps, step);
    }
  }

  private branchAt(step: number, cost: number): void {
    const taken = this.steps.actor[step]!;
    for (let actor = 0; actor < MASK_ACTORS; actor++) {
      if (actor === taken || !this.steps.couldGo(step, actor)) continue;
      const total = cost + this.priceOf(step, actor);
      if (total > this.boundMax) continue;
      const key = this.hash.keyBefore(actor);
      if ((this.reached.get(key) ?? Infinity) <= total * 2 + 1) continue;
      this.reached.set(key, total * 2 + 1);
      while (this.waiting.length <= total) this.waiting.push([]);
      this.waiting[total]!.push({
        prefix: this.steps.prefixTo(step, actor),
        steps: step + 1,
        cost: total,
        key,
      });
    }
  }

  /** What it costs to take the actor here instead of the one that `stay` took. */
  private priceOf(step: number, actor: Actor): number {
    if (this.options.kind === 'preemptions') return this.steps.continuing(step) < 0 ? 0 : 1;
    let delays = 1;
    const taken = this.steps.actor[step]!;
    for (let other = (taken + 1) % MASK_ACTORS; other !== actor; other = (other + 1) % MASK_ACTORS)
      if (this.steps.couldGo(step, other)) delays++;
    return delays;
  }

  /** The least cost of what has yet to be run; Infinity when there is nothing. */
  private leastWaiting(): number {
    if (this.running !== undefined) return this.running.cost;
    const isWaiting = (branch: Branch): boolean => this.reached.get(branch.key) === branch.cost * 2 + 1;
    const cost = this.waiting.findIndex((list) => list.some(isWaiting));
    return cost < 0 ? Infinity : cost;
  }

  /**
   * Every schedule of at most this cost has been covered; -1 when not even those of cost 0 have. When there was
   * nothing beyond, this is the last bound asked for, or else the dearest schedule there is.
   */
  covered(): number {
    if (this.cutShort > 0) return -1;
    const least = this.leastWaiting();
    if (least !== Infinity) return least - 1;
    return this.options.boundMax ?? this.waiting.length - 1;
  }

  statement(): Statement {
    return {
      strategy: this.options.kind === 'preemptions' ? 'preemption-bounded' : 'delay-bounded',
      executions: this.executions,
      traces: this.coverage.traces,
      unseenShare: this.coverage.unseenShare(),
      complete: this.cutShort === 0 && this.leastWaiting() === Infinity,
      bounds: { [this.options.kind]: this.covered(), restarts: this.restarts },
      cutShort: this.cutShort,
    };
  }
}

export interface MinimalFailure {
  /** No schedule with fewer fails. */
  readonly preemptions: number;
  readonly plan: Plan;
  readonly runs: number;
}

/**
 * The fewest preemptions a failure needs, found by bounded search from 0 upwards; undefined if there is no failure
 * within `boundMax` and `runs`. By state unless told: see StateHash for what that cannot see.
 */
export function minimalPreemptions(
  executor: Executor,
  isFailure: (result: RunResult) => boolean,
  {
    boundMax = 4,
    runs = 100_000,
    sameness = 'state',
  }: { boundMax?: number; runs?: number; sameness?: Sameness } = {},
): MinimalFailure | undefined {
  const search = new BoundedSearch({ kind: 'preemptions', boundMax, runs, sameness });
  let found: MinimalFailure | undefined;
  runSearch(search, executor, (result, run, plan) => {
    if (!isFailure(result)) return false;
    found = { preemptions: search.cost, plan, runs: run };
    return true;
  });
  return found;
}
