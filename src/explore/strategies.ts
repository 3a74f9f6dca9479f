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
