/** A part of an exhaustive search that can be given away, as plain data (JSON): what is to be explored behind a schedule. */
import type { Segment } from './executor.ts';
import type { Shape } from './dpor-shapes.ts';
import type { WakeNode } from './dpor-wakeup.ts';

export interface DporTask {
  /** The schedule of the state whose branches these are. */
  readonly prefix: readonly Segment[];
  /** Whose next events there are covered by others. */
  readonly sleep: readonly Shape[];
  /** What to explore; nothing: everything from there on. */
  readonly branches: readonly WakeNode[];
}

/** All of a program. */
export const WHOLE: DporTask = { prefix: [], sleep: [], branches: [] };
