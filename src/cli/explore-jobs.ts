/**
 * A campaign on several cores: as many processes, each on a core of its own, each with a part. Random runs are divided by
 * number; an exhaustive search is begun here, and what it has not explored yet is given away branch by branch.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { runInParallel } from '#explore/parallel';
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

/** What came of a part; undefined if it was ended before it had anything to say. */
async function runPart(
  part: Part,
  core: number,
  options: PartOptions,
  stop: AbortSignal,
): Promise<string | undefined> {
  const main = process.argv[1]!;
  const child = spawn(
    process.execPath,
    [main, 'explore', ...options.arguments, ...part.extra, '--core', String(core), '--json'],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  // Asked politely: it prints what it has.
  const end = (): void => {
    child.kill('SIGINT');
  };
  stop.addEventListener('abort', end, { once: true });
  let text = '';
  let complaint = '';
  child.stdout.setEncoding('utf8').on('data', (some: string) => (text += some));
  child.stderr.setEncoding('utf8').on('data', (some: string) => (complaint += some));
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      resolve();
    });
  });
  stop.removeEventListener('abort', end);
  if (text.startsWith('{')) return text;
  if (stop.aborted) return undefined;
  throw new PartFailed(complaint.trim() || 'a job ended without an answer', child.exitCode ?? 3);
}

/** A part could not do its work: its own one line, and its exit code. */
export class PartFailed extends Error {
  readonly code: number;

  constructor(message: string, code: number) {
    super(message.replace(/^smplab: /, ''));
    this.name = 'PartFailed';
    this.code = code;
  }
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
      const text = await runPart(part, core, options, stop.signal);
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
