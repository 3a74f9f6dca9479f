/**
 * What flows have been seen to do, as a tree for each: which step comes first, and for each value that it may read, what is
 * done then. A flow is a function of what it reads, so a run that stays within the trees needs no code of the flows at all:
 * whoever is chosen makes the step that its tree has next, in the same memory, under the same scheduler, into the same log.
 * So has each handler a tree, by what it interrupts; and so has each condition that a flow waits for.
 *
 * A tree is made from the log of runs of the code, and from what each CPU does there between its steps (memory/trail.ts).
 * What it cannot tell it does not have: waits that end by themselves, tasks, accesses wider than a word, whatever is printed
 * or found. A run that comes to such a place, or to a value that has not been read there before, comes to nothing, and is
 * made by code.
 */
import { cpuOf, flowOf } from '#base/strategy';
import { machineWord } from '#memory/base-bus';
import type { FiberBus } from '#memory/fiber-bus';
import { CpuWord, MachineWord, RunEnd, SearchWord } from '#memory/layout';
import { AT_REST } from '#memory/scheduler-core';
import { searchWord } from '#memory/search-words';
import type { KnownPlaces } from '#trace/operations';
import type { FlowTree } from './flow-tree.ts';
import { KnownRests } from './known-rests.ts';
import { CHOSEN, KnownSteps, UNDECIDED, UNKNOWN } from './known-steps.ts';
import type { WrittenWords } from './written-words.ts';

const RUN_END = machineWord(MachineWord.RUN_END);
const LAST_ACTOR = searchWord(SearchWord.LAST_ACTOR);

const OWN_WORDS = [CpuWord.STATUS, CpuWord.WATCH_COUNT, CpuWord.WATCH_FILTER, CpuWord.FLOW_PENDING];

export class KnownFlows {
  readonly #tree: FlowTree;
  readonly #bus: FiberBus;
  readonly #steps: KnownSteps;
  readonly #rests: KnownRests;
  /** By CPU: words that it has waited for, at most; -1 = it has no flow that is known. */
  readonly #watching: number[];

  /** @param beIdle nothing is left on a CPU's stack, and it goes to its idle loop; false if it cannot */
  constructor(tree: FlowTree, bus: FiberBus, beIdle: (cpu: number) => boolean) {
    this.#tree = tree;
    this.#bus = bus;
    this.#steps = new KnownSteps(tree, bus);
    this.#watching = Array.from({ length: bus.layout.nrPossible }, () => -1);
    this.#rests = new KnownRests(tree, bus, this.#steps, (cpu) => {
      if (!beIdle(cpu)) return false;
      this.#noteIdle(cpu);
      return true;
    });
  }

  /** Where the records of the last run come from, if each comes from one. */
  get places(): KnownPlaces | undefined {
    return this.#steps.isPlain ? this.#steps : undefined;
  }

  /** What a run may have written, of memory that no machine takes back by itself. */
  get written(): WrittenWords {
    return this.#tree.written;
  }

  /**
   * Makes a run from its first choice on.
   * @returns true if it came to an end like others; false: it counts for nothing
   */
  run(): boolean {
    const bus = this.#bus;
    const { core, i32 } = bus;
    const steps = this.#steps;
    const rests = this.#rests;
    this.#noteFlows();
    steps.begin();
    rests.begin();
    for (let actor = core.decide(); actor !== AT_REST; actor = core.decide()) {
      if (rests.hasFailed) return false;
      if (flowOf(actor) !== i32[bus.registersOf(cpuOf(actor)).base + CpuWord.FLOW]) {
        if (!rests.takeInterrupt(actor)) return false;
        continue;
      }
      const result = steps.go(actor, core.settled);
      if (result === UNDECIDED) continue;
      if (result === UNKNOWN) return false;
      const last = i32[LAST_ACTOR]!;
      if (!(result === CHOSEN ? rests.goOn(last) : rests.arrive(result, last))) return false;
    }
    const end = i32[RUN_END]!;
    return !rests.hasFailed && (end === RunEnd.QUIESCENT || end === RunEnd.COVERED);
  }

  /** Looks again at what a CPU waits for. False: it waits in its idle loop. */
  look(cpu: number): boolean {
    return this.#rests.look(cpu);
  }

  /** What flows write by beginning and ending: theirs are the first words of a CPU that is written at all. */
  #noteFlows(): void {
    const { words, written } = this.#tree;
    for (let cpu = 0; cpu < this.#watching.length; cpu++) {
      if (words[cpu] === 0 || this.#watching[cpu]! >= 0) continue;
      this.#watching[cpu] = 0;
      const { base } = this.#bus.registersOf(cpu);
      for (const word of OWN_WORDS) written.add(base + word);
    }
  }

  /** A CPU whose flow is over waits for something. */
  #noteIdle(cpu: number): void {
    const { base } = this.#bus.registersOf(cpu);
    const count = this.#bus.i32[base + CpuWord.WATCH_COUNT]!;
    const { written } = this.#tree;
    for (; this.#watching[cpu]! < count; this.#watching[cpu]!++)
      written.add(base + CpuWord.WATCH_LIST + this.#watching[cpu]!);
  }
}
