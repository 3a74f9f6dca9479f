/** From a strategy's name to a search. */
import { SmplabError } from '#base/errors';
import { BoundedSearch } from './bounded.ts';
import { DporSearch } from './dpor.ts';
import { Portfolio } from './portfolio.ts';
import { SAMPLING_STRATEGIES, SamplingCampaign, type SamplingStrategy } from './sampling.ts';
import type { Search } from './search.ts';

/** `preemptions` and `delays` are exhaustive within a growing bound, `dpor` without one. */
export const STRATEGIES = ['portfolio', 'dpor', 'preemptions', 'delays', ...SAMPLING_STRATEGIES] as const;
export type StrategyName = (typeof STRATEGIES)[number];

/** Runs of a search by chance that nobody limited. */
const RUNS_DEFAULT = 10_000;
/** Exhaustive searches end by themselves; this is for those that would not. */
const RUNS_EXHAUSTIVE = 10_000_000;
const EXHAUSTIVE: ReadonlySet<string> = new Set<StrategyName>(['dpor', 'preemptions', 'delays']);

/** A search that can come to its end, perhaps within a bound. */
export function isExhaustive(strategy: string): boolean {
  return EXHAUSTIVE.has(strategy);
}

/** Runs of a search of which the user said neither, one or both of these. */
export function runsAtMost(strategy: StrategyName, runs?: number, seconds?: number): number {
  return runs ?? (isExhaustive(strategy) || seconds !== undefined ? RUNS_EXHAUSTIVE : RUNS_DEFAULT);
}

export interface StrategyOptions {
  readonly strategy: StrategyName;
  /** pct: depth; preemptions and delays: the last bound. */
  readonly depth?: number | undefined;
  readonly seed: number;
  readonly runs: number;
  readonly shard?: { readonly index: number; readonly of: number } | undefined;
}

export function searchFor({ strategy, depth, seed, runs, shard }: StrategyOptions): Search {
  const common = {
    seed,
    runs,
    ...(depth === undefined ? {} : { depth }),
    ...(shard === undefined ? {} : { shard }),
  };
  if (strategy === 'portfolio') return new Portfolio(common);
  if (strategy === 'dpor') return new DporSearch({ runs });
  if (strategy === 'preemptions' || strategy === 'delays') {
    return new BoundedSearch({ kind: strategy, runs, ...(depth === undefined ? {} : { boundMax: depth }) });
  }
  if (SAMPLING_STRATEGIES.includes(strategy)) {
    return new SamplingCampaign({ ...common, strategy: strategy satisfies SamplingStrategy });
  }
  throw new SmplabError('SMPLAB_BAD_USAGE', `no strategy ${strategy}`);
}
