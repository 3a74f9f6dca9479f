/**
 * The gallery: real races, each a folder beside the build with a broken kernel, a fixed one, and what is to be found.
 * An entry is verified by finding its failure in the broken kernel, running the token again, and searching the fixed one.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { SmplabError } from '#base/errors';
import { type CampaignReport, type FailureFound, runCampaign } from './campaign.ts';
import { compileScenario } from './compile.ts';
import { replayToken } from './replay-token.ts';
import type { ExecutorKind } from '#machine/runner';
import type { StrategyName } from './strategies.ts';

/** entry.json */
export interface GalleryEntry {
  readonly id: string;
  readonly title: string;
  /** The simulated kernel's version. */
  readonly kernel: string;
  /** The commit that mended it, or where the specification speaks of it. */
  readonly upstream: string;
  /** Of what is to be found: its kind, and a regular expression for its title. */
  readonly expect: { readonly kind: string; readonly title: string };
  /** Kernel functions that are replaced, in each of the two kernels. */
  readonly livepatches: { readonly broken: readonly string[]; readonly fixed: readonly string[] };
  /** The fixed kernel is small enough to be exhausted. */
  readonly provable?: boolean;
  /** How it is found: the default strategy unless said otherwise, and schedules at most. */
  readonly search: { readonly strategy?: StrategyName; readonly depth?: number; readonly runs: number };
}

export interface VerifyOptions {
  readonly seed?: number;
  /** Schedules for the fixed kernel: a third each with the default strategy, PCT and POS. */
  readonly fixedRuns?: number | undefined;
  /** Runs to make the failure small; 0: the token is that of the run that was met. */
  readonly shrinkRuns?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What CPUs run on. Default: fibers. */
  readonly executor?: ExecutorKind | undefined;
}

export interface Verified {
  readonly id: string;
  readonly upstream: string;
  readonly found: boolean;
  readonly runsToFind: number | null;
  readonly kind: string | null;
  readonly title: string | null;
  readonly token: string | null;
  /** The token, run again, failed in the same way. */
  readonly replayed: boolean;
  readonly fixedClean: boolean;
  readonly fixedComplete: boolean;
  readonly fixedRuns: number;
  /** What went wrong in the fixed kernel. */
  readonly fixedFailures: readonly string[];
  readonly seconds: number;
}

const FIXED_RUNS = 600;
/** Runs to make a failure small: verifying needs a token, not the smallest. */
const SHRINK_RUNS = 40;
const FIXED_STRATEGIES = ['portfolio', 'pct', 'pos'] as const satisfies readonly StrategyName[];
/** Far more than any entry that calls itself provable needs. */
const PROOF_RUNS = 20_000;
const BROKEN = 'scenario.ts';
const FIXED = 'fixed.ts';

/** The folder that ships with the build. */
function galleryFolder(): string {
  const here = fileURLToPath(import.meta.url);
  const root = here.slice(0, Math.max(here.lastIndexOf('/dist/'), here.lastIndexOf('/src/')));
  const built = path.join(root, 'dist/gallery');
  return existsSync(built) ? built : path.join(root, 'src/gallery');
}

function readEntry(folder: string, id: string): GalleryEntry {
  const text = readFileSync(path.join(folder, id, 'entry.json'), 'utf8');
  return { ...(JSON.parse(text) as Omit<GalleryEntry, 'id'>), id };
}

/** Every entry, by id. */
export function galleryEntries(): GalleryEntry[] {
  const folder = galleryFolder();
  return readdirSync(folder)
    .toSorted()
    .filter((id) => existsSync(path.join(folder, id, 'entry.json')))
    .map((id) => readEntry(folder, id));
}

/** @throws SmplabError SMPLAB_BAD_USAGE for an id that is none */
export function galleryEntry(id: string): GalleryEntry {
  const entries = galleryEntries();
  const found = entries.find((entry) => entry.id === id);
  if (found !== undefined) return found;
  throw new SmplabError(
    'SMPLAB_BAD_USAGE',
    `the gallery has no entry ${id}; it has ${entries.map((one) => one.id).join(', ')}`,
  );
}

/** The file whose patches mend what hotplug breaks in kvm-54. */
export function mendedKernel(): string {
  return path.join(galleryFolder(), 'internal/kvm-54-mended.ts');
}

/** An entry's page for people. */
export function galleryPage(id: string): string {
  return readFileSync(path.join(galleryFolder(), galleryEntry(id).id, 'README.md'), 'utf8');
}

