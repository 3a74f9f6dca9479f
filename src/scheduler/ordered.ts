/**
 * Goes on until it cannot, but for a few orders between operations: what shrinking tries, to see which of them make a run fail.
 *
 * An operation is named by who makes it, what it is and where, and how often that actor has done so before, and not by its place in
 * the run: without some of the orders, flows come to it by other ways and after more steps or fewer. Who stands in front of the second
 * operation of an order whose first has not been made is passed over for whoever is to make that, as long as anybody else can go.
 * So each order costs at most one preemption.
 *
 * Parameters, from PolicyWord.PARAMETERS: the actor to go first, plus 1 (0: nobody in particular); how many operations, and how many
 * orders; of each operation actor and type, address, and a count that the policy keeps; of each order two words, an operation and a
 * number of times each. They run past PolicyWord.OWN, as those of `follow`.
 */
import { type Actor, type Choice, POLICY_WORDS, type Policy, PolicyWord } from '#base/strategy';
import { isEnabled, nextInTurn } from './simple.ts';

/** An operation of a run: the `nth` (from 0) that its actor makes of that type at that address. */
export interface NamedOperation {
  readonly actor: Actor;
  /** OpType */
  readonly type: number;
  readonly address: number;
  readonly nth: number;
}

/** The second waits for the first. */
export interface Order {
  readonly first: NamedOperation;
  readonly second: NamedOperation;
}

const FIRST = PolicyWord.PARAMETERS;
const OPERATIONS = FIRST + 1;
const ORDERS = FIRST + 2;
const LIST = FIRST + 3;
const OPERATION_WORDS = 3;
const ORDER_WORDS = 2;
const MADE = 2;
/** In a word of an order: which operation, and its nth. */
const OPERATION_SHIFT = 20;
const NTH_MASK = (1 << OPERATION_SHIFT) - 1;
const NOBODY_WAITS = -1;

/** @returns undefined if there are more orders than words */
export function orderedParameters(begins: Actor, orders: readonly Order[]): number[] | undefined {
  const numbers = new Map<string, number>();
  const operations: number[] = [];
  const word = ({ actor, type, address, nth }: NamedOperation): number => {
    const key = `${actor} ${type} ${address}`;
    let number = numbers.get(key);
    if (number === undefined) {
      numbers.set(key, (number = numbers.size));
      operations.push((actor << 8) | type, address | 0, 0);
    }
    return (number << OPERATION_SHIFT) | Math.min(nth, NTH_MASK);
  };
  const words = orders.flatMap(({ first, second }) => [word(first), word(second)]);
  const all = [begins + 1, numbers.size, orders.length, ...operations, ...words];
  return all.length + FIRST > POLICY_WORDS ? undefined : all;
}

export const ordered: Policy = {
  name: 'ordered',
  choose(words, choice) {
    const turn = choice.current < 0 ? words[FIRST]! - 1 : choice.current;
    const goesOn = isEnabled(choice, turn);
    const owing = goesOn ? whoOwes(words, choice, turn) : NOBODY_WAITS;
    if (goesOn && owing === NOBODY_WAITS) return turn;
    if (goesOn && isEnabled(choice, owing) && whoOwes(words, choice, owing) === NOBODY_WAITS) return owing;
    let next = nextInTurn(choice, turn);
    for (let tried = 0; tried < choice.count; tried++, next = nextInTurn(choice, next))
      if (whoOwes(words, choice, next) === NOBODY_WAITS) return next;
    // Everybody waits for somebody: an order that cannot be kept.
    return goesOn ? turn : choice.enabled[0]!;
  },
  executed(words, _choice, actor, head, address) {
    const at = operationAt(words, actor, head & 0xff, address);
    if (at >= 0) words[at + MADE]!++;
  },
};

/** Where the operation stands among the words, or -1. */
function operationAt(words: Int32Array, actor: Actor, type: number, address: number): number {
  const key = (actor << 8) | type;
  const end = LIST + words[OPERATIONS]! * OPERATION_WORDS;
  for (let at = LIST; at < end; at += OPERATION_WORDS)
    if (words[at] === key && words[at + 1] === (address | 0)) return at;
  return -1;
}

/** Who has yet to make what this actor's next operation comes after; or NOBODY_WAITS. */
function whoOwes(words: Int32Array, { nextHead, nextAddress }: Choice, actor: Actor): Actor {
  const at = operationAt(words, actor, nextHead[actor]! & 0xff, nextAddress[actor]!);
  if (at < 0) return NOBODY_WAITS;
  const next = (((at - LIST) / OPERATION_WORDS) << OPERATION_SHIFT) | words[at + MADE]!;
  const list = LIST + words[OPERATIONS]! * OPERATION_WORDS;
  const end = list + words[ORDERS]! * ORDER_WORDS;
  for (let order = list; order < end; order += ORDER_WORDS) {
    if (words[order + 1] !== next) continue;
    const first = LIST + (words[order]! >>> OPERATION_SHIFT) * OPERATION_WORDS;
    if (words[first + MADE]! <= (words[order]! & NTH_MASK)) return words[first]! >>> 8;
  }
  return NOBODY_WAITS;
}
