/**
 * PCT, probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, "A randomized scheduler with
 * probabilistic guarantees of finding bugs", ASPLOS 2010).
 *
 * Every actor has a random priority and the highest enabled one goes. At d - 1 steps, chosen among k, the actor that
 * made the step falls below all initial priorities, and the one that falls later falls less deep. A bug of depth d (d
 * orderings suffice for it) is hit with a probability of at least 1 / (n k^(d-1)) by each run, for n actors and runs
 * of at most k steps.
 *
 * **Steps** are visible steps, and a flow's START is none: the orders of others make no difference to anybody, so they
 * need no change points, and k stays small.
 *
 * **Interrupts and store buffers are actors like any other**, each with its own priority. An interrupt of low priority
 * stays pending while its CPU works, one of high priority is taken at once, and a handler that falls is left half-way
 * while other CPUs go on: each is an ordering the kernel can meet, and counting the actor in n pays for it. A buffer
 * of high priority makes its CPU's stores visible at once, which is sc; one of low priority holds them until somebody
 * needs them. Tying a buffer to its CPU's main flow would make the delayed store, what tso is about, unreachable.
 *
 * Spinning and waiting actors are not enabled, so the highest priority never starves the one it waits for.
 *
 * Parameters: d (1..DEPTH_MAX) and k. Runs longer than k have no change points beyond it.
 */
import type { Actor, Policy } from '#base/strategy';
import { PolicyWord } from '#base/strategy';
import { OpType, opType } from '#trace/operations';
import { ACTOR_SLOTS, slotOf } from './actor-table.ts';
import { beginChance, draw, drawPriority } from './chance.ts';

export const DEPTH_MAX = 64;

const DEPTH = PolicyWord.PARAMETERS;
const STEPS = PolicyWord.PARAMETERS + 1;
const MADE = PolicyWord.OWN;
/** `DEPTH - 1` steps, counted from 1: change point i sinks its actor to priority i + 1. */
const POINTS = PolicyWord.OWN + 1;
const PRIORITIES = POINTS + DEPTH_MAX;

function priorityOf(words: Int32Array, actor: Actor): number {
  const word = PRIORITIES + slotOf(actor);
  // Drawn when first asked for: most of the slots belong to nobody.
  return (words[word] ||= drawPriority(words));
}

export const pct: Policy = {
  name: 'pct',
  begin(words) {
    beginChance(words);
    words[MADE] = 0;
    words.fill(0, PRIORITIES, PRIORITIES + ACTOR_SLOTS);
    const points = Math.min(words[DEPTH]!, DEPTH_MAX) - 1;
    const steps = Math.max(1, words[STEPS]!);
    for (let index = 0; index < points; index++) words[POINTS + index] = 1 + draw(words, steps);
  },
  choose(words, choice) {
    const { enabled, count } = choice;
    let best = enabled[0]!;
    let highest = priorityOf(words, best);
    for (let index = 1; index < count; index++) {
      const priority = priorityOf(words, enabled[index]!);
      if (priority <= highest) continue;
      best = enabled[index]!;
      highest = priority;
    }
    return best;
  },
  executed(words, _choice, actor, head) {
    if (opType(head) === OpType.START) return;
    words[MADE]!++;
    const points = Math.min(words[DEPTH]!, DEPTH_MAX) - 1;
    for (let index = 0; index < points; index++)
      if (words[POINTS + index] === words[MADE]) words[PRIORITIES + slotOf(actor)] = index + 1;
  },
};
