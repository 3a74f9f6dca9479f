/** Searches and replays a scenario by the built command, and reads what it says as JSON. */
import { type StrategyName, compileScenario, runCampaign, runsAtMost } from 'smplab';
import { exploreDocument } from '#cli/explore-document';
import { type Ran, smplab } from '../cli/run.ts';

/** A test here is a few processes with threads of their own, beside others: generous, for a busy host. */
export const TIMEOUT_MS = 120_000;

export interface Failure {
  readonly kind: string;
  readonly title: string;
  readonly token: string;
  readonly foundAtRun: number;
  readonly detail: string;
  readonly minimised: {
    readonly preemptions: number;
    readonly steps: number;
    readonly minimal: boolean;
    readonly diagram: readonly string[];
  };
}

export interface Explored {
  readonly schema: string;
  readonly ok: boolean;
  readonly runs: number;
  readonly distinctTraces: number;
  readonly complete: boolean;
  readonly limit: string | null;
  readonly failures: readonly Failure[];
  readonly warnings: readonly object[];
}

export interface Replayed {
  readonly schema: string;
  readonly ok: boolean;
  readonly failures: readonly Pick<Failure, 'kind' | 'title' | 'detail'>[];
  readonly diverged: string | null;
  readonly diagram: readonly string[];
}

interface Answered<T> extends Ran {
  readonly json: T;
}

async function answered<T>(args: readonly string[]): Promise<Answered<T>> {
  const ran = await smplab([...args, '--json']);
  // What went wrong says more than that an empty text is no JSON.
  if (ran.stdout === '') throw new Error(`smplab ${args.join(' ')}: exit ${ran.code}: ${ran.stderr}`);
  return { ...ran, json: JSON.parse(ran.stdout) as T };
}

export function explore(file: string, ...options: readonly string[]): Promise<Answered<Explored>> {
  return answered(['explore', file, ...options]);
}

export function replay(token: string, ...options: readonly string[]): Promise<Answered<Replayed>> {
  return answered(['replay', token, ...options]);
}

/**
 * What the command does, in this process: the same document. To start a process, and in it the compiler, is four fifths of what a
 * search of a small program takes.
 */
export async function exploreHere(
  file: string,
  { strategy = 'portfolio', seed = 1, runs }: HereOptions = {},
): Promise<Explored> {
  const limits = { seed, runs: runsAtMost(strategy, runs, undefined) };
  const report = await runCampaign(await compileScenario(file), { name: file, strategy, ...limits });
  return JSON.parse(JSON.stringify(exploreDocument(report, { strategy, seed }))) as Explored;
}

interface HereOptions {
  readonly strategy?: StrategyName;
  readonly seed?: number;
  readonly runs?: number;
}
