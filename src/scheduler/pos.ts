/**
 * POS, partial order sampling (Yuan, Yang, Gu, "Partial order aware concurrency sampling", CAV 2018).
 *
 * Every pending operation has a random priority and the highest enabled one goes. Its actor's next operation draws a
 * new one, and so does every pending operation that raced with it: the order of the two is decided now, and the old
 * priority, known to be the lower one, would bias the orders still to come.
 *
 * Starting, and what nobody sees, goes first, since its order decides nothing: so every flow stands in front of an
 * operation that matters before the first priority is drawn.
 */
import type { Actor, Choice, Policy } from '#base/strategy';
import { PolicyWord } from '#base/strategy';
import { OpType, opType, overlaps } from '#trace/operations';
import { ACTOR_SLOTS, slotOf } from './actor-table.ts';
import { beginChance, drawPriority } from './chance.ts';

/** One more than the highest actor that was ever enabled: how far the pending operations reach. */
const ACTORS_END = PolicyWord.OWN;
const PRIORITIES = PolicyWord.OWN + 1;

function priorityOf(words: Int32Array, actor: Actor): number {
  const word = PRIORITIES + slotOf(actor);
  return (words[word] ||= drawPriority(words));
}

export const pos: Policy = {
  name: 'pos',
  begin(words) {
    beginChance(words);
    words[ACTORS_END] = 0;
    words.fill(0, PRIORITIES, PRIORITIES + ACTOR_SLOTS);
  },
  choose(words, choice) {
    const { enabled, count, nextHead, nextVisible } = choice;
    const end = enabled[count - 1]! + 1;
    if (words[ACTORS_END]! < end) words[ACTORS_END] = end;
    let best = enabled[0]!;
    let highest = 0;
    for (let index = 0; index < count; index++) {
      const actor = enabled[index]!;
      if (nextVisible[actor] === 0 || opType(nextHead[actor]!) === OpType.START) return actor;
      const priority = priorityOf(words, actor);
      if (priority <= highest) continue;
      best = actor;
      highest = priority;
    }
    return best;
  },
  executed(words, choice, actor, head, address, size) {
    words[PRIORITIES + slotOf(actor)] = 0;
    redrawRacing(words, choice, opType(head), address, size);
  },
};

function redrawRacing(words: Int32Array, choice: Choice, type: number, address: number, size: number): void {
  const { nextHead, nextAddress, nextSize } = choice;
  const end = words[ACTORS_END]!;
  for (let other = 0; other < end; other++)
    if (overlaps(type, address, size, opType(nextHead[other]!), nextAddress[other]!, nextSize[other]!))
      words[PRIORITIES + slotOf(other)] = 0;
}
