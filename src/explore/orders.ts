/**
 * A run as the orders that it is made of: pairs of operations of different CPUs that conflict, or of an interrupt and what it
 * interrupts, without those that follow from others. Shrinking leaves out what a failure does not need (scheduler/ordered.ts).
 */
import { type Actor, Flow, cpuOf, flowOf } from '#base/strategy';
import { type NamedOperation, type Order, orderedParameters } from '#scheduler/ordered';
import { policyNumber } from '#scheduler/policies';
import { Footprint, OP_WORDS, OpType, OpWord, type OperationLog, footprint, opType } from '#trace/operations';
import type { Plan } from './executor.ts';
import { RunSteps } from './run-steps.ts';

const ORDERED = policyNumber('ordered');
/** Words of one operation that are looked at: longer ones are of memory that nobody shares yet. */
const WORDS_MAX = 1024;

export function orderedPlan(begins: Actor, orders: readonly Order[]): Plan | undefined {
  const parameters = orderedParameters(begins, orders);
  return parameters && { prefix: [], policy: ORDERED, seed: 1, parameters };
}

/** A visible step of a run. */
interface Place {
  readonly name: NamedOperation;
  /** Among those of the run, from 1. */
  readonly index: number;
  readonly thread: number;
  /** By thread: the latest place that comes before this one, or is it. */
  readonly clock: Int32Array;
}

interface LastAccess {
  write: Place | undefined;
  readonly reads: Map<number, Place>;
}

/** A CPU's flows are one after the other, but for its store buffer. */
function threadOf(actor: Actor): number {
  return cpuOf(actor) * 2 + Number(flowOf(actor) === Flow.BUFFER);
}

/** Of larger machines the orders of the others are not thinned out. */
const THREADS = 64;

/** Names the visible steps of a run, in their order. */
class Names {
  readonly #made = new Map<string, number>();

  of(steps: RunSteps, step: number): NamedOperation {
    const { words } = steps.log;
    const actor = steps.actor[step]!;
    const type = opType(words[steps.first[step]! * OP_WORDS]!);
    const address = addressOf(steps, step, type);
    const key = `${actor} ${type} ${address}`;
    const nth = this.#made.get(key) ?? 0;
    this.#made.set(key, nth + 1);
    return { actor, type, address, nth };
  }
}

/** As a policy is told it: a wait is at the first of the words that it looks at. */
function addressOf(steps: RunSteps, step: number, type: number): number {
  const { words } = steps.log;
  let address = words[steps.first[step]! * OP_WORDS + OpWord.ADDRESS]! >>> 0;
  if (type !== OpType.AWAIT) return address;
  for (let record = steps.first[step]! + 1; record < steps.end[step]!; record++)
    if (opType(words[record * OP_WORDS]!) === OpType.AWAIT)
      address = Math.min(address, words[record * OP_WORDS + OpWord.ADDRESS]! >>> 0);
  return address;
}

class OrderReader {
  readonly orders: Order[] = [];
  readonly #steps = new RunSteps();
  readonly #names = new Names();
  readonly #last = new Map<number, LastAccess>();
  readonly #lastOf = new Map<number, Place>();
  #index = 0;

  read(log: OperationLog): void {
    this.#steps.read(log);
    for (let step = 0; step < this.#steps.count; step++) if (this.#steps.isVisible(step)) this.#visit(step);
  }

  #visit(step: number): void {
    const actor = this.#steps.actor[step]!;
    const name = this.#names.of(this.#steps, step);
    const thread = threadOf(actor);
    const before = this.#lastOf.get(thread);
    const clock = before === undefined ? new Int32Array(THREADS) : before.clock.slice();
    const place: Place = { name, index: ++this.#index, thread, clock };
    clock[thread] = place.index;
    // What an interrupt interrupts, and what goes on behind it.
    if (before !== undefined && before.name.actor !== actor)
      this.orders.push({ first: before.name, second: name });
    for (const first of this.#conflicting(step, place).toSorted((a, b) => b.index - a.index)) {
      if (clock[first.thread]! >= first.index) continue;
      this.orders.push({ first: first.name, second: name });
      for (let one = 0; one < THREADS; one++) clock[one] = Math.max(clock[one]!, first.clock[one]!);
    }
    this.#lastOf.set(thread, place);
  }

  /** The last of other threads that each word was used by, where one of the two writes. Notes the step's own uses. */
  #conflicting(step: number, place: Place): Place[] {
    const found = new Set<Place>();
    const { words } = this.#steps.log;
    for (let record = this.#steps.first[step]!; record < this.#steps.end[step]!; record++) {
      const at = record * OP_WORDS;
      const does = opType(words[at]!) < OpType.EVENT ? footprint(opType(words[at]!)) : Footprint.NONE;
      if (does === Footprint.NONE) continue;
      const address = words[at + OpWord.ADDRESS]! >>> 0;
      const end = (address + Math.max(1, words[at + OpWord.SIZE]!) - 1) >>> 2;
      for (let word = address >>> 2; word <= Math.min(end, (address >>> 2) + WORDS_MAX); word++)
        this.#use(word, does, place, found);
    }
    return [...found].filter(({ thread }) => thread !== place.thread);
  }

  #use(word: number, does: number, place: Place, found: Set<Place>): void {
    const last = this.#last.get(word) ?? { write: undefined, reads: new Map<number, Place>() };
    this.#last.set(word, last);
    if (last.write !== undefined && last.write !== place) found.add(last.write);
    if ((does & Footprint.WRITES) === 0) {
      last.reads.set(place.thread, place);
      return;
    }
    for (const read of last.reads.values()) if (read !== place) found.add(read);
    last.reads.clear();
    last.write = place;
  }
}

/** In the order of their second operations. */
export function ordersOf(log: OperationLog): readonly Order[] {
  const reader = new OrderReader();
  reader.read(log);
  return reader.orders;
}

const keyOf = ({ actor, type, address, nth }: NamedOperation): string => `${actor} ${type} ${address} ${nth}`;

/** Of these orders, those that a run does not have: its second operation comes first, or the first not at all. */
export function missingFrom(log: OperationLog, orders: readonly Order[]): readonly Order[] {
  const places = placesOf(log);
  return orders.filter(({ first, second }) => {
    const at = places.get(keyOf(second));
    return at !== undefined && (places.get(keyOf(first)) ?? Infinity) > at;
  });
}

function placesOf(log: OperationLog): ReadonlyMap<string, number> {
  const steps = new RunSteps();
  const names = new Names();
  const places = new Map<string, number>();
  steps.read(log);
  for (let step = 0; step < steps.count; step++)
    if (steps.isVisible(step)) places.set(keyOf(names.of(steps, step)), step);
  return places;
}
