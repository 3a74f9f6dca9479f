/**
 * Verifies an entry of the gallery: its failure is found in the broken kernel, whatever the seed, within so many schedules; fails
 * again from its token; shrinks to as few preemptions as its page says; and in neither kernel anything else is found.
 */
import type { ExecutorKind } from '#machine/runner';
import type { ScenarioSource } from '#machine/scenario';
import { type CampaignOptions, type CampaignReport, type FailureFound, runCampaign } from './campaign.ts';
import { compileScenario } from './compile.ts';
import { isKnownRace } from './gallery-races.ts';
import { type GalleryEntry, galleryScenario, matches, scheduleLimit } from './gallery.ts';
import { replayToken } from './replay-token.ts';
import type { StrategyName } from './strategies.ts';

export interface VerifyOptions {
  /** The first seed. Default 1. */
  readonly seed?: number;
  /** So many seeds, one after the other. Default 1. */
  readonly seeds?: number | undefined;
  /** Schedules for finding it. Default: the entry's limit. */
  readonly runs?: number | undefined;
  /** Schedules for a fixed kernel that is not exhausted: half with PCT, half with POS. */
  readonly fixedRuns?: number | undefined;
  /** Schedules of the fixed kernel that are looked at for data races too, which most entries leave out. Default 0. */
  readonly raceRuns?: number | undefined;
  /** Runs to make the failure small; 0: the token is that of the run that was met. */
  readonly shrinkRuns?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What CPUs run on. Default: fibers. */
  readonly executor?: ExecutorKind | undefined;
}

export interface Verified {
  readonly id: string;
  readonly upstream: string;
  /** With every seed, within `limit` schedules. */
  readonly found: boolean;
  readonly seeds: number;
  /** Of the seeds, those that found it. */
  readonly foundSeeds: number;
  /** Schedules until it was found: the most that any seed needed, and the middle one. */
  readonly runsToFind: number | null;
  readonly runsToFindMedian: number | null;
  readonly limit: number;
  readonly kind: string | null;
  readonly title: string | null;
  /** Of the first seed. */
  readonly token: string | null;
  /** Every token, run again, failed in the same way. */
  readonly replayed: boolean;
  /** After shrinking, the most of any seed; null if it was not shrunk. */
  readonly preemptions: number | null;
  /** What the entry says that it shrinks to. */
  readonly preemptionsMax: number;
  /** What the broken kernel raised besides, in the runs that looked for it. */
  readonly otherFindings: readonly string[];
  readonly fixedClean: boolean;
  readonly fixedComplete: boolean;
  /** Where it is complete: within what. */
  readonly fixedBounds: Readonly<Record<string, number>> | null;
  readonly fixedRuns: number;
  /** Schedules of the fixed kernel by strategy. */
  readonly fixedStrategies: Readonly<Record<string, number>>;
  /** What went wrong in the fixed kernel. */
  readonly fixedFailures: readonly string[];
  /** All of the above is as it should be. */
  readonly ok: boolean;
  readonly seconds: number;
}

const FIXED_RUNS = 600;
/** Runs to make a failure as small as its entry says, and as many again below. Most take some dozens. */
const SHRINK_RUNS = 2_000;
const FIXED_STRATEGIES = ['pct', 'pos'] as const satisfies readonly StrategyName[];
/** Far more than any entry that calls itself provable needs. */
const PROOF_RUNS = 20_000;
/** Schedules of the broken kernel that are searched on, past what is expected, at most. */
const BROKEN_RUNS_MAX = 5_000;

const median = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.toSorted((a, b) => a - b)[(values.length - 1) >>> 1]!;

/** Everything a campaign has to say: warnings, and races that are only told, are findings too. */
function saidBy({ failures, reported }: CampaignReport): { readonly kind: string; readonly title: string }[] {
  return [...failures, ...reported].map(({ kind, title }) => ({ kind, title }));
}

class Verification {
  readonly #entry: GalleryEntry;
  readonly #options: VerifyOptions;
  readonly #broken: ScenarioSource;
  readonly #fixed: ScenarioSource;
  readonly #other = new Set<string>();

  constructor(entry: GalleryEntry, options: VerifyOptions, broken: ScenarioSource, fixed: ScenarioSource) {
    this.#entry = entry;
    this.#options = options;
    this.#broken = broken;
    this.#fixed = fixed;
  }

  async answer(): Promise<Verified> {
    const began = performance.now();
    const { id, upstream, preemptions: preemptionsMax } = this.#entry;
    const { seed = 1, seeds = 1 } = this.#options;
    const found: FailureFound[] = [];
    let replayed = true;
    for (let next = seed; next < seed + seeds && this.#goesOn(); next++) {
      const failure = await this.#find(next);
      if (failure === undefined) continue;
      found.push(failure);
      replayed &&= await this.#replays(failure.token);
    }
    await this.#lookForOthers();
    const { clean, ...fixed } = await this.#searchFixed();
    const [first] = found;
    const runs = found.map(({ foundAtRun }) => foundAtRun);
    const isShrunk = this.#options.shrinkRuns !== 0 && found.length > 0;
    const preemptions = isShrunk
      ? Math.max(...found.map(({ minimised }) => minimised.cost.preemptions))
      : null;
    const isFound = found.length === seeds;
    return {
      id,
      upstream,
      found: isFound,
      seeds,
      foundSeeds: found.length,
      runsToFind: runs.length === 0 ? null : Math.max(...runs),
      runsToFindMedian: median(runs),
      limit: scheduleLimit(this.#entry),
      kind: first?.kind ?? null,
      title: first?.title ?? null,
      token: first?.token ?? null,
      replayed: replayed && first !== undefined,
      preemptions,
      preemptionsMax,
      otherFindings: [...this.#other],
      fixedClean: clean,
      ...fixed,
      ok: isFound && replayed && (preemptions ?? 0) <= preemptionsMax && this.#other.size === 0 && clean,
      seconds: (performance.now() - began) / 1000,
    };
  }

  #goesOn(): boolean {
    return this.#options.signal?.aborted !== true;
  }

  async #campaign(
    source: ScenarioSource,
    name: string,
    strategy: StrategyName,
    more: Pick<CampaignOptions, 'runs' | 'keepGoing' | 'until'> &
      Partial<Pick<CampaignOptions, 'seed' | 'shrinkRuns' | 'shrinkTo' | 'races'>>,
  ): Promise<CampaignReport> {
    const { seed = 1, signal, executor } = this.#options;
    return runCampaign(source, { name, strategy, seed, signal, executor, shrinkRuns: 0, ...more });
  }

