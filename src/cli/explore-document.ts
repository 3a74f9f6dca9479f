/** What a campaign came to, as the document `smplab explore --json` prints: one process's, or that of several put together. */
import type { CampaignReport, FailureFound } from '#explore/campaign';
import { diagram } from '#explore/failure-text';
import type { Fault } from '#machine/config';
import { faultText } from '#machine/fault-text';
import { plain } from '#report/paint';

export interface FailureDocument {
  readonly kind: string;
  readonly title: string;
  readonly token: string;
  readonly tokenLong: string;
  readonly foundAtRun: number;
  readonly cpu?: number;
  readonly stack: readonly string[];
  readonly detail: string;
  readonly minimised: {
    readonly preemptions: number;
    readonly switches: number;
    readonly steps: number;
    readonly minimal: boolean;
    readonly diagram: readonly string[];
  };
  readonly decisive: readonly { readonly first: number; readonly second: number; readonly outcome: string }[];
}

export interface ExploreDocument {
  readonly schema: 'smplab.explore/1';
  readonly scenario: string;
  readonly ok: boolean;
  readonly strategy: string;
  readonly seed: number;
  readonly memoryModel: 'sc' | 'tso';
  /** Injected faults, as --fault takes them. */
  readonly faults: readonly string[];
  readonly cpus: number;
  readonly jobs: number;
  readonly runs: number;
  readonly steps: number;
  readonly switches: number;
  readonly distinctTraces: number;
  readonly unseenShare: number;
  readonly complete: boolean;
  readonly unproved: string | null;
  readonly limit: string | null;
  readonly bounds: Readonly<Record<string, number>>;
  readonly missed: readonly {
    readonly depth: number;
    readonly runs: number;
    readonly missedAtMost: number;
  }[];
  readonly failures: readonly FailureDocument[];
  readonly races: readonly { readonly title: string; readonly detail: string }[];
  readonly warnings: readonly { readonly kind: string; readonly title: string }[];
  readonly seconds: number;
  readonly schedulesPerSecond: number;
}

function failureDocument(failure: FailureFound): FailureDocument {
  const { kind, title, finding, foundAtRun, token, tokenLong, minimised, shown, explanation } = failure;
  return {
    kind,
    title,
    token,
    tokenLong,
    foundAtRun,
    ...(finding.cpu === undefined ? {} : { cpu: finding.cpu }),
    stack: finding.stack ?? [],
    detail: finding.detail ?? '',
    minimised: {
      preemptions: minimised.cost.preemptions,
      switches: minimised.cost.switches,
      steps: minimised.cost.steps,
      minimal: minimised.minimal,
      diagram: shown === undefined ? [] : diagram({ shown, explanation, finding }, plain),
    },
    decisive: (explanation?.decisive ?? []).map(({ first, second, outcome }) => ({
      first: first.index,
      second: second.index,
      outcome,
    })),
  };
}

export function exploreDocument(
  report: CampaignReport,
  {
    strategy,
    seed,
    faults = [],
  }: { readonly strategy: string; readonly seed: number; readonly faults?: readonly Fault[] | undefined },
): ExploreDocument {
  const { statement } = report;
  const races = report.reported.filter(({ kind }) => kind === 'data-race');
  const warnings = report.reported.filter(({ kind }) => kind !== 'data-race');
  return {
    schema: 'smplab.explore/1',
    scenario: report.scenario,
    ok: report.failures.length === 0,
    strategy,
    seed,
    memoryModel: report.memoryModel,
    faults: faults.map(faultText),
    cpus: report.cpus,
    jobs: 1,
    runs: report.runs,
    steps: report.steps,
    switches: report.switches,
    distinctTraces: statement.traces,
    unseenShare: statement.unseenShare,
    complete: statement.complete && report.limit === undefined,
    unproved: statement.unproved ?? null,
    limit: report.limit ?? null,
    bounds: statement.bounds,
    missed: statement.missed ?? [],
    failures: report.failures.map(failureDocument),
    races: races.map(({ title, detail = '' }) => ({ title, detail })),
    warnings: warnings.map(({ kind, title }) => ({ kind, title })),
    seconds: report.seconds,
    schedulesPerSecond: report.runs / Math.max(report.seconds, 1e-9),
  };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** The same thing told by several parts, once: by kind and title; of a failure the one with the smallest run. */
function once<T extends { readonly title: string; readonly kind?: string }>(all: readonly T[]): T[] {
  const seen = new Map<string, T>();
  for (const one of all) {
    const key = `${one.kind ?? ''} ${one.title}`;
    if (!seen.has(key)) seen.set(key, one);
  }
  return [...seen.values()];
}

/**
 * Parts of one campaign, put together. What can only be counted where all runs are known is said as a bound: different
 * schedules are at least those of the part that saw most; a chance of having missed something is the parts' product.
 * @param isPartition the parts are disjoint by construction (exhaustive search): their counts add up
 */
export function mergeDocuments(parts: readonly ExploreDocument[], isPartition: boolean): ExploreDocument {
  const [first] = parts as readonly [ExploreDocument, ...ExploreDocument[]];
  const runs = sum(parts.map((part) => part.runs));
  const seconds = Math.max(...parts.map((part) => part.seconds));
  const traces = parts.map((part) => part.distinctTraces);
  const failures = once(
    parts.flatMap((part) => part.failures).toSorted((a, b) => a.foundAtRun - b.foundAtRun),
  );
  const bounds: Record<string, number> = {};
  for (const { bounds: some } of parts)
    for (const [name, value] of Object.entries(some))
      bounds[name] =
        isPartition && ADDED.has(name) ? (bounds[name] ?? 0) + value : Math.max(bounds[name] ?? 0, value);
  return {
    ...first,
    ok: failures.length === 0,
    jobs: parts.length,
    runs,
    steps: sum(parts.map((part) => part.steps)),
    switches: sum(parts.map((part) => part.switches)),
    distinctTraces: isPartition ? sum(traces) : Math.max(...traces),
    unseenShare: sum(parts.map((part) => part.unseenShare * part.runs)) / Math.max(runs, 1),
    complete: isPartition && parts.every((part) => part.complete),
    unproved: parts.find((part) => part.unproved !== null)?.unproved ?? null,
    limit: parts.find((part) => part.limit !== null)?.limit ?? null,
    bounds,
    missed: first.missed.map(({ depth }) => {
      const same = parts.flatMap(({ missed }) => missed.filter((one) => one.depth === depth));
      return {
        depth,
        runs: sum(same.map((one) => one.runs)),
        missedAtMost: same.reduce((chance, one) => chance * one.missedAtMost, 1),
      };
    }),
    failures,
    races: once(parts.flatMap((part) => part.races)),
    warnings: once(parts.flatMap((part) => part.warnings)),
    seconds,
    schedulesPerSecond: runs / Math.max(seconds, 1e-9),
  };
}

/** Bounds of an exhaustive search that count something. */
const ADDED: ReadonlySet<string> = new Set([
  'redundant',
  'misses',
  'reversals',
  'restarts',
  'discarded',
  'estimate',
]);
