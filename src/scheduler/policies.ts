/** In-run policies: who goes next. They run on the CPU that holds the baton, and remember only in the machine's memory. */
import { assert } from '#base/assert';
import { xorshift32 } from '#base/prng';
import type { Actor, Strategy } from '#base/strategy';

/** Every actor in turn: the next one above the current, around. */
const roundRobin: Strategy = {
  name: 'round-robin',
  choose(_words, _state, runnable, count, current): Actor {
    for (let index = 0; index < count; index++) if (runnable[index]! > current) return runnable[index]!;
    return runnable[0]!;
  },
};

/** Uniformly among who is runnable. The first state word is the generator's. */
const random: Strategy = {
  name: 'random',
  choose(words, state, runnable, count): Actor {
    const next = xorshift32(words[state]!);
    words[state] = next;
    return runnable[next % count]!;
  },
};

/** By number, as MachineWord.POLICY holds it: append, never renumber (tokens name them). */
const STRATEGIES: readonly Strategy[] = [roundRobin, random];

/** Number of a strategy, or -1. */
export function strategyNumber(name: string): number {
  return STRATEGIES.findIndex((strategy) => strategy.name === name);
}

export function strategyByNumber(number: number): Strategy {
  const strategy = STRATEGIES[number];
  assert(strategy !== undefined, `strategyByNumber: no strategy ${number}`);
  return strategy;
}

export const strategyNames: readonly string[] = STRATEGIES.map((strategy) => strategy.name);
