/** What every way of searching looks like to the loop that runs it. */
import type { Executor, Plan, RunResult } from './executor.ts';

/** For one depth: how likely it is, at most, that a bug of this depth exists and no run has hit it. */
export interface MissBound {
  readonly depth: number;
  /** Runs the figure rests on. */
  readonly runs: number;
  /** 0..1; 1 when nothing can be said. */
  readonly missedAtMost: number;
}

/** What a search has covered. */
export interface Statement {
  readonly strategy: string;
  readonly executions: number;
  /** Different Mazurkiewicz traces among them. */
  readonly traces: number;
  /** Good and Turing's estimate: the chance that one more run would show a trace not yet seen. */
  readonly unseenShare: number;
  /** Everything within `bounds` has been covered. Never true for a search by chance. */
  readonly complete: boolean;
  /** What the search was limited to, or measured: names as in the command line. */
  readonly bounds: Readonly<Record<string, number>>;
  /** PCT: by depth, from 1. */
  readonly missed?: readonly MissBound[];
  /** The search has come to its end, nothing is left to be run, and yet it proves nothing: why. */
  readonly unproved?: string | undefined;
  /** Runs that a limit cut short: what comes after in them has not been seen. */
  readonly cutShort: number;
}

/**
 * A search proposes plans and learns from their results, strictly in turn: `next`, run, `observe`. The log of a result
 * is read inside `observe` and not kept.
 */
export interface Search {
  /** The plan of the next run; undefined when there is none: covered, or out of budget. */
  next(): Plan | undefined;
  observe(result: RunResult): void;
  statement(): Statement;
}

/**
 * Runs a search until it has no more plans, or until `atRun` says so.
 *
 * @param atRun gets each result and its plan, `run` counted from 1; true ends the loop. The search has observed the
 * result by then
 * @returns runs made
 */
export function runSearch(
  search: Search,
  executor: Executor,
  atRun: (result: RunResult, run: number, plan: Plan) => boolean,
): number {
  let run = 0;
  for (let plan = search.next(); plan !== undefined; plan = search.next()) {
    const result = executor.run(plan);
    run++;
    search.observe(result);
    if (atRun(result, run, plan)) break;
  }
  return run;
}
