/**
 * The thread that is a CPU: takes interrupts, runs tasks to their end, survives oopses, and comes to rest when the host
 * says so.
 */
import { EndlessLoop } from '#base/resumable';
import { machineWord } from '#memory/base-bus';
import type { BusClient } from '#memory/bus';
import {
  Baton,
  CONTEXT_BYTES,
  CpuWord,
  type Geometry,
  MachineEnd,
  MachineWord,
  Mode,
  PAGE_SIZE,
  PENDING_MASKABLE,
  Pending,
  PowerState,
} from '#memory/layout';
import { RunOver } from '#memory/run-over';
import { sleepFor } from '#memory/sleep';
import { NULL } from '#memory/struct';
import { call_pointer } from '#memory/symbols';
import type { Arch, Vector } from '#smp/arch';
import { smp_call_function_interrupt } from '#smp/call_function';
import { cpu_online_map } from '#smp/cpumask';
import { faults_armed, should_delay, should_fail } from '#smp/fault_inject';
import { irq_enter, irq_exit } from '#smp/hardirq';
import { die, panic, printk, KERN_EMERG, report_finding } from '#smp/printk';
import { KILLED, preempt_schedule_irq, smp_reschedule_interrupt } from '#smp/sched';
import { is_i386 } from '#smp/subarch';
import { EventType, Instruction, Outcome } from '#trace/events';
import { MachineStopped, ResetTaken, TaskDied } from './control-flow.ts';
import { anyOrphan, isMisplaced, isSet, leaveCpu, takeOrphan } from './exchange.ts';
import { powerCycle, takeSignals } from './power.ts';
import { ProcessorCore } from './registers-arch.ts';
import type { ThreadBus } from './thread-bus.ts';

const ENDED = machineWord(MachineWord.ENDED);
const MODE = machineWord(MachineWord.MODE);

const always = (): boolean => true;

/** Unwinds this thread whatever kernel code is on its stack. */
function isControl(error: unknown): boolean {
  return error instanceof MachineStopped || error instanceof ResetTaken || error instanceof RunOver;
}

export class CpuThread extends ProcessorCore implements Arch, BusClient {
  readonly #layout: Geometry;
  #bus: ThreadBus | undefined;

  constructor(layout: Geometry) {
    super(() => this.bus);
    this.#layout = layout;
  }

  /** Two steps, because bus and thread need each other. */
  attach(bus: ThreadBus): void {
    this.#bus = bus;
  }

  get bus(): ThreadBus {
    return this.#bus!;
  }

  /** @plain */
  cli(): void {
    this.bus.interruptFlag(false);
  }

  sti(): void {
    const { bus } = this;
    bus.interruptFlag(true);
    bus.window();
  }

  sendIpi(cpu: number, vector: Vector): void {
    const { bus } = this;
    bus.emit(EventType.IPI_SEND, vector, cpu, 0, 0);
    const late = faults_armed() ? should_delay('ipi-delay') : 0;
    if (late === 0) {
      bus.raise(cpu, vector);
      return;
    }
    // The host sends it on, by its own clock (machine/faults.ts).
    const { base } = bus.registersOf(cpu);
    bus.i32[base + CpuWord.LATE_US] = late;
    Atomics.or(bus.i32, base + CpuWord.LATE, vector);
  }

  sendInit(cpu: number): void {
    this.bus.emit(EventType.IPI_SEND, Pending.INIT, cpu, 0, 0);
    this.bus.raise(cpu, Pending.INIT);
  }

  sendStartup(cpu: number, vector: number): void {
    this.bus.emit(EventType.IPI_SEND, Pending.SIPI, cpu, vector, 0);
    if (this.#isDeaf(cpu)) return;
    this.bus.registersOf(cpu).set(CpuWord.SIPI, vector);
    this.bus.raise(cpu, Pending.SIPI);
  }

  /** An injected fault: a CPU that does not come up. Both STARTUPs are one attempt: the first decides. */
  #isDeaf(cpu: number): boolean {
    const { registers } = this.bus;
    const again = registers.get(CpuWord.LAST_STARTED) === cpu + 1;
    registers.set(CpuWord.LAST_STARTED, again ? 0 : cpu + 1);
    if (!again)
      registers.set(CpuWord.DEAF, faults_armed() && should_fail('cpu-boot', String(cpu)) !== 0 ? 1 : 0);
    return registers.get(CpuWord.DEAF) !== 0;
  }

