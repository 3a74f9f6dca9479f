/**
 * Campaigns of random runs under one policy.
 *
 * Run i is a function of the campaign's seed, of i, and of the trial runs before it: the first 16 runs of the same
 * campaign and then runs 16, 32, 64, ..., from which lengths and counts are measured. Every shard makes the trial
 * runs, whoever they belong to, so that all shards together make the runs of the unsharded campaign. So a later run
 * that is longer than any before is learnt from at the next trial run and not at once.
 *
 * One thing is not in our hands: which steps are choice points depends on the memory that the executor has seen
 * shared. The trial runs come first so that all shards have seen the same; where a later run shows more, shards may
 * differ from there on.
 */
import { seedState } from '#base/prng';
import { policyNumber } from '#scheduler/policies';
import { TraceCoverage } from './coverage.ts';
import { Estimate } from './estimate.ts';
import { type Plan, type RunResult, RunStop } from './executor.ts';
import { PctBounds } from './pct-bounds.ts';
import type { Search, Statement } from './search.ts';

export const SAMPLING_STRATEGIES = [
  'round-robin',
  'random',
  'pct',
  'pos',
  'urw',
  'surw',
  'delay-bounded',
] as const;
export type SamplingStrategy = (typeof SAMPLING_STRATEGIES)[number];

export interface SamplingOptions {
  readonly strategy: SamplingStrategy;
  /** pct: orderings that make a bug; delay-bounded: delays. From 1; 3 unless told. */
  readonly depth?: number;
  /** Any 32-bit value. */
  readonly seed: number;
  /** Of the whole campaign, over all shards. */
  readonly runs: number;
  /** Shard `index` (from 0) of `of`. */
  readonly shard?: { readonly index: number; readonly of: number };
}

/** The seed of a campaign's run: unrelated for neighbours in either. Never 0. */
export function runSeed(seed: number, run: number): number {
  return seedState(seedState(seed) + Math.imul(run, 0x9e3779b1));
}

/** Trial runs at the start. */
export const TRIALS_FIRST = 16;

function isTrial(run: number): boolean {
  return run < TRIALS_FIRST || (run & (run - 1)) === 0;
}

/** Room above the longest trial run: most later runs that are longer are longer by little. */
export function withRoom(steps: number): number {
  return steps + (steps >>> 3) + 1;
}

/**
 * The depth run `run` of a PCT(depth) campaign has. What PCT promises of a bug of depth e it promises for runs of just
 * that depth: more change points may disturb. So one run in four is of a smaller depth, each in turn.
 */
export function depthOfRun(run: number, depth: number): number {
  return depth > 1 && run % 4 === 3 ? 1 + ((run >>> 2) % (depth - 1)) : depth;
}

/** Parameters of a policy for one run. */
export function parametersFor(
  strategy: SamplingStrategy,
  estimate: Estimate,
  { depth, seed }: { depth: number; seed: number },
): readonly number[] {
  switch (strategy) {
    case 'pct':
    case 'delay-bounded':
      return [depth, withRoom(estimate.steps)];
    case 'urw':
      return estimate.counts();
    case 'surw': {
      const words = estimate.words();
      if (words.length === 0) return [0, 0, ...estimate.countsOn(0)];
      const address = words[seedState(seed) % words.length]!;
      return [address, address + 4, ...estimate.countsOn(address)];
    }
    case 'round-robin':
    case 'random':
    case 'pos':
      return [];
    default:
      return strategy satisfies never;
  }
}

export class SamplingCampaign implements Search {
  private readonly options: SamplingOptions;
  private readonly depth: number;
  private readonly index: number;
  private readonly of: number;
  readonly coverage = new TraceCoverage();
  private readonly bounds: PctBounds;
  /** From the trial runs alone: the same in every shard. */
  private readonly trial = new Estimate();
  /** From every run made here: lengths alone, since nothing else is said of them. */
  private readonly measured = new Estimate({ lengths: true });
  private upcoming = 0;
  private running = -1;
  private plan: Plan | undefined;
  private cutShort = 0;

  constructor(options: SamplingOptions) {
    this.options = options;
    this.depth = options.depth ?? 3;
    this.index = options.shard?.index ?? 0;
    this.of = options.shard?.of ?? 1;
    this.bounds = new PctBounds(this.depth);
  }

  private isOwn(run: number): boolean {
    return run % this.of === this.index;
  }

  next(): Plan | undefined {
    let run = this.upcoming;
    while (run < this.options.runs && !this.isOwn(run) && !isTrial(run)) run++;
    this.upcoming = run + 1;
    if (run >= this.options.runs) return undefined;
    this.running = run;
    this.plan = this.planOf(run);
    return this.plan;
  }

  private planOf(run: number): Plan {
    const seed = runSeed(this.options.seed, run);
    const { strategy } = this.options;
    // Nothing is known before the first run, and a random walk needs to know nothing.
    const name = this.trial.isEmpty && strategy !== 'round-robin' && strategy !== 'pos' ? 'random' : strategy;
    const depth = strategy === 'pct' ? depthOfRun(run, this.depth) : this.depth;
    const parameters = parametersFor(name, this.trial, { depth, seed });
    return { prefix: [], policy: policyNumber(name), seed, parameters };
  }

  observe(result: RunResult): void {
    if (isTrial(this.running)) this.trial.observe(result);
    this.measured.observe(result);
    // Somebody else's trial run: counted there.
    if (!this.isOwn(this.running)) return;
    this.coverage.add(result.log);
    if (result.stop === RunStop.STEP_LIMIT) this.cutShort++;
    else if (this.plan!.policy === policyNumber('pct')) {
      const [depth, steps] = this.plan!.parameters!;
      this.bounds.count(depth!, steps!);
    }
  }

  statement(): Statement {
    const { strategy } = this.options;
    const { actors, steps } = this.measured;
    const measures = { actors, steps, ...(strategy === 'pct' ? { depth: this.depth } : {}) };
    return {
      strategy,
      executions: this.coverage.executions,
      traces: this.coverage.traces,
      unseenShare: this.coverage.unseenShare(),
      complete: false,
      bounds: measures,
      ...(strategy === 'pct' ? { missed: this.bounds.missed(actors, steps) } : {}),
      cutShort: this.cutShort,
    };
  }
}
