/**
 * A campaign on several cores: as many processes, each on a core of its own, each with a part. Random runs are divided by
 * number; an exhaustive search is begun here, and what it has not explored yet is given away branch by branch.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runInParallel } from '#explore/parallel';
import { childDocument } from './child.ts';
import type { ExploreDocument } from './explore-document.ts';

export interface PartOptions {
  /** Arguments after `explore`, without --jobs, --shard and --json. */
  readonly arguments: readonly string[];
  readonly jobs: number;
  /** Ends the others once one part has found something. */
  readonly isEnough: (document: ExploreDocument) => boolean;
  readonly signal: AbortSignal;
}

interface Part {
  readonly extra: readonly string[];
}

async function runParts(parts: readonly Part[], options: PartOptions): Promise<ExploreDocument[]> {
  const stop = new AbortController();
  const interrupted = (): void => {
    stop.abort();
  };
  options.signal.addEventListener('abort', interrupted, { once: true });
  try {
    const texts = await runInParallel(options.jobs, parts, async (part, core) => {
      if (stop.signal.aborted) return undefined;
      const given = ['explore', ...options.arguments, ...part.extra, '--core', String(core), '--json'];
      const text = await childDocument(given, stop.signal);
      if (text !== undefined && options.isEnough(JSON.parse(text) as ExploreDocument)) stop.abort();
      return text;
    });
    return texts.flatMap((text) => (text === undefined ? [] : [JSON.parse(text) as ExploreDocument]));
  } finally {
    options.signal.removeEventListener('abort', interrupted);
  }
}

/** A campaign by chance: part i of n makes every n-th run. */
export async function runShards(options: PartOptions): Promise<ExploreDocument[]> {
  const parts = Array.from({ length: options.jobs }, (_, index) => ({
    extra: ['--shard', `${index + 1}/${options.jobs}`],
  }));
  return runParts(parts, options);
}

/** Branches of an exhaustive search, each as the text that `--branch` reads. */
export async function runBranches(
  branches: readonly string[],
  options: PartOptions,
): Promise<ExploreDocument[]> {
  const folder = mkdtempSync(path.join(tmpdir(), 'smplab-branches-'));
  try {
    const parts = branches.map((text, index) => {
      const file = path.join(folder, `${index}.json`);
      writeFileSync(file, text);
      return { extra: ['--branch', file] };
    });
    return await runParts(parts, options);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
