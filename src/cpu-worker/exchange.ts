/**
 * How a task moves to another CPU. A task's calls are on the stack of its thread and cannot leave it, so the threads
 * change places instead: all of a CPU's state is in memory, and an idle CPU's thread has nothing on its stack. The
 * thread with the task becomes the idle CPU and goes on there; the other thread becomes the CPU that was left.
 *
 * The two meet through EXCHANGE in the block of the CPU that is left: the task's thread writes WAITING; an idle CPU d
 * offers itself with OFFERED | d, and may take that back; the task's thread answers ACCEPTED | d and touches nothing any
 * more; the idle thread then swaps the two CPUs' words, becomes the CPU that was left, and writes NONE.
 */
import { bus as attachedBus } from '#memory/bus';
import {
  CPU_BLOCK_BYTES,
  CpuWord,
  MACHINE_BLOCK,
  MachineWord,
  PENDING_MASKABLE,
  Pending,
  PowerState,
} from '#memory/layout';
import { NULL } from '#memory/struct';
import { AccessKind } from '#trace/events';
import { rq_has_work, task_may_run_on, task_moved } from '#smp/sched';
import { preempt_enable_no_resched } from '#smp/irqflags';
import { come_online, play_dead } from '#smp/smpboot';
import type { CpuThread, ThreadBus } from './cpu-thread.ts';
import { takeSignals } from './power.ts';

/** Addresses of the two counts of tasks that look for a CPU. */
export const ORPHANS: number = MACHINE_BLOCK + MachineWord.ORPHANS * 4;
export const ORPHANS_ASLEEP: number = MACHINE_BLOCK + MachineWord.ORPHANS_ASLEEP * 4;
const NONE = 0;
const WAITING = 1;
/** As WAITING, of a task that sleeps: only a CPU without any task takes it. */
const ASLEEP = 2;
const OFFERED = 0x1000;
const ACCEPTED = 0x2000;
const STEP_MASK = 0xf000;

function exchangeWord(bus: ThreadBus, cpu: number): number {
  return bus.layout.cpuBlocks + cpu * CPU_BLOCK_BYTES + CpuWord.EXCHANGE * 4;
}

function read(word: number): number {
  return attachedBus.load32Marked(word, AccessKind.ACQUIRE);
}

/**
 * The running task leaves its CPU, which may have just gone offline. Comes back when the task is on another CPU.
 * @param task the running task
 * @param awake for a task that sleeps: whether it has something to wake up for
 */
export function leaveForOtherCpu(
  bus: ThreadBus,
  thread: CpuThread,
  task: number,
  awake?: () => boolean,
): void {
  const left = bus.cpu;
  const word = exchangeWord(bus, left);
  if (thread.offline() && bus.registers.power === PowerState.RUNNING) {
    // Nobody else can carry this CPU to its end: its thread is ours until the exchange.
    play_dead();
    bus.registers.set(CpuWord.POWER, PowerState.SHUTDOWN);
    // As far as the kernel can see the task has left, and the CPU runs nothing.
    task_moved(NULL, left);
  }
  let state = awake !== undefined && !awake() ? ASLEEP : WAITING;
  const announce = (): void => {
    bus.add32(state === ASLEEP ? ORPHANS_ASLEEP : ORPHANS, 1);
    bus.store32Marked(word, state, AccessKind.RELEASE);
    thread.kickOthers();
  };
  announce();
  const pending = bus.registers.base + CpuWord.PENDING;
  const restarted = (): boolean => (Atomics.load(bus.i32, pending) & (Pending.INIT | Pending.SIPI)) !== 0;
  const woken = (): boolean => state === ASLEEP && awake !== undefined && awake();
  for (;;) {
    bus.waitUntil(word, () => (read(word) & STEP_MASK) === OFFERED || restarted() || woken());
    const offer = read(word);
    if ((offer & STEP_MASK) === OFFERED) {
      const to = offer & 0xfff;
      if (bus.compareExchange32(word, offer, ACCEPTED | to) !== offer) continue;
      bus.awaitExchange(word, ACCEPTED | to);
      // The word belongs to the CPU's new thread by now: not even NONE is ours to write.
      bus.become(to);
      return;
    }
    if (bus.compareExchange32(word, state, NONE) !== state) continue;
    bus.add32(state === ASLEEP ? ORPHANS_ASLEEP : ORPHANS, -1);
    // The CPU is started again before anybody took the task: it can go on here.
    if (restarted() && restart(bus, task)) return;
    if (woken()) state = WAITING;
    announce();
  }
}

