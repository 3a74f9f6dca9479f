/**
 * What the deterministic bus asks at every operation: who goes next. Implemented by the scheduler room; it runs on
 * whatever CPU holds the baton, so its only memory is words of the machine.
 */

/** A CPU's main flow is actor 2c, its interrupt flow 2c + 1. */
export type Actor = number;

export function mainActor(cpu: number): Actor {
  return cpu * 2;
}

export function interruptActor(cpu: number): Actor {
  return cpu * 2 + 1;
}

export interface Strategy {
  readonly name: string;
  /**
   * Chooses one of `runnable[0..count)`, which is ascending and never empty. Must not allocate.
   * @param words the machine's memory
   * @param state index of the strategy's own words; the host writes the seed to the first
   * @param current the actor that just ran; may not be runnable any more
   */
  choose(words: Int32Array, state: number, runnable: Int32Array, count: number, current: Actor): Actor;
}