  /** By the default strategy. What is found instead, or besides, is kept. */
  async #find(seed: number): Promise<FailureFound | undefined> {
    const { shrinkRuns = SHRINK_RUNS } = this.#options;
    const { runs = scheduleLimit(this.#entry) } = this.#options;
    const report = await this.#campaign(this.#broken, this.#entry.id, 'portfolio', {
      runs,
      seed,
      shrinkRuns,
      shrinkTo: this.#entry.preemptions,
      until: (finding) => matches(this.#entry.expect, finding),
    });
    this.#keepOthers(report);
    return report.failures.find((failure) => matches(this.#entry.expect, failure));
  }

  async #replays(token: string): Promise<boolean> {
    const { findings, diverged } = await replayToken(token, this.#broken, {
      executor: this.#options.executor,
    });
    return diverged === undefined && findings.some((finding) => matches(this.#entry.expect, finding));
  }

  /** The broken kernel has one defect: whatever a search finds there is that one. */
  async #lookForOthers(): Promise<void> {
    const runs = Math.min(this.#options.fixedRuns ?? FIXED_RUNS, BROKEN_RUNS_MAX);
    if (this.#goesOn())
      this.#keepOthers(
        await this.#campaign(this.#broken, this.#entry.id, 'portfolio', { runs, keepGoing: true }),
      );
  }

  #keepOthers(report: CampaignReport): void {
    const known = [this.#entry.expect, ...(this.#entry.also ?? [])];
    for (const finding of saidBy(report)) {
      if (!known.some((one) => matches(one, finding))) this.#other.add(`${finding.kind}: ${finding.title}`);
    }
  }

  /** Data races of the fixed kernel that its time's code does not have. */
  async #racesOfFixed(): Promise<string[]> {
    const { raceRuns: runs = 0 } = this.#options;
    if (runs === 0 || !this.#goesOn()) return [];
    const name = `${this.#entry.id}/fixed`;
    const { reported } = await this.#campaign(this.#fixed, name, 'pos', { runs, races: 'report' });
    const unknown = reported.filter((finding) => finding.kind === 'data-race' && !isKnownRace(finding));
    return unknown.map(({ kind, title }) => `${kind}: ${title}`);
  }

  async #searchFixed(): Promise<
    Pick<Verified, 'fixedComplete' | 'fixedBounds' | 'fixedRuns' | 'fixedStrategies' | 'fixedFailures'> & {
      readonly clean: boolean;
    }
  > {
    const name = `${this.#entry.id}/fixed`;
    const { fixedRuns = FIXED_RUNS } = this.#options;
    const reports: [StrategyName, CampaignReport][] = [];
    const isProved = (): boolean =>
      reports.some(([, { statement, limit }]) => statement.complete && limit === undefined);
    if (this.#entry.provable === true)
      reports.push(['dpor', await this.#campaign(this.#fixed, name, 'dpor', { runs: PROOF_RUNS })]);
    if (!isProved()) {
      const runs = Math.ceil(fixedRuns / FIXED_STRATEGIES.length);
      for (const strategy of FIXED_STRATEGIES) {
        if (this.#goesOn())
          reports.push([strategy, await this.#campaign(this.#fixed, name, strategy, { runs })]);
      }
    }
    const said = reports.flatMap(([, report]) =>
      saidBy(report).map(({ kind, title }) => `${kind}: ${title}`),
    );
    for (const race of await this.#racesOfFixed()) said.push(race);
    // A schedule that was cut short has not been seen to its end.
    const cutShort = reports.flatMap(([, { limit }]) =>
      limit === undefined ? [] : [`stopped by: ${limit}`],
    );
    const fixedComplete = isProved();
    const sampled = reports
      .filter(([strategy]) => strategy !== 'dpor')
      .reduce((sum, [, { runs }]) => sum + runs, 0);
    const proof = reports.find(([strategy]) => strategy === 'dpor')?.[1];
    return {
      clean: said.length + cutShort.length === 0 && (fixedComplete || sampled >= fixedRuns),
      fixedComplete,
      fixedBounds: fixedComplete ? (proof?.statement.bounds ?? null) : null,
      fixedRuns: fixedComplete ? proof!.runs : sampled,
      fixedStrategies: Object.fromEntries(reports.map(([strategy, { runs }]) => [strategy, runs])),
      fixedFailures: [...new Set([...said, ...cutShort])],
    };
  }
}

/** Finds the failure, runs it again from its token, and searches both kernels for anything else. */
export async function verifyEntry(entry: GalleryEntry, options: VerifyOptions = {}): Promise<Verified> {
  const { executor } = options;
  const broken = await compileScenario(galleryScenario(entry.id)!, executor);
  const fixed = await compileScenario(galleryScenario(`${entry.id}/fixed`)!, executor);
  return new Verification(entry, options, broken, fixed).answer();
}
