/**
 * What flows have been seen to do, as a tree for each: which step comes first, and for each value that it may read, what is
 * done then. A flow is a function of what it reads, so a run that stays within the trees needs no code of the flows at all:
 * whoever is chosen makes the step that its tree has next, in the same memory, under the same scheduler, into the same log.
 *
 * A tree is made from the log of runs of the code, and from what each CPU does there between its steps (memory/trail.ts).
 * What it cannot tell it does not have: waits, interrupts, accesses wider than a word, whatever is printed or found. A run
 * that comes to such a place, or to a value that has not been read there before, comes to nothing, and is made by code.
 */
import { machineWord } from '#memory/base-bus';
import type { FiberBus } from '#memory/fiber-bus';
import { MachineWord, RunEnd } from '#memory/layout';
import { AT_REST } from '#memory/scheduler-core';
import type { KnownPlaces } from '#trace/operations';
import type { FlowTree } from './flow-tree.ts';
import { KnownSteps, UNDECIDED, UNKNOWN } from './known-steps.ts';

const RUN_END = machineWord(MachineWord.RUN_END);
const TASKS_OPEN = machineWord(MachineWord.TASKS_OPEN);

export class KnownFlows {
  readonly #steps: KnownSteps;
  readonly #beIdle: (cpu: number) => boolean;

  /** @param beIdle the flow of a CPU has ended, and it goes to its idle loop; false if it cannot */
  constructor(tree: FlowTree, bus: FiberBus, beIdle: (cpu: number) => boolean) {
    this.#steps = new KnownSteps(tree, bus);
    this.#beIdle = beIdle;
  }

  /** Where the records of the last run come from. */
  get places(): KnownPlaces {
    return this.#steps;
  }

  /**
   * Makes a run from its first choice on.
   * @returns true if it came to an end like others; false: it counts for nothing
   */
  run({ core, i32 }: FiberBus): boolean {
    const steps = this.#steps;
    steps.begin();
    for (let actor = core.decide(); actor !== AT_REST; actor = core.decide()) {
      const ended = steps.go(actor, core.settled);
      if (ended === UNKNOWN) return false;
      if (ended === UNDECIDED) continue;
      i32[TASKS_OPEN]! -= 1;
      if (!this.#beIdle(ended)) return false;
    }
    const end = i32[RUN_END]!;
    return end === RunEnd.QUIESCENT || end === RunEnd.COVERED;
  }
}
