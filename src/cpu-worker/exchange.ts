/**
 * How a task moves to another CPU. A task's calls are on the stack of its thread and cannot leave it, so the threads
 * change places instead: what a CPU is, is in memory, and an idle CPU's thread has nothing on its stack. The thread with
 * the task goes on as the CPU that was idle; the other thread goes on as the CPU that was left.
 *
 * What is whose:
 * - a CPU's block, its run queue and its trace ring belong to the thread that is the CPU, and to nobody while the CPU
 *   is on offer;
 * - a context belongs to its thread for ever; CPU in it says which CPU the thread is;
 * - CURRENT_TASK, PREEMPT_COUNT and HARDIRQ_COUNT are a CPU's words but go with the thread: it keeps them on its stack
 *   and writes them where it arrives.
 *
 * A thread that wants another CPU is in one of these states (W = WANTS in its context):
 *
 *     OWNER    W = 0, CPU = l      it is CPU l; if l is online it takes interrupts and runs kernel threads there
 *     ON OFFER W = ticket, CPU = l interrupts off; it only sleeps. CPU l is nobody's
 *     GIVEN    W = 0, CPU = l      another thread took the ticket: it touches nothing until CPU changes
 *     ARRIVED  W = 0, CPU = d      it is CPU d, interrupts still off
 *
 * OWNER -> ON OFFER is its own store. Out of ON OFFER leads one compare-and-exchange of W from the ticket to 0: its own
 * (something is pending for l: OWNER again) or a taker's. The taker is CPU d with interrupts off: idle, or with a task
 * that sleeps, or with one that wants to leave d itself. Whoever takes the ticket owns both CPUs: it writes who has which context, becomes l, and last writes the other's
 * CPU word. A ticket is used once, so a taker that read who waits and found him fit takes exactly him.
 *
 * A dead CPU whose thread carries a task stays with that thread until somebody takes it, or INIT and SIPI arrive: then
 * it is started on top of the task, which goes on there. A task that sleeps waits on its dead CPU for what wakes it, and
 * only then wants another. To the kernel a dead CPU is idle, whatever its thread carries.
 */
import {
  ContextWord,
  CpuWord,
  MACHINE_BLOCK,
  MachineWord,
  PENDING_MASKABLE,
  Pending,
  PowerState,
} from '#memory/layout';
import { NULL } from '#memory/struct';
import { cpu_online_map, type cpumask_t } from '#smp/cpumask';
import { preempt_check_resched, set_need_resched, task_moved, task_struct } from '#smp/sched';
import { come_online, play_dead } from '#smp/smpboot';
import { AccessKind, EventType } from '#trace/events';
import { ResetTaken } from './control-flow.ts';
import type { CpuFlow, ThreadBus } from './thread-bus.ts';
import { takeSignals } from './power.ts';

const ORPHANS = MACHINE_BLOCK + MachineWord.ORPHANS * 4;
const TICKETS = (MACHINE_BLOCK >>> 2) + MachineWord.TICKETS;
const START_SIGNALS = Pending.INIT | Pending.SIPI;
/** Behind the CPUs that a search may have. */
const ON_OFFER = 1 << 31;

/** A look at a CPU's bit: no scheduling point, no interrupt. */
export function isSet(bus: ThreadBus, cpu: number, mask: cpumask_t): boolean {
  return ((bus.loadLocal32(mask.addr + (cpu >>> 5) * 4) >>> (cpu & 31)) & 1) !== 0;
}

/** Whether a task may be on a CPU that is online. Where all CPUs it is restricted to are gone, it may be on any. */
function mayRunOn(bus: ThreadBus, task: number, cpu: number, isOnline: OnlineWord): boolean {
  const allowed = task_struct.at(task).cpus_allowed;
  if (isSet(bus, cpu, allowed)) return true;
  for (let at = 0; at < bus.layout.nrPossible; at += 32) {
    const online = isOnline(bus, cpu_online_map.addr + (at >>> 3));
    if ((bus.loadLocal32(allowed.addr + (at >>> 3)) & online) !== 0) return false;
  }
  return true;
}

/** How a word of the online map is looked at: others write it. */
type OnlineWord = (bus: ThreadBus, address: number) => number;

/**
 * Without a scheduling point; a wait, and a search, know that it was looked at.
 * @plain
 */
function peeked(bus: ThreadBus, address: number): number {
  return bus.searching ? bus.peek32(address) : bus.loadLocal32(address);
}

/**
 * In a search, as an operation.
 * @plain
 */
function loaded(bus: ThreadBus, address: number): number {
  return bus.searching ? bus.load32Marked(address, AccessKind.ONCE) : bus.loadLocal32(address);
}

/** Whether the running task has to leave its CPU. In a search a scheduling point, if the task is restricted to other CPUs. */
export function isMisplaced(bus: ThreadBus, task: number): boolean {
  return !isSet(bus, bus.cpu, cpu_online_map) || !mayRunOn(bus, task, bus.cpu, loaded);
}

/** The first other context on offer whose task may run here, or -1. @param take take its ticket */
function findOrphan(bus: ThreadBus, take: boolean): number {
  const { i32 } = bus;
  for (let index = 0; index < bus.layout.nrPossible; index++) {
    const context = bus.contextOf(index);
    const ticket = Atomics.load(i32, context + ContextWord.WANTS);
    if (ticket === 0 || context === bus.contextIndex) continue;
    // What it wants, in a search: see nextTicket.
    if (bus.searching) bus.peek32((context + ContextWord.WANTS) * 4);
    if (!mayRunOn(bus, i32[context + ContextWord.TASK]!, bus.cpu, peeked)) continue;
    if (!take || Atomics.compareExchange(i32, context + ContextWord.WANTS, ticket, 0) === ticket)
      return context;
  }
  return -1;
}

