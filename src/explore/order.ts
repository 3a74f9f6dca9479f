/**
 * Which steps of a run come after which others in more than time, and which neighbours in that order may change places.
 * Linear in the run for each question, since explaining asks few.
 */
import { type Actor, Flow, cpuOf, flowOf } from '#base/strategy';
import { Footprint, OpFlag, OpType, footprint } from '#trace/operations';
import { type Operation, type Step, stepsConflict } from '#trace/steps';

/** Operations that wait for their CPU's store buffer to be empty (x86: locked operations, MFENCE, interrupt delivery). */
const DRAINS: ReadonlySet<number> = new Set<number>([
  OpType.FENCE,
  OpType.RMW,
  OpType.ACQUIRE,
  OpType.IRQ_ENTRY,
  OpType.OFFER,
  OpType.TAKE,
]);

/** Words of memory an operation touches, by address divided by four. Longer ones count to here. */
const WORDS_MAX = 1024;

export function wordsOf({ address, size }: Operation): readonly number[] {
  const first = address >>> 2;
  const last = (address + Math.max(1, size) - 1) >>> 2;
  return Array.from({ length: Math.min(last - first + 1, WORDS_MAX) }, (_, at) => first + at);
}

/** A set of steps, as far as one needs to know whether another depends on any of them. */
export class StepSet {
  readonly #flows = new Set<number>();
  /** CPUs whose program or interrupts are among them: those are one after the other. */
  readonly #cpus = new Set<number>();
  readonly #read = new Set<number>();
  readonly #written = new Set<number>();
  /** Words buffered, by CPU: their flush comes after. */
  readonly #buffered = new Set<string>();
  readonly #flushed = new Set<number>();
  readonly #flushedWords = new Set<number>();

  add(step: Step): void {
    this.#flows.add(step.actor);
    if (flowOf(step.actor) !== Flow.BUFFER) this.#cpus.add(cpuOf(step.actor));
    for (const operation of step.operations) {
      const does = footprint(operation.type);
      for (const word of wordsOf(operation)) {
        if ((does & Footprint.READS) !== 0) this.#read.add(word);
        if ((does & Footprint.WRITES) !== 0) this.#written.add(word);
        if (operation.type === OpType.BUFFER) this.#buffered.add(`${cpuOf(step.actor)}:${word}`);
        if (operation.type === OpType.FLUSH) this.#flushedWords.add(word);
      }
      if (operation.type === OpType.FLUSH) this.#flushed.add(cpuOf(step.actor));
    }
  }

