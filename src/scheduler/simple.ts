/** Policies that need to know next to nothing: in turn, by chance, on and on, and on and on with a few delays. */
import type { Actor, Choice, Policy } from '#base/strategy';
import { PolicyWord } from '#base/strategy';
import { OpType, opType } from '#trace/operations';
import { beginChance, draw } from './chance.ts';

/** The next enabled actor above `after`, around. */
export function nextInTurn(choice: Choice, after: Actor): Actor {
  const { enabled, count } = choice;
  for (let index = 0; index < count; index++) if (enabled[index]! > after) return enabled[index]!;
  return enabled[0]!;
}

export function isEnabled(choice: Choice, actor: Actor): boolean {
  const { enabled, count } = choice;
  for (let index = 0; index < count; index++) if (enabled[index] === actor) return true;
  return false;
}

/** Every actor in turn. */
export const roundRobin: Policy = {
  name: 'round-robin',
  choose: (_words, choice) => nextInTurn(choice, choice.current),
};

/** Uniformly among the enabled actors, at every choice anew: a random walk. */
export const random: Policy = {
  name: 'random',
  begin: beginChance,
  choose: (words, choice) => choice.enabled[draw(words, choice.count)]!,
};

/** The current actor goes on until it cannot; then the next in turn. No preemption ever: the base of bounded search. */
export const stay: Policy = {
  name: 'stay',
  choose: (_words, choice) =>
    isEnabled(choice, choice.current) ? choice.current : nextInTurn(choice, choice.current),
};

/**
 * The current actor goes on until it cannot; then the lowest there is, or the highest if the first parameter is 1. Who
 * was put aside for another comes back when the other is through, so a preemption changes nothing but itself: `stay`
 * would turn the order of all that follow.
 */
export const inOrder: Policy = {
  name: 'in-order',
  choose(words, choice) {
    if (isEnabled(choice, choice.current)) return choice.current;
    return choice.enabled[words[PolicyWord.PARAMETERS] === 1 ? choice.count - 1 : 0]!;
  },
};

const DELAYS = PolicyWord.PARAMETERS;
const STEPS = PolicyWord.PARAMETERS + 1;
const MADE = PolicyWord.OWN;
/** Set by a delay that has come and not been paid yet. */
const OWED = PolicyWord.OWN + 1;
const POINTS = PolicyWord.OWN + 2;
export const DELAYS_MAX = 64;

/**
 * `stay` with a few delays at random: a delay makes the scheduler pass over the actor whose turn it is, once (Emmi,
 * Qadeer, Rakamaric, "Delay-bounded scheduling", POPL 2011). Parameters: how many (at most 64), and the visible steps
 * of a run they are spread over, as in PCT.
 */
export const delayBounded: Policy = {
  name: 'delay-bounded',
  begin(words) {
    beginChance(words);
    words[MADE] = 0;
    words[OWED] = 0;
    const delays = Math.min(words[DELAYS]!, DELAYS_MAX);
    for (let index = 0; index < delays; index++)
      words[POINTS + index] = draw(words, Math.max(1, words[STEPS]!));
    countDelays(words);
  },
  choose(words, choice) {
    const turn = isEnabled(choice, choice.current) ? choice.current : nextInTurn(choice, choice.current);
    let actor = turn;
    for (; words[OWED]! > 0; words[OWED]!--) actor = nextInTurn(choice, actor);
    return actor;
  },
  executed(words, _choice, _actor, head) {
    if (opType(head) === OpType.START) return;
    words[MADE]!++;
    countDelays(words);
  },
};

/** Delays that fall in front of the visible step that comes now. */
function countDelays(words: Int32Array): void {
  const delays = Math.min(words[DELAYS]!, DELAYS_MAX);
  for (let index = 0; index < delays; index++) if (words[POINTS + index] === words[MADE]) words[OWED]!++;
}
