/** One word for each actor in a policy's words: a priority, a count. */
import type { Actor } from '#base/strategy';

/**
 * Actors with a word of their own: 64 CPUs. On a larger machine actors this far apart share one, which makes a policy
 * coarser and nothing wrong.
 */
export const ACTOR_SLOTS = 256;

export function slotOf(actor: Actor): number {
  return actor & (ACTOR_SLOTS - 1);
}
