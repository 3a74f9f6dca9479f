/**
 * The default way to search: several strategies side by side, since each is blind to something.
 *
 * Directed search finds what a few reversed conflicts bring about, in few runs; POS and SURW sample orders of
 * conflicts without a plan, so what needs many of them; PCT promises a probability for every bug of small depth. They
 * take turns and do not listen to each other: run i is the same whoever else has run, so that shards together make the
 * runs of the whole. Directed search learns from run to run and cannot be divided: shard 0 makes it. Its first runs,
 * as the trial runs of the others, every shard makes, so that all have seen the same memory shared when their ways
 * part.
 */
import { TraceCoverage } from './coverage.ts';
import { DirectedSearch } from './directed.ts';
import { type Plan, type RunResult, RunStop } from './executor.ts';
import { SamplingCampaign, type SamplingStrategy, TRIALS_FIRST } from './sampling.ts';
import type { Search, Statement } from './search.ts';

export interface PortfolioOptions {
  readonly seed: number;
  /** Of the whole campaign, over all shards. */
  readonly runs: number;
  /** PCT's; 3 unless told. */
  readonly depth?: number;
  readonly shard?: { readonly index: number; readonly of: number };
}

/**
 * Who is next, around. At first mostly directed search: the bugs it is good at it finds within a hundred runs.
 * Whatever is still hidden then needs an order that it does not think of.
 */
const EARLY = [
  'directed',
  'directed',
  'pos',
  'directed',
  'directed',
  'directed',
  'surw',
  'directed',
  'directed',
  'directed',
  'pct',
] as const;
const LATE = ['pos', 'pct', 'surw', 'directed', 'pos', 'pct', 'surw', 'random'] as const;
const EARLY_TURNS = 16 * EARLY.length;
type Lane = (typeof EARLY)[number] | (typeof LATE)[number];

function laneOf(turn: number): Lane {
  return turn < EARLY_TURNS ? EARLY[turn % EARLY.length]! : LATE[(turn - EARLY_TURNS) % LATE.length]!;
}

/** How many of the campaign's runs are a lane's. */
function shareOf(lane: Lane, runs: number): number {
  let share = 0;
  for (let turn = 0; turn < runs; turn++) if (laneOf(turn) === lane) share++;
  return share;
}

export class Portfolio implements Search {
  private readonly lanes: ReadonlyMap<Lane, Search>;
  private readonly coverage = new TraceCoverage();
  private readonly runs: number;
  private turn = 0;
  private lane: Lane = 'directed';
  private cutShort = 0;

  constructor({ seed, runs, depth = 3, shard = { index: 0, of: 1 } }: PortfolioOptions) {
    const sampling = (strategy: SamplingStrategy & Lane, offset: number): [Lane, Search] => [
      strategy,
      new SamplingCampaign({ strategy, depth, seed: seed + offset, runs: shareOf(strategy, runs), shard }),
    ];
    const directed = shareOf('directed', runs);
    const directedRuns = shard.index === 0 ? directed : Math.min(directed, TRIALS_FIRST);
    this.runs = runs;
    this.lanes = new Map<Lane, Search>([
      ['directed', new DirectedLane(directedRuns, seed)],
      sampling('pos', 1),
      sampling('pct', 2),
      sampling('surw', 3),
      sampling('random', 4),
    ]);
  }

  next(): Plan | undefined {
    // A lane of another shard, or one that has nothing left, lets the next one pass.
    while (this.turn < this.runs) {
      this.lane = laneOf(this.turn++);
      const plan = this.lanes.get(this.lane)!.next();
      if (plan !== undefined) return plan;
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

/** Directed search and, when it has no pair left to flip, POS for the rest of its runs. */
class DirectedLane implements Search {
  private readonly directed: DirectedSearch;
  private readonly rest: SamplingCampaign;
  private readonly runs: number;
  private made = 0;
  private isDirected = true;

  constructor(runs: number, seed: number) {
    this.runs = runs;
    this.directed = new DirectedSearch({ runs });
    this.rest = new SamplingCampaign({ strategy: 'pos', seed, runs });
  }

  next(): Plan | undefined {
    if (this.made++ >= this.runs) return undefined;
    const plan = this.isDirected ? this.directed.next() : undefined;
    this.isDirected = plan !== undefined;
    return plan ?? this.rest.next();
  }

  observe(result: RunResult): void {
    (this.isDirected ? this.directed : this.rest).observe(result);
  }

  statement(): Statement {
    return this.directed.statement();
  }
}