/** Takes INIT and SIPI under the task. True if the CPU is online again. */
function restart(bus: ThreadBus, task: number): boolean {
  const signals = Atomics.and(bus.i32, bus.registers.base + CpuWord.PENDING, ~(Pending.INIT | Pending.SIPI));
  if (!takeSignals(bus, signals)) return false;
  come_online();
  preempt_enable_no_resched();
  bus.registers.set(CpuWord.CURRENT_TASK, task);
  task_moved(task, bus.cpu);
  return true;
}

/** The first CPU that was left by a task which may run here, or -1. */
function findOrphan(bus: ThreadBus, asleep: boolean): number {
  for (let cpu = 0; cpu < bus.layout.nrPossible; cpu++) {
    const state = read(exchangeWord(bus, cpu));
    if (state !== WAITING && (state !== ASLEEP || !asleep)) continue;
    const task = bus.registersOf(cpu).get(CpuWord.CURRENT_TASK);
    if (task_may_run_on(task, bus.cpu)) return cpu;
  }
  return -1;
}

/**
 * From the idle loop, or for a task that sleeps: gives this CPU to a task whose own CPU went away. True if this thread
 * is that other CPU now.
 * @param asleep take a task that sleeps too
 */
export function acceptTask(bus: ThreadBus, asleep: boolean): boolean {
  const left = findOrphan(bus, asleep);
  if (left < 0) return false;
  const here = bus.cpu;
  const word = exchangeWord(bus, left);
  // No interrupt from here on: it would run as this CPU while the task's thread already does.
  const pending = bus.registers.base + CpuWord.PENDING;
  bus.registers.set(CpuWord.IRQS_ENABLED, 0);
  const offer = OFFERED | here;
  const answered = (): boolean => read(word) !== offer;
  const wanted = (): boolean => (Atomics.load(bus.i32, pending) & PENDING_MASKABLE) !== 0 || rq_has_work();
  let accepted = false;
  const state = read(word);
  const takeable = state === WAITING || (state === ASLEEP && asleep);
  if (takeable && bus.compareExchange32(word, state, offer) === state) {
    bus.waitUntil(word, () => answered() || wanted());
    // Somebody needs this CPU as it is: take the offer back, unless it is taken already.
    accepted = answered() || bus.compareExchange32(word, offer, state) !== offer;
  }
  if (!accepted) {
    bus.registers.set(CpuWord.IRQS_ENABLED, 1);
    bus.window();
    return false;
  }
  bus.add32(state === ASLEEP ? ORPHANS_ASLEEP : ORPHANS, -1);
  swapCpus(bus, left, here);
  bus.exchangeThreads(word, left, here);
  bus.window();
  return true;
}

/** Words that belong to the thread or to the task, and go with it. */
const TRAVELLING = [
  CpuWord.CONTEXT,
  CpuWord.CURRENT_TASK,
  CpuWord.PREEMPT_COUNT,
  CpuWord.HARDIRQ_COUNT,
] as const;

/** The task's CPU and this one trade what goes with a thread. */
function swapCpus(bus: ThreadBus, left: number, here: number): void {
  const old = bus.registersOf(left);
  const mine = bus.registersOf(here);
  for (const word of TRAVELLING) {
    const moved = old.get(word);
    old.set(word, mine.get(word));
    mine.set(word, moved);
  }
  mine.set(CpuWord.IRQS_ENABLED, 1);
  if (old.power === PowerState.RUNNING) old.set(CpuWord.IRQS_ENABLED, 1);
  task_moved(mine.get(CpuWord.CURRENT_TASK), here);
  // A dead CPU runs nothing, whatever its thread carries.
  task_moved(old.power === PowerState.RUNNING ? old.get(CpuWord.CURRENT_TASK) : NULL, left);
}