  override vmxon(physical: bigint): Outcome {
    if (!faults_armed() || should_fail('vmxon') === 0) return super.vmxon(physical);
    this.bus.emit(EventType.INSTRUCTION, Instruction.VMXON, Number(physical), 0, Outcome.VMFAIL_INVALID);
    return Outcome.VMFAIL_INVALID;
  }

  /** An injected fault: nothing of this thread moves. In parallel mode only. */
  #standStill(microseconds: number): void {
    const { i32, registers } = this.bus;
    if (microseconds > 0) sleepFor(i32, registers.base + CpuWord.NOTHING, microseconds / 1_000);
  }

  /** The slow path of every operation while something is pending. */
  interruptWindow(): void {
    for (;;) {
      const { registers, i32 } = this.bus;
      const pending = Atomics.load(i32, registers.base + CpuWord.PENDING);
      if ((pending & Pending.STOP) !== 0) throw new MachineStopped();
      if ((pending & Pending.STAND_STILL) !== 0) {
        Atomics.and(i32, registers.base + CpuWord.PENDING, ~Pending.STAND_STILL);
        this.#standStill(registers.get(CpuWord.STAND_STILL_US));
      }
      if (registers.power === PowerState.RUNNING) {
        if ((pending & Pending.INIT) !== 0) this.#initWhileRunning();
        // Only a CPU that waits for a SIPI takes one.
        if ((pending & Pending.SIPI) !== 0) Atomics.and(i32, registers.base + CpuWord.PENDING, ~Pending.SIPI);
      }
      if ((pending & PENDING_MASKABLE) === 0 || !registers.irqsEnabled) return;
      this.takeInterrupt();
    }
  }

  /** INIT does not ask: a CPU that is not shielded from it is in reset, whatever it was doing. */
  #initWhileRunning(): void {
    const { bus } = this;
    // The SIPI that follows it stays: this CPU is about to wait for one.
    Atomics.and(bus.i32, bus.registers.base + CpuWord.PENDING, ~Pending.INIT);
    takeSignals(bus, Pending.INIT);
    if (bus.registers.power === PowerState.WAIT_FOR_SIPI) throw new ResetTaken();
  }

  takeInterrupt(): void {
    const { bus } = this;
    const index = bus.registers.base + CpuWord.PENDING;
    const pending = Atomics.load(bus.i32, index) & PENDING_MASKABLE;
    const vector = pending & -pending;
    Atomics.and(bus.i32, index, ~vector);
    bus.registers.set(CpuWord.IRQS_ENABLED, 0);
    const taken = CpuWord.INTERRUPTS + (31 - Math.clz32(vector));
    bus.registers.set(taken, bus.registers.get(taken) + 1);
    const flow = bus.interruptEnters(vector);
    bus.emit(EventType.IRQ_ENTRY, vector, 0, 0, 0);
    try {
      if (vector === Pending.CALL_FUNCTION) {
        if (faults_armed()) this.#standStill(should_delay('slow-cpu'));
        smp_call_function_interrupt();
      } else if (vector === Pending.RESCHEDULE) smp_reschedule_interrupt();
      else if (vector >= Pending.DEVICE) this.#deviceInterrupt(vector);
    } catch (error) {
      this.#rethrowControl(error);
      this.#reportException(error);
      this.#dieInInterrupt();
    }
    bus.emit(EventType.IRQ_EXIT, vector, 0, 0, 0);
    bus.interruptLeaves(flow);
    bus.registers.set(CpuWord.IRQS_ENABLED, 1);
    preempt_schedule_irq();
  }

  /** A scenario's device: its handler stands in the CPU's block. */
  #deviceInterrupt(vector: number): void {
    const line = Math.log2(vector / Pending.DEVICE);
    const handler = this.bus.registers.get(CpuWord.DEVICE_HANDLERS + line);
    irq_enter();
    if (handler !== 0) call_pointer(handler >>> 0);
    irq_exit();
  }

  fault(address: number, size: number, write: boolean): never {
    const where = address.toString(16).padStart(8, '0');
    const detail = `${write ? 'write' : 'read'} of ${size} bytes at 0x${where}`;
    if (address < PAGE_SIZE) die(`BUG: unable to handle kernel NULL pointer dereference at ${where}`, detail);
    if (this.#isOwnContext(address)) die('kernel stack overflow', detail);
    die(`BUG: unable to handle kernel paging request at ${where}`, detail);
  }

  #isOwnContext(address: number): boolean {
    const { contexts, nrPossible } = this.#layout;
    return address > contexts && address <= contexts + nrPossible * CONTEXT_BYTES + PAGE_SIZE;
  }

  runTask(fn: number, arg0: number, arg1: number, arg2: number, text: string): number {
    const { depth } = this.bus;
    try {
      const result = call_pointer(fn, arg0, arg1, arg2, text);
      return typeof result === 'number' ? result | 0 : 0;
    } catch (error) {
      return this.taskThrew(error, depth);
    }
  }

  /**
   * What a task threw: its end, or on its way to somebody else.
   * @param depth of the call stack when the task began
   */
  taskThrew(error: unknown, depth: number): number {
    if (isControl(error)) throw error;
    if (!(error instanceof TaskDied)) {
      this.#reportException(error);
      if (this.bus.registers.hardirqCount !== 0) this.#dieInInterrupt();
    }
    // The task is gone with everything on its stack; what it held in memory it holds for ever.
    const { registers } = this.bus;
    this.bus.depth = depth;
    registers.set(CpuWord.HARDIRQ_COUNT, 0);
    registers.set(CpuWord.IRQS_ENABLED, 1);
    return KILLED;
  }

  /** @plain */
  ringHost(): void {
    this.bus.ringDoorbell();
  }

  /** @plain */
  hostMicroseconds(): number {
    return this.bus.i32[MODE] === Mode.DETERMINISTIC ? 0 : performance.now() * 1_000;
  }

  shutdown(): void {
    this.bus.registers.set(CpuWord.POWER, PowerState.SHUTDOWN);
  }

  sleep(): void {
    powerCycle(this.bus);
  }

  /** @plain */
  offline(): boolean {
    const { bus } = this;
    return !isSet(bus, bus.cpu, cpu_online_map);
  }

  misplaced(task: number): boolean {
    return isMisplaced(this.bus, task);
  }

  migrate(task: number, watch = 0, awake: () => boolean = always): void {
    leaveCpu(this.bus, this, task, watch, awake);
  }

  /** @plain */
  orphans(): boolean {
    return anyOrphan(this.bus);
  }

  /** @plain */
  orphansNow(): boolean {
    return !this.bus.searching && anyOrphan(this.bus);
  }

  adopt(): boolean {
    return takeOrphan(this.bus, this);
  }

  killCurrent(reason: string): never {
    const { registers } = this.bus;
    if (registers.hardirqCount !== 0 || registers.get(CpuWord.CURRENT_TASK) === NULL) {
      if (registers.hardirqCount !== 0) this.#dieInInterrupt();
      panic('Attempted to kill the idle task!');
    }
    throw new TaskDied(reason);
  }

  #dieInInterrupt(): never {
    panic(is_i386() ? 'Fatal exception in interrupt' : 'Aiee, killing interrupt handler!');
  }

  haltMachine(end: MachineEnd): never {
    const { bus } = this;
    if (bus.searching) bus.endMachine();
    Atomics.store(bus.i32, ENDED, end);
    for (let cpu = 0; cpu < this.#layout.nrPossible; cpu++) {
      const { base } = bus.registersOf(cpu);
      Atomics.or(bus.i32, base + CpuWord.PENDING, Pending.STOP);
      Atomics.add(bus.i32, base + CpuWord.WAKE, 1);
      Atomics.notify(bus.i32, base + CpuWord.WAKE);
      if (cpu === bus.cpu) continue;
      Atomics.store(bus.i32, base + CpuWord.BATON, Baton.STOP);
      Atomics.notify(bus.i32, base + CpuWord.BATON);
    }
    bus.ringDoorbell();
    throw new MachineStopped();
  }

  /** An exception nobody in the simulated kernel threw: a defect of its code, reported as an oops would be. */
  #reportException(error: unknown): void {
    if (error instanceof EndlessLoop) {
      report_finding('no-progress', `CPU ${this.bus.cpu} makes no step: ${error.message}`, error.stack);
      return;
    }
    const title = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    const detail = error instanceof Error ? error.stack : undefined;
    report_finding('javascript-exception', `kernel code threw ${title}`, detail);
    printk(KERN_EMERG, `BUG: kernel code threw ${title}`);
  }

  #rethrowControl(error: unknown): void {
    if (error instanceof TaskDied || isControl(error)) throw error;
  }

  /** Runs `live` until the machine stops; an exception on the way is reported and ends the machine. */
  untilStopped(live: () => void): void {
    try {
      live();
    } catch (error) {
      if (error instanceof MachineStopped) return;
      try {
        this.#reportException(error);
        this.haltMachine(MachineEnd.PANIC);
      } catch (inner) {
        if (!(inner instanceof MachineStopped)) throw inner;
      }
    }
  }

  get powerState(): PowerState {
    return this.bus.registers.power;
  }
}