/** Whether a task waits for a CPU such as this one. */
export function anyOrphan(bus: ThreadBus): boolean {
  return bus.peek32(ORPHANS) !== 0 && findOrphan(bus, false) >= 0;
}

/** The running task, which is misplaced, leaves this CPU. Arch.migrate says the rest. */
export function leaveCpu(
  bus: ThreadBus,
  thread: CpuFlow,
  task: number,
  watch: number,
  awake: () => boolean,
): void {
  const { preemptCount } = bus.registers;
  for (;;) {
    if (thread.offline()) {
      // Nobody else can carry this CPU to its end: its thread is ours.
      if (bus.registers.power === PowerState.RUNNING) die(bus, task);
      // In this order: what started the CPU is asked for again below, and has to have been looked at.
      bus.waitUntil(watch, () => isPending(bus, START_SIGNALS) || bus.unseen(awake));
      if (isPending(bus, START_SIGNALS)) {
        if (restart(bus)) {
          arrive(bus, thread, task, preemptCount);
          return;
        }
        continue;
      }
    } else {
      // The CPU is alive, and its interrupts and kernel threads are not this task's business: they may end it, too.
      thread.sti();
      bus.waitUntil(0, () => !isPending(bus, PENDING_MASKABLE));
      preempt_check_resched();
      if (!thread.misplaced(task)) return;
      // Somebody else may want the very CPU that this task has no use for.
      if (takeOrphan(bus, thread)) continue;
      thread.cli();
      if (thread.offline()) continue;
    }
    const running = bus.registers.power === PowerState.RUNNING;
    const bits = Pending.STOP | (running ? PENDING_MASKABLE : START_SIGNALS);
    const stay = (): boolean => isPending(bus, bits) || (running && anyOrphan(bus));
    if (bus.standBy(nextTicket(bus, task), stay, (cpu) => mayRunOn(bus, task, cpu, peeked))) {
      arrive(bus, thread, task, preemptCount);
      return;
    }
    bus.window();
  }
}

function isPending(bus: ThreadBus, bits: number): boolean {
  return (bus.peek32((bus.registers.base + CpuWord.PENDING) * 4) & bits) !== 0;
}

/** In a search a ticket says what it is for: the CPUs that the task may run on. One thread runs at a time, and none takes two. */
function nextTicket(bus: ThreadBus, task: number): number {
  bus.i32[bus.contextIndex + ContextWord.TASK] = task;
  if (bus.searching) return bus.loadLocal32(task_struct.at(task).cpus_allowed.addr) | ON_OFFER;
  const ticket = Atomics.add(bus.i32, TICKETS, 1) + 1;
  return ticket === 0 ? nextTicket(bus, task) : ticket;
}

/** The CPU went offline under the task: as the idle task would, to its last step. */
function die(bus: ThreadBus, task: number): void {
  const { registers } = bus;
  leave(bus, task);
  registers.set(CpuWord.CURRENT_TASK, NULL);
  registers.set(CpuWord.PREEMPT_COUNT, 1);
  task_moved(NULL, bus.cpu);
  play_dead();
}

/** Takes INIT and SIPI on top of the task. True if the CPU is online again. */
function restart(bus: ThreadBus): boolean {
  const pending = bus.registers.base + CpuWord.PENDING;
  const signals = Atomics.and(bus.i32, pending, ~START_SIGNALS) & START_SIGNALS;
  if (!takeSignals(bus, signals)) return false;
  const { depth } = bus;
  try {
    come_online();
    // It dropped its interrupts, and goes on with the task instead of in the idle loop, which would have looked.
    set_need_resched();
    return true;
  } catch (error) {
    if (!(error instanceof ResetTaken)) throw error;
    bus.depth = depth;
    return false;
  }
}

/** From the idle loop, or for a task that sleeps: gives this CPU to a task that waits for one. See Arch.adopt. */
export function takeOrphan(bus: ThreadBus, thread: CpuFlow): boolean {
  // No interrupt from here on: it could take this CPU offline, or start something on it.
  thread.cli();
  const context = bus.takeTicket((take) => (thread.offline() ? -1 : findOrphan(bus, take)));
  if (context < 0) {
    thread.sti();
    return false;
  }
  const { preemptCount } = bus.registers;
  const task = bus.registers.get(CpuWord.CURRENT_TASK);
  const gone = bus.i32[context + ContextWord.TASK]!;
  // The other thread stands still until the exchange is done: nothing that could throw may come in between.
  leave(bus, task);
  bus.exchangeWith(context);
  if (bus.registers.power === PowerState.RUNNING) {
    leave(bus, gone);
    arrive(bus, thread, task, preemptCount);
  } else {
    bus.registers.set(CpuWord.CURRENT_TASK, NULL);
    bus.registers.set(CpuWord.PREEMPT_COUNT, preemptCount);
  }
  return true;
}

function leave(bus: ThreadBus, task: number): void {
  if (task !== NULL) bus.emit(EventType.TASK, task, bus.loadLocal32(task), 0, 0);
}

/** This thread, with its task or in the idle loop, goes on on the CPU it is now. */
function arrive(bus: ThreadBus, thread: CpuFlow, task: number, preemptCount: number): void {
  const { registers } = bus;
  thread.cli();
  registers.set(CpuWord.CURRENT_TASK, task);
  registers.set(CpuWord.PREEMPT_COUNT, preemptCount);
  registers.set(CpuWord.HARDIRQ_COUNT, 0);
  if (task !== NULL) bus.emit(EventType.TASK, task, bus.loadLocal32(task), 1, 0);
  task_moved(task, bus.cpu);
  thread.sti();
}
