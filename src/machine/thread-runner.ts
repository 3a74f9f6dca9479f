/** Runs a kept machine on CPU threads: memory goes back, the threads stay where they are and notice that a run is on. */
import { assert } from '#base/assert';
import { SmplabError } from '#base/errors';
import { type Actor, cpuOf, flowOf } from '#base/strategy';
import { machineWord } from '#memory/base-bus';
import { Baton, CONTEXT_BYTES, ContextWord, CpuWord, MachineWord, RunEnd } from '#memory/layout';
import { AT_REST, type CoreClient, SchedulerCore } from '#memory/scheduler-core';
import { policyByNumber } from '#scheduler/policies';
import type { Machine } from './machine.ts';
import type { RunOutcome, Runner } from './runner.ts';

/** Host milliseconds without a step after which a CPU counts as lost: no scenario computes that long between two. */
export const STUCK_MS = 5_000;

/** A thread that has to become another CPU is asked so often, and answers within microseconds. */
const HOME_TRIES_MAX = 2_500;
const HOME_TRY_MS = 2;

const STEP = machineWord(MachineWord.STEP);
const RUN_END = machineWord(MachineWord.RUN_END);
const DOORBELL = machineWord(MachineWord.DOORBELL);

/** Of a machine at rest: nobody has anything to look at again, and no store is buffered. */
const BEFORE_THE_FIRST_STEP: CoreClient = {
  recheck: (cpu) => assert(false, `ThreadRunner: CPU ${cpu} has something to look at before the first step`),
  written: () => assert(false, 'ThreadRunner: a store before the first step'),
  isShared: () => true,
  traceFlush: () => assert(false, 'ThreadRunner: a buffered store before the first step'),
};

export class ThreadRunner implements Runner {
  readonly #machine: Machine;
  readonly #i32: Int32Array;
  readonly #start: Int32Array;
  readonly #cpuChooses: boolean;
  /** Chooses who goes first: one hand-over less than asking a CPU to choose. */
  readonly #core: SchedulerCore;

  /**
   * @param start memory as it was kept
   * @param cpuChooses what must always hold is looked at by CPUs, which can report it: there a CPU makes the first choice
   */
  constructor(machine: Machine, start: Int32Array, cpuChooses: boolean) {
    this.#machine = machine;
    this.#i32 = machine.bus.i32;
    this.#start = start;
    this.#cpuChooses = cpuChooses;
    this.#core = new SchedulerCore(machine.bus.buffer, machine.layout, BEFORE_THE_FIRST_STEP, policyByNumber);
  }

  goHome(restore: () => void): void {
    const away = this.#threadsAway();
    restore();
    for (const { context, cpu } of away) this.#bringHome(context, cpu);
  }

  run(first: Actor): RunOutcome {
    this.#begin(first);
    return this.#awaitEnd() ? 'over' : 'lost';
  }

  /** Hands the baton to whoever goes first. */
  #begin(first: Actor): void {
    if (this.#cpuChooses) {
      this.#handOver(cpuOf(first), Baton.RESUME);
      return;
    }
    const chosen = this.#core.decide();
    if (chosen === AT_REST) return;
    const cpu = cpuOf(chosen);
    const flow = this.#i32[this.#machine.bus.registersOf(cpu).base + CpuWord.FLOW]!;
    this.#handOver(cpu, flowOf(chosen) === flow ? Baton.RUN : Baton.TAKE_INTERRUPT);
  }

  #handOver(cpu: number, command: Baton): void {
    const word = this.#machine.bus.registersOf(cpu).base + CpuWord.BATON;
    Atomics.store(this.#i32, word, command);
    Atomics.notify(this.#i32, word, 1);
  }

  /** Threads that have become another CPU since memory was kept: their contexts, and which CPU each is now. */
  #threadsAway(): { readonly context: number; readonly cpu: number }[] {
    const { layout } = this.#machine;
    const away: { readonly context: number; readonly cpu: number }[] = [];
    for (let number = 0; number < layout.nrPossible; number++) {
      const context = (layout.contexts + number * CONTEXT_BYTES) >>> 2;
      const cpu = this.#i32[context + ContextWord.CPU]!;
      if (cpu !== this.#start[context + ContextWord.CPU]!) away.push({ context, cpu });
    }
    return away;
  }

  /** A thread becomes the CPU that memory says it is, so that a run's stacks lie where those of every run do. */
  #bringHome(context: number, cpu: number): void {
    const i32 = this.#i32;
    const baton = this.#machine.bus.registersOf(cpu).base + CpuWord.BATON;
    const moving = context + ContextWord.MOVING;
    Atomics.store(i32, moving, 1);
    // Two threads may wait there for a moment. One that is home already takes the command for nothing: it is sent again.
    for (let tries = 0; Atomics.load(i32, moving) !== 0 && tries < HOME_TRIES_MAX; tries++) {
      Atomics.store(i32, baton, Baton.BECOME);
      Atomics.notify(i32, baton);
      this.#machine.sleep(moving, 1, HOME_TRY_MS);
    }
    if (Atomics.load(i32, moving) !== 0)
      throw new SmplabError('SMPLAB_HOST_FAILED', 'a CPU thread of this machine does not answer any more');
  }

  /** Blocks this thread until the run has ended. False if a CPU makes no step any more. */
  #awaitEnd(): boolean {
    const i32 = this.#i32;
    let steps = -1;
    for (;;) {
      const seen = Atomics.load(i32, DOORBELL);
      if (Atomics.load(i32, RUN_END) !== RunEnd.NONE) return true;
      if (this.#machine.sleep(DOORBELL, seen, STUCK_MS)) continue;
      const now = Atomics.load(i32, STEP);
      if (now === steps) return Atomics.load(i32, RUN_END) !== RunEnd.NONE;
      steps = now;
    }
  }
}