  /** Whether the step, made after all of these, depends on one of them. */
  hasBefore(step: Step): boolean {
    const { actor, operations } = step;
    const cpu = cpuOf(actor);
    if (this.#flows.has(actor)) return true;
    if (flowOf(actor) !== Flow.BUFFER && this.#cpus.has(cpu)) return true;
    return operations.some((operation) => {
      if (DRAINS.has(operation.type) && this.#flushed.has(cpu)) return true;
      const does = footprint(operation.type);
      const isForwarded = (operation.flags & OpFlag.FORWARDED) !== 0;
      return wordsOf(operation).some((word) => {
        if (operation.type === OpType.FLUSH && this.#buffered.has(`${cpu}:${word}`)) return true;
        if (isForwarded) return this.#buffered.has(`${cpu}:${word}`);
        if (does === Footprint.NONE) return false;
        return this.#written.has(word) || ((does & Footprint.WRITES) !== 0 && this.#read.has(word));
      });
    });
  }
}

/** Of the steps in (from, to), those that depend on `from`, on one that does, and so on. */
export function dependentsBetween(steps: readonly Step[], from: number, to: number): ReadonlySet<number> {
  const set = new StepSet();
  set.add(steps[from]!);
  const found = new Set<number>();
  for (let at = from + 1; at < to; at++) {
    const step = steps[at]!;
    if (!set.hasBefore(step)) continue;
    set.add(step);
    found.add(at);
  }
  return found;
}

/** Whether no step stands between the two that depends on the first and that the second depends on. */
export function isImmediate(steps: readonly Step[], first: number, second: number): boolean {
  const between = new StepSet();
  for (const at of dependentsBetween(steps, first, second)) between.add(steps[at]!);
  return !between.hasBefore(steps[second]!);
}

export interface ImmediatePairs {
  /** By index, in the order of the second. */
  readonly pairs: readonly (readonly [number, number])[];
  /** Conflicts that were not looked at. */
  readonly left: number;
}

/**
 * Pairs of steps that conflict and have nothing between them, on two CPUs or between an interrupt and what it interrupts.
 * @param pairsMax the latest so many
 */
export function immediatePairs(steps: readonly Step[], pairsMax: number): ImmediatePairs {
  const candidates = conflictsBetweenCpus(steps);
  const pairs = pairsWithInterrupts(steps);
  while (candidates.length > 0 && pairs.length < pairsMax) {
    const [first, second] = candidates.pop()!;
    if (isImmediate(steps, first, second)) pairs.push([first, second]);
  }
  return { pairs: pairs.toSorted(([a, b], [c, d]) => b - d || a - c), left: candidates.length };
}

/** The last write of a word, and by actor the last read since. */
interface LastAccess {
  write: number;
  readonly reads: Map<Actor, number>;
}

/** Every step with the last ones before it that it conflicts with: what is immediate is among these. */
function conflictsBetweenCpus(steps: readonly Step[]): [number, number][] {
  const words = new Map<number, LastAccess>();
  const pairs: [number, number][] = [];
  for (const { index, actor, operations } of steps) {
    const before = new Set<number>();
    for (const operation of operations) {
      const does = footprint(operation.type);
      for (const word of does === Footprint.NONE ? [] : wordsOf(operation)) {
        const last = words.get(word) ?? { write: -1, reads: new Map<Actor, number>() };
        words.set(word, last);
        // Who has read since the last write comes after it already, by that earlier step: nothing is immediate there.
        const isKnown = (last.reads.get(actor) ?? index) !== index;
        if (last.write >= 0 && !isKnown) before.add(last.write);
        if ((does & Footprint.WRITES) === 0) {
          last.reads.set(actor, index);
          continue;
        }
        for (const read of last.reads.values()) before.add(read);
        last.reads.clear();
        last.write = index;
      }
    }
    for (const first of [...before].toSorted((x, y) => x - y)) {
      if (cpuOf(steps[first]!.actor) !== cpuOf(actor)) pairs.push([first, index]);
    }
  }
  return pairs;
}

/**
 * An interrupt is one thing to what it interrupts: what it does comes between two steps there, or not. The pairs are its
 * entry and the last step before it that conflicts with something in it, and its last step and the first such after it.
 */
function pairsWithInterrupts(steps: readonly Step[]): [number, number][] {
  const pairs: [number, number][] = [];
  for (const { index, actor, operations } of steps) {
    if (operations[0]!.type !== OpType.IRQ_ENTRY) continue;
    const block = blockFrom(steps, index);
    const last = block.at(-1)!.index;
    const meets = (step: Step): boolean =>
      cpuOf(step.actor) === cpuOf(actor) &&
      flowOf(step.actor) !== Flow.BUFFER &&
      step.actor !== actor &&
      block.some((inside) => stepsConflict(inside, step));
    const before = steps.findLastIndex((step) => step.index < index && meets(step));
    const after = steps.findIndex((step) => step.index > last && meets(step));
    if (before >= 0) pairs.push([before, index]);
    if (after >= 0) pairs.push([last, after]);
  }
  return pairs;
}

/** The steps of one interrupt, from its entry to its end, or to the end of the run. */
function blockFrom(steps: readonly Step[], entry: number): Step[] {
  const block: Step[] = [];
  for (let at = entry; at < steps.length; at++) {
    const step = steps[at]!;
    if (step.actor !== steps[entry]!.actor) continue;
    block.push(step);
    if (step.operations.some(({ type }) => type === OpType.IRQ_EXIT)) break;
  }
  return block;
}