/** The scenario that an id means: `ID` the broken kernel, `ID/fixed` the fixed one. Undefined if it is no id. */
export function galleryScenario(name: string): string | undefined {
  const [id = '', which] = name.split('/');
  if (!/^[a-z0-9-]+$/.test(id) || (which !== undefined && which !== 'fixed') || name.split('/').length > 2)
    return undefined;
  const file = path.join(galleryFolder(), id, which === undefined ? BROKEN : FIXED);
  return existsSync(path.join(galleryFolder(), id, 'entry.json')) && existsSync(file) ? file : undefined;
}

function isExpected(
  { expect }: GalleryEntry,
  { kind, title }: { readonly kind: string; readonly title: string },
): boolean {
  return kind === expect.kind && new RegExp(expect.title).test(title);
}

/** Searches the broken kernel with the entry's own strategy and budget. */
async function findBroken(
  entry: GalleryEntry,
  { seed = 1, shrinkRuns = SHRINK_RUNS, signal, executor }: VerifyOptions,
): Promise<FailureFound | undefined> {
  const { strategy = 'portfolio', depth, runs } = entry.search;
  const source = await compileScenario(galleryScenario(entry.id)!, executor);
  const report = await runCampaign(source, {
    name: entry.id,
    strategy,
    depth,
    runs,
    seed,
    shrinkRuns,
    signal,
    executor,
  });
  return report.failures.find((failure) => isExpected(entry, failure));
}

async function replays(
  entry: GalleryEntry,
  token: string,
  executor: ExecutorKind | undefined,
): Promise<boolean> {
  const source = await compileScenario(galleryScenario(entry.id)!, executor);
  const { findings, diverged } = await replayToken(token, source, { executor });
  return diverged === undefined && findings.some((finding) => isExpected(entry, finding));
}

async function searchFixed(entry: GalleryEntry, options: VerifyOptions): Promise<CampaignReport[]> {
  const { executor } = options;
  const source = await compileScenario(galleryScenario(`${entry.id}/fixed`)!, executor);
  if (entry.provable === true) {
    const { seed = 1, signal } = options;
    const name = `${entry.id}/fixed`;
    return [
      await runCampaign(source, {
        name,
        strategy: 'dpor',
        runs: PROOF_RUNS,
        seed,
        shrinkRuns: SHRINK_RUNS,
        signal,
        executor,
      }),
    ];
  }
  const runs = Math.ceil((options.fixedRuns ?? FIXED_RUNS) / FIXED_STRATEGIES.length);
  const reports: CampaignReport[] = [];
  for (const strategy of FIXED_STRATEGIES) {
    if (options.signal?.aborted === true) break;
    const { seed = 1, signal } = options;
    reports.push(
      await runCampaign(source, {
        name: `${entry.id}/fixed`,
        strategy,
        runs,
        seed,
        shrinkRuns: SHRINK_RUNS,
        signal,
        executor,
      }),
    );
  }
  return reports;
}

/** Finds the failure, runs it again from its token, and searches the fixed kernel. */
export async function verifyEntry(entry: GalleryEntry, options: VerifyOptions = {}): Promise<Verified> {
  const began = performance.now();
  const failure = await findBroken(entry, options);
  const replayed = failure !== undefined && (await replays(entry, failure.token, options.executor));
  const fixed = await searchFixed(entry, options);
  const failures = fixed.flatMap((report) => report.failures.map(({ kind, title }) => `${kind}: ${title}`));
  // A schedule that was cut short has not been seen to its end.
  const cutShort = fixed.flatMap(({ limit }) => (limit === undefined ? [] : [`stopped by: ${limit}`]));
  const fixedComplete = fixed.some(({ statement, limit }) => statement.complete && limit === undefined);
  const isCovered = entry.provable === true ? fixedComplete : fixed.length === FIXED_STRATEGIES.length;
  return {
    id: entry.id,
    upstream: entry.upstream,
    found: failure !== undefined,
    runsToFind: failure?.foundAtRun ?? null,
    kind: failure?.kind ?? null,
    title: failure?.title ?? null,
    token: failure?.token ?? null,
    replayed,
    fixedClean: isCovered && failures.length === 0 && cutShort.length === 0,
    fixedComplete,
    fixedRuns: fixed.reduce((sum, { runs }) => sum + runs, 0),
    fixedFailures: [...failures, ...cutShort],
    seconds: (performance.now() - began) / 1000,
  };
}
