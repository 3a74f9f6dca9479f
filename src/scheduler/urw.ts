/**
 * URW and SURW (Zhao, Wolff, Mathur, Roychoudhury, "Selectively uniform concurrency testing", ASPLOS 2025).
 *
 * A random walk that tosses a fair coin at each step favours the orders in which the short flows end early. **URW**
 * picks an actor with a probability proportional to the steps it still has to make: with the right counts, and flows
 * that never wait, every interleaving is equally likely. **SURW** wants that of a chosen few operations only: an actor
 * that is to make the next one of them is drawn by the counts of these, the others wait in front of theirs until it
 * has, and everything else is a plain random walk. Here the chosen operations are those on one range of memory.
 *
 * Departures. Counts are estimates from earlier runs: an actor that still goes when its count is used up weighs 1. A
 * store buffer has nothing to do before its CPU stores, so what it will do weighs on the main flow meanwhile, as a
 * thread not yet created weighs on its parent in the paper. Interrupts have no such parent, for any CPU may raise
 * them: they count only while they are pending, and the walk is uniform only between interrupts.
 *
 * Parameters run past PolicyWord.OWN: a count for each of ACTOR_SLOTS actors. URW: visible steps by actor, START left
 * out. SURW: the first byte chosen and the one behind the last, then the chosen operations by actor.
 */
import type { Actor, Choice, Policy } from '#base/strategy';
import { Flow, PolicyWord, bufferActor, cpuOf, flowOf } from '#base/strategy';
import { OpType, footprint, opType } from '#trace/operations';
import { ACTOR_SLOTS, slotOf } from './actor-table.ts';
import { beginChance, draw } from './chance.ts';
import { isEnabled } from './simple.ts';

const COUNTS = PolicyWord.PARAMETERS;

function spend(words: Int32Array, counts: number, actor: Actor): void {
  const word = counts + slotOf(actor);
  if (words[word]! > 0) words[word]!--;
}

/** What an actor weighs in URW: what it and, while that is idle, its store buffer have before them. */
function weightOf(words: Int32Array, choice: Choice, actor: Actor): number {
  let weight = Math.max(1, words[COUNTS + slotOf(actor)]!);
  if (flowOf(actor) === Flow.MAIN && !isEnabled(choice, bufferActor(cpuOf(actor))))
    weight += words[COUNTS + slotOf(bufferActor(cpuOf(actor)))]!;
  return weight;
}

export const urw: Policy = {
  name: 'urw',
  begin: beginChance,
  choose(words, choice) {
    const { enabled, count } = choice;
    let total = 0;
    for (let index = 0; index < count; index++) total += weightOf(words, choice, enabled[index]!);
    let left = draw(words, total);
    for (let index = 0; index < count; index++) {
      left -= weightOf(words, choice, enabled[index]!);
      if (left < 0) return enabled[index]!;
    }
    return enabled[count - 1]!;
  },
  executed(words, _choice, actor, head) {
    if (opType(head) !== OpType.START) spend(words, COUNTS, actor);
  },
};

const FIRST = PolicyWord.PARAMETERS;
const END = PolicyWord.PARAMETERS + 1;
const CHOSEN_COUNTS = PolicyWord.PARAMETERS + 2;
/** The actor that is to make the next chosen operation, plus 1; 0 when it has yet to be drawn. */
const INTENDED = CHOSEN_COUNTS + ACTOR_SLOTS;

function isChosen(words: Int32Array, head: number, address: number, size: number): boolean {
  // Addresses are unsigned, words are not.
  return footprint(opType(head)) !== 0 && address < words[END]! >>> 0 && address + size > words[FIRST]! >>> 0;
}

function nextIsChosen(words: Int32Array, choice: Choice, actor: Actor): boolean {
  if (choice.nextVisible[actor] === 0) return false;
  return isChosen(words, choice.nextHead[actor]!, choice.nextAddress[actor]!, choice.nextSize[actor]!);
}

/** By the counts, among everybody, waiting or not: who waits now may still be the next to get there. */
function drawIntended(words: Int32Array): number {
  let total = 0;
  for (let slot = 0; slot < ACTOR_SLOTS; slot++) total += words[CHOSEN_COUNTS + slot]!;
  if (total === 0) return 0;
  let left = draw(words, total);
  for (let slot = 0; slot < ACTOR_SLOTS; slot++) {
    left -= words[CHOSEN_COUNTS + slot]!;
    if (left < 0) return slot + 1;
  }
  return 0;
}

export const surw: Policy = {
  name: 'surw',
  begin(words) {
    beginChance(words);
    words[INTENDED] = 0;
  },
  choose(words, choice) {
    const { enabled, count } = choice;
    if (words[INTENDED] === 0) words[INTENDED] = drawIntended(words);
    const intended = words[INTENDED]! - 1;
    let candidates = 0;
    for (let index = 0; index < count; index++)
      if (slotOf(enabled[index]!) === intended || !nextIsChosen(words, choice, enabled[index]!)) candidates++;
    // The intended one has ended, or waits for somebody who stands in front of a chosen operation: draw again.
    if (candidates === 0) return drawAmongChosen(words, choice);
    let left = draw(words, candidates);
    for (let index = 0; index < count; index++) {
      const actor = enabled[index]!;
      if (slotOf(actor) !== intended && nextIsChosen(words, choice, actor)) continue;
      if (left-- === 0) return actor;
    }
    return enabled[0]!;
  },
  executed(words, _choice, actor, head, address, size) {
    if (!isChosen(words, head, address, size)) return;
    spend(words, CHOSEN_COUNTS, actor);
    words[INTENDED] = 0;
  },
};

function drawAmongChosen(words: Int32Array, choice: Choice): Actor {
  const { enabled, count } = choice;
  let total = 0;
  for (let index = 0; index < count; index++)
    total += Math.max(1, words[CHOSEN_COUNTS + slotOf(enabled[index]!)]!);
  let left = draw(words, total);
  for (let index = 0; index < count; index++) {
    left -= Math.max(1, words[CHOSEN_COUNTS + slotOf(enabled[index]!)]!);
    if (left < 0) return enabled[index]!;
  }
  return enabled[count - 1]!;
}
