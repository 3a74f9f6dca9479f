/**
 * A campaign on several cores, in parts: random runs are divided by number; an exhaustive search is begun here, and what it
 * has not explored yet is given away branch by branch. On fibers a part is a thread's work, this one's among them. Where a machine's CPUs are
 * threads, it is a process's, since they want to be on one core.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CampaignOptions } from '#explore/campaign';
import { runInParallel } from '#explore/parallel';
import type { ScenarioSource } from '#machine/scenario';
import { childDocument } from './child.ts';
import type { ExploreDocument } from './explore-document.ts';
import type { JobOptions } from './job.ts';
import type { JobPool } from './job-pool.ts';

/** What is a part's own. */
type Part = Pick<CampaignOptions, 'shard' | 'branch'>;

/** Who does parts. */
export interface Workers {
  /** undefined: it was stopped before it had anything to say. */
  run(part: Part, core: number): Promise<ExploreDocument | undefined>;
  /** The others come back with what they have. */
  stop(): void;
}

export interface PartOptions {
  readonly workers: Workers;
  readonly jobs: number;
  /** Ends the others once one part has found something. */
  readonly isEnough: (document: ExploreDocument) => boolean;
  readonly signal: AbortSignal;
}

/** @param takesPart this thread does the parts of core 0: long ones, since it hears of others only between runs */
export function threadWorkers(
  pool: JobPool,
  source: ScenarioSource,
  campaign: JobOptions,
  takesPart: boolean,
): Workers {
  return {
    run(part, core) {
      const task = { source, options: { ...campaign, ...part } };
      return takesPart && core === 0 ? pool.runHere(task) : pool.run(task);
    },
    stop: () => {
      pool.stop();
    },
  };
}

/** @param given arguments after `explore`, without --jobs, --shard and --json */
export function processWorkers(given: readonly string[]): Workers {
  const stop = new AbortController();
  return {
    run: (part, core) =>
      withArguments(part, async (own) => {
        const text = await childDocument(
          ['explore', ...given, ...own, '--core', String(core), '--json'],
          stop.signal,
        );
        return text === undefined ? undefined : (JSON.parse(text) as ExploreDocument);
      }),
    stop: () => {
      stop.abort();
    },
  };
}

async function withArguments<T>(
  { shard, branch }: Part,
  run: (own: readonly string[]) => Promise<T>,
): Promise<T> {
  if (shard !== undefined) return run(['--shard', `${shard.index + 1}/${shard.of}`]);
  const folder = mkdtempSync(path.join(tmpdir(), 'smplab-branch-'));
  try {
    const file = path.join(folder, 'branch.json');
    writeFileSync(file, branch!);
    return await run(['--branch', file]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function runParts(parts: readonly Part[], options: PartOptions): Promise<ExploreDocument[]> {
  const { workers, signal } = options;
  let isOver = signal.aborted;
  const stop = (): void => {
    isOver = true;
    workers.stop();
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    const documents = await runInParallel(options.jobs, parts, async (part, core) => {
      if (isOver) return undefined;
      const document = await workers.run(part, core);
      if (document !== undefined && options.isEnough(document)) stop();
      return document;
    });
    return documents.filter((document) => document !== undefined);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** A campaign by chance: part i of n makes every n-th run. */
export async function runShards(options: PartOptions): Promise<ExploreDocument[]> {
  const { jobs } = options;
  return runParts(
    Array.from({ length: jobs }, (_, index) => ({ shard: { index, of: jobs } })),
    options,
  );
}

/** Branches of an exhaustive search, each as the text that a campaign takes. */
export async function runBranches(
  branches: readonly string[],
  options: PartOptions,
): Promise<ExploreDocument[]> {
  return runParts(
    branches.map((branch) => ({ branch })),
    options,
  );
}
