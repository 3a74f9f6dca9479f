/**
 * What a CPU runs on, seen from whoever runs a scenario: who waits, who goes on, where a CPU's calls live. There are two:
 * threads (thread-runner.ts), and fibers on this thread (room fibers). Bus, strategies, checkers, tokens and the log do not
 * know which.
 */
import type { Actor } from '#base/strategy';
import type { KnownPlaces } from '#trace/operations';

/** What CPUs run on. */
export const EXECUTORS = ['fibers', 'threads'] as const;
export type ExecutorKind = (typeof EXECUTORS)[number];

/** What came of a run: `again`: it has to be made once more from its start; `lost`: this machine cannot be used again. */
export type RunOutcome = 'over' | 'again' | 'lost';

export interface Runner {
  /** Takes every CPU back to where it was when memory was kept. `restore` copies that memory. */
  goHome(restore: () => void): void;
  /** Whether to try `recall` before the next run. Asked once. */
  mayRecall?(): boolean;
  /**
   * A run without its code, from what flows have been seen to do; tells where in that its records come from, or true: from more
   * than that. False: nothing came of it, and it is to be made.
   */
  recall?(): KnownPlaces | boolean;
  /** What the last run may have written that is not noted as written, and whether it may have done anything else. */
  readonly hasDoneMore?: boolean;
  readonly written?: { readonly words: Int32Array; readonly count: number } | undefined;
  /** How many runs were made so. */
  readonly recalled?: number;
  /**
   * A run from its first choice to its end.
   * @param first who is likely to begin
   */
  run(first: Actor): RunOutcome;
}
