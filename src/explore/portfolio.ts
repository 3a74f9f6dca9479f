/**
 * The default way to search: several strategies side by side, since each is blind to something.
 *
 * Directed search finds what a few reversed conflicts bring about, in few runs; POS and SURW sample orders of conflicts
 * without a plan, so what needs many of them; PCT promises a probability for every bug of small depth. They take turns
 * and do not listen to each other: run i is the same whoever else has run, so that shards together make the runs of the
 * whole. Directed search learns from run to run and cannot be divided: shard 0 makes it.
 */
import { TraceCoverage } from './coverage.ts';
import { DirectedSearch } from './directed.ts';
import { type Plan, type RunResult, RunStop } from './executor.ts';
import { SamplingCampaign, type SamplingStrategy } from './sampling.ts';
import type { Search, Statement } from './search.ts';

export interface PortfolioOptions {
  readonly seed: number;
  /** Of the whole campaign, over all shards. */
  readonly runs: number;
  /** PCT's; 3 unless told. */
  readonly depth?: number;
  readonly shard?: { readonly index: number; readonly of: number };
}

/** Who is next, around. Directed search goes first: its first runs are the serial ones. */
const TURNS = ['directed', 'directed', 'directed', 'pos', 'directed', 'directed', 'pct', 'directed', 'surw'] as const;
type Lane = (typeof TURNS)[number];

export class Portfolio implements Search {
  private readonly lanes: ReadonlyMap<Lane, Search>;
  private readonly coverage = new TraceCoverage();
  private readonly finished = new Set<Lane>();
  private turn = 0;
  private lane: Lane = 'directed';
  private cutShort = 0;

  constructor({ seed, runs, depth = 3, shard = { index: 0, of: 1 } }: PortfolioOptions) {
    const shareOf = (lane: Lane): number =>
      Math.ceil((runs * TURNS.filter((one) => one === lane).length) / TURNS.length);
    const sampling = (strategy: SamplingStrategy & Lane, offset: number): [Lane, Search] => [
      strategy,
      new SamplingCampaign({ strategy, depth, seed: seed + offset, runs: shareOf(strategy), shard }),
    ];
    this.lanes = new Map<Lane, Search>([
      ['directed', new DirectedSearch({ runs: shard.index === 0 ? shareOf('directed') : 0 })],
      sampling('pos', 1),
      sampling('pct', 2),
      sampling('surw', 3),
    ]);
  }

  next(): Plan | undefined {
    while (this.finished.size < this.lanes.size) {
      this.lane = TURNS[this.turn++ % TURNS.length]!;
      if (this.finished.has(this.lane)) continue;
      const plan = this.lanes.get(this.lane)!.next();
      if (plan !== undefined) return plan;
      this.finished.add(this.lane);
    }
    return undefined;
  }

  observe(result: RunResult): void {
    if (result.stop === RunStop.STEP_LIMIT) this.cutShort++;
    this.coverage.add(result.log);
    this.lanes.get(this.lane)!.observe(result);
  }

  statement(): Statement {
    const pct = this.lanes.get('pct')!.statement();
    return {
      strategy: 'portfolio',
      executions: this.coverage.executions,
      traces: this.coverage.traces,
      unseenShare: this.coverage.unseenShare(),
      complete: false,
      bounds: pct.bounds,
      ...(pct.missed === undefined ? {} : { missed: pct.missed }),
      cutShort: this.cutShort,
    };
  }
}
