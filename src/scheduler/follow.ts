/**
 * The in-run half of exhaustive search: goes on behind a prefix with as few switches as it can, and never makes a step
 * that another run has covered.
 *
 * An actor **sleeps** (Godefroid, "Partial-order methods for the verification of concurrent systems", 1996) when the
 * runs that begin with its next operation here have all been made. It wakes when somebody makes a step that its operation
 * depends on; until then every run in which it goes is one that has been seen with the two swapped. When everybody who
 * is enabled sleeps, the answer is NOBODY.
 *
 * An actor that wakes too early costs a run, one that wakes too late costs a proof: where the published operation says
 * less than the log will (a wait publishes one range around all it reads), sleepers wake.
 *
 * Parameters, from PolicyWord.PARAMETERS: steps of the prefix; the actor to go first behind it, plus 1 (0 = nobody), and
 * if that cannot the run has no purpose and ends; sleepers; and for each sleeper its actor, its traits, its ranges, and for each range
 * what it does (Footprint), its address and its bytes. They may run past PolicyWord.OWN; the policy has no other words,
 * and uses them up: it crosses out who wakes.
 */
import { type Actor, type Choice, Flow, NOBODY, type Policy, cpuOf, flowOf } from '#base/strategy';
import { AccessKind } from '#trace/events';
import { Footprint, OpType, footprint, opKind, opType } from '#trace/operations';
import { isEnabled } from './simple.ts';

/** Words before the sleepers; and of a sleeper before its ranges; and of a range. */
export const FollowWord = { STEPS: 1, FIRST: 2, SLEEPERS: 3, LIST: 4 } as const;
export const SLEEPER_WORDS = 3;
export const RANGE_WORDS = 3;

/** Of a sleeper's operation, beside its ranges. */
export const SleeperTrait = {
  /** reads its own CPU's buffered store: only that store's FLUSH matters */
  FORWARDED: 1,
  /** takes an interrupt: needs an empty store buffer */
  ENTRY: 2,
} as const;
/** In the traits from there on: 1 more than the CPU that the sleeper's operation gives another thread; 0: none. */
export const GIVEN_SHIFT = 8;

const AWAKE = -1;

export const follow: Policy = {
  name: 'follow',
  always: true,
  isExhaustive: true,
  choose(words, choice) {
    const first = words[FollowWord.FIRST]! - 1;
    words[FollowWord.FIRST] = 0;
    if (first < 0) return chooseAwake(words, choice);
    return isEnabled(choice, first) ? first : NOBODY;
  },
  executed(words, choice, actor, head, address, size) {
    if (words[FollowWord.SLEEPERS] === 0 || choice.step < words[FollowWord.STEPS]!) return;
    let at: number = FollowWord.LIST;
    for (let left = words[FollowWord.SLEEPERS]!; left > 0; left--) {
      if (words[at] !== AWAKE && wakes(words, at, actor, head, address, size)) words[at] = AWAKE;
      at += SLEEPER_WORDS + words[at + 2]! * RANGE_WORDS;
    }
  },
};

/**
 * First what decides nothing: flows that have not begun, so that all stand in front of an operation when the first
 * choice comes, and steps nobody sees. Then whoever went last, then the lowest.
 */
function chooseAwake(words: Int32Array, choice: Choice): Actor {
  const { enabled, count, nextHead, nextVisible, current } = choice;
  let best = NOBODY;
  for (let index = 0; index < count; index++) {
    const actor = enabled[index]!;
    if (isAsleep(words, actor)) continue;
    if (nextVisible[actor] === 0 || opType(nextHead[actor]!) === OpType.START) return actor;
    if (best === NOBODY || actor === current) best = actor;
  }
  return best;
}

function isAsleep(words: Int32Array, actor: Actor): boolean {
  let at: number = FollowWord.LIST;
  for (let left = words[FollowWord.SLEEPERS]!; left > 0; left--) {
    if (words[at] === actor) return true;
    at += SLEEPER_WORDS + words[at + 2]! * RANGE_WORDS;
  }
  return false;
}

/** Whether the sleeper at `at` has to wake when `actor` makes this step. */
function wakes(
  words: Int32Array,
  at: number,
  actor: Actor,
  head: number,
  address: number,
  size: number,
): boolean {
  const sleeper = words[at]!;
  const type = opType(head);
  // A TAKE may give somebody's CPU another thread; whose is seen when it is made.
  if (sleeper === actor || (type >= OpType.TIMEOUT && (type === OpType.TIMEOUT || type === OpType.TAKE)))
    return true;
  const traits = words[at + 1]!;
  if (traits !== 0 && traits >>> GIVEN_SHIFT === cpuOf(actor) + 1) return true;
  if (cpuOf(sleeper) === cpuOf(actor)) {
    // A CPU's main flow and its interrupts order each other; its store buffer is on its own.
    const apart = flowOf(sleeper) === Flow.BUFFER || flowOf(actor) === Flow.BUFFER;
    if (!apart || (traits & SleeperTrait.ENTRY) !== 0) return true;
  } else if ((traits & SleeperTrait.FORWARDED) !== 0) return false;
  // A wait that ends an offer takes that back.
  const isOffer = type === OpType.AWAIT && opKind(head) === AccessKind.RMW;
  const does = isOffer ? Footprint.READS_AND_WRITES : footprint(type);
  return overlapsRanges(words, at, does, address >>> 0, size);
}

function overlapsRanges(words: Int32Array, at: number, does: number, address: number, size: number): boolean {
  if (does === Footprint.NONE) return false;
  let range = at + SLEEPER_WORDS;
  for (let left = words[at + 2]!; left > 0; left--, range += RANGE_WORDS) {
    if (((does | words[range]!) & Footprint.WRITES) === 0) continue;
    const start = words[range + 1]! >>> 0;
    if (start < address + size && address < start + words[range + 2]!) return true;
  }
  return false;
}
