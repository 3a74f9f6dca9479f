/**
 * The bus of deterministic machines: exactly one CPU runs at a time, and in front of every operation the policy says
 * who goes next.
 *
 * There is no controller. The CPU that holds the baton publishes its next operation, asks the core (scheduler-core.ts)
 * who goes next, and goes on if the answer is itself: that costs no system call. Otherwise it writes a command to the
 * chosen CPU's baton word, wakes that thread and sleeps on its own. Since only the holder runs, everything here but the
 * baton words is plain memory.
 *
 * A wait's condition is looked at as one step: nobody runs between its loads. A CPU whose condition does not hold is not
 * runnable until a word that the condition read is written; then it looks again before anybody chooses. When nobody is
 * runnable, simulated time jumps to the earliest deadline; when there is none, the run is over: at rest, or in deadlock.
 */
import { assert } from '#base/assert';
import { WATCH_MAX } from '#base/limits';
import { type Actor, Flow, type Policy, cpuOf, flowOf } from '#base/strategy';
import { AccessKind, EventType, LockOperation } from '#trace/events';
import { OpFlag, OpType } from '#trace/operations';
import { BaseBus, machineWord } from './base-bus.ts';
import type { Bus, BusClient } from './bus.ts';
import {
  Baton,
  ContextWord,
  CpuWord,
  type Geometry,
  MachineWord,
  MemoryModel,
  PAGE_SHIFT,
  PAGE_SIZE,
  Pending,
  PowerState,
  RunEnd,
  SearchWord,
  Status,
  TraceMask,
} from './layout.ts';
import { Ownership } from './ownership.ts';
import { AT_REST, type CoreClient, NEEDS_DRAIN, SchedulerCore } from './scheduler-core.ts';
import { BufferWord, searchRegion } from './search.ts';
import { searchWord } from './search-words.ts';
import { NOT_BUFFERED, PARTLY_BUFFERED } from './store-buffer.ts';

const CLOCK_US = machineWord(MachineWord.CLOCK_US);
const RESTING_CPU = machineWord(MachineWord.RESTING_CPU);
const TRACE_MASK = machineWord(MachineWord.TRACE_MASK);
const ORPHANS = machineWord(MachineWord.ORPHANS);
const RUN_END = machineWord(MachineWord.RUN_END);
const ON = searchWord(SearchWord.ON);
const MODEL = searchWord(SearchWord.MEMORY_MODEL);
const RUN = searchWord(SearchWord.RUN);
const ASKER = searchWord(SearchWord.ASKER);
const STOP_AT_FINDING = searchWord(SearchWord.STOP_AT_FINDING);
const RECORDS = searchWord(SearchWord.RECORDS);

/** A run has begun, and this thread has calls of an earlier one on its stack: unwind. Made once: it carries nothing. */
export class RunOver extends Error {
  constructor() {
    super('the run is over');
    this.name = 'RunOver';
  }
}
const RUN_OVER = new RunOver();

/** Left-out arguments and comparisons become numbers; an object would become zero. */
function refuseObject(value: unknown): void {
  if (value === undefined || typeof value === 'boolean') return;
  throw new TypeError(`a word of memory holds a number, and no ${typeof value}`);
}

export class DeterministicBus extends BaseBus implements Bus, CoreClient {
  readonly core: SchedulerCore;
  /** What must hold between any two steps; throws nothing, reports what does not. Set by a scenario. */
  invariant: (() => void) | undefined;
  /** Set while this CPU has been told to begin its flow. */
  flowGranted = false;
  readonly #ownership: Ownership;
  readonly #dirty: Uint8Array;
  /** True while a wait's condition is looked at: its loads are what the wait depends on. */
  #watching = false;
  /** True while what this thread reads is nobody's operation. */
  #unseen = false;
  /** The condition this thread waits for, and what it is while it does not hold. */
  #condition: (() => boolean) | undefined;
  #blockedAs: Status = Status.BLOCKED;
  /** AccessKind of each watched word's load. */
  readonly #watchKinds = new Uint8Array(WATCH_MAX);
  /** The run this thread's stack belongs to. */
  #run = 0;
  /** A command that came while frames of an earlier run were on the stack. */
  #saved: Baton = Baton.NONE;

  constructor(
    buffer: SharedArrayBuffer,
    layout: Geometry,
    cpu: number,
    client: BusClient,
    policies: (number: number) => Policy,
  ) {
    super(buffer, layout, cpu, client, false);
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    const pages = layout.logCapacity > 0 ? layout.heapEnd >>> PAGE_SHIFT : 0;
    this.#dirty = new Uint8Array(buffer, layout.search + region.dirty, pages);
    this.#ownership = new Ownership(this.i32, layout);
    this.core = new SchedulerCore(buffer, layout, this, policies);
  }

  load8(address: number): number {
    const value = this.#load(address, 1, AccessKind.PLAIN);
    return value >= 0 ? value : this.#loaded(address, this.u8[address]!, AccessKind.PLAIN, 1);
  }

  load16(address: number): number {
    const value = this.#load(address, 2, AccessKind.PLAIN);
    return value >= 0 ? value : this.#loaded(address, this.u16[address >>> 1]!, AccessKind.PLAIN, 2);
  }

  load32(address: number): number {
    return this.load32Marked(address, AccessKind.PLAIN);
  }

  load64(address: number): bigint {
    return this.load64Marked(address, AccessKind.PLAIN);
  }

  load32Marked(address: number, kind: AccessKind): number {
    const value = this.#load(address, 4, kind);
    return value >= 0 ? value : this.#loaded(address, this.u32[address >>> 2]!, kind, 4);
  }

  load64Marked(address: number, kind: AccessKind): bigint {
    const low = this.#load(address, 8, kind);
    if (low >= 0) return this.#forwarded64(address);
    const value = this.u64[address >>> 3]!;
    this.#loaded(address, Number(value & 0xffffffffn), kind, 8);
    return value;
  }

  store8(address: number, value: number): void {
    if (this.#store(address, 1, AccessKind.PLAIN, value & 0xff, 0)) return;
    const before = this.u8[address]!;
    this.u8[address] = value;
    this.#stored(address, before, value & 0xff, 0, AccessKind.PLAIN, 1);
  }

  store16(address: number, value: number): void {
    if (this.#store(address, 2, AccessKind.PLAIN, value & 0xffff, 0)) return;
    const before = this.u16[address >>> 1]!;
    this.u16[address >>> 1] = value;
    this.#stored(address, before, value & 0xffff, 0, AccessKind.PLAIN, 2);
  }

  store32(address: number, value: number): void {
    this.store32Marked(address, value, AccessKind.PLAIN);
  }

  store64(address: number, value: bigint): void {
    this.store64Marked(address, value, AccessKind.PLAIN);
  }

  store32Marked(address: number, value: number, kind: AccessKind): void {
    // Types do not hold at run time; what is stored as zero without a word is a bug that nobody finds.
    if (typeof value !== 'number') refuseObject(value);
    if (this.#store(address, 4, kind, value | 0, 0)) return;
    const before = this.i32[address >>> 2]!;
    this.i32[address >>> 2] = value;
    this.#stored(address, before, value | 0, 0, kind, 4);
  }

  store64Marked(address: number, value: bigint, kind: AccessKind): void {
    const low = Number(BigInt.asIntN(32, value));
    const high = Number(BigInt.asIntN(32, value >> 32n));
    if (this.#store(address, 8, kind, low, high)) return;
    const before = this.i32[address >>> 2]!;
    this.u64[address >>> 3] = value;
    this.#stored(address, before, low, high, kind, 8);
  }

  add32(address: number, operand: number): number {
    const before = this.#rmwBegins(address);
    return this.#rmwEnds(address, before, before + operand);
  }

  and32(address: number, operand: number): number {
    const before = this.#rmwBegins(address);
    return this.#rmwEnds(address, before, before & operand);
  }

  or32(address: number, operand: number): number {
    const before = this.#rmwBegins(address);
    return this.#rmwEnds(address, before, before | operand);
  }

  exchange32(address: number, value: number): number {
    const before = this.#rmwBegins(address);
    return this.#rmwEnds(address, before, value);
  }

  compareExchange32(address: number, expected: number, value: number): number {
    const before = this.#rmwBegins(address);
    return this.#rmwEnds(address, before, before === expected >>> 0 ? value : before);
  }

  update<T extends number | bigint>(address: number, size: number, change: (before: T) => T): T {
    this.#step(OpType.RMW | (AccessKind.RMW << 8) | NEEDS_DRAIN, address, size, this.#claim(address, size));
    this.#check(address, size, true);
    const array: { [index: number]: number | bigint } =
      size === 8 ? this.u64 : size === 4 ? this.u32 : size === 2 ? this.u16 : this.u8;
    const index = address / size;
    const before = array[index] as T;
    array[index] = change(before);
    this.written(address, size);
    this.core.wake(address, size);
    const low = (value: number | bigint): number => Number(BigInt.asIntN(32, BigInt(value)));
    const after: number | bigint = array[index] ?? 0;
    this.#log(OpType.RMW, AccessKind.RMW, address, size, low(before), low(after));
    this.#trace(EventType.RMW, address, low(before), low(after), AccessKind.RMW | (size << 8));
    return before;
  }

  acquire32(address: number, value: number): void {
    const visible = this.#claim(address, 4);
    if (this.u32[address >>> 2] !== 0) this.emit(EventType.LOCK, address, LockOperation.CONTENDED, 0, 0);
    this.#step(OpType.ACQUIRE | (AccessKind.RMW << 8) | NEEDS_DRAIN, address, 4, visible);
    this.#check(address, 4, true);
    this.#rmwEnds(address, 0, value, OpType.ACQUIRE);
  }

  fence(): void {
    this.#step(OpType.FENCE | NEEDS_DRAIN, 0, 0, this.#isTso());
    this.#log(OpType.FENCE, AccessKind.PLAIN, 0, 0, 0, 0);
    this.#trace(EventType.FENCE, 0, 0, 0, AccessKind.PLAIN);
  }

  fill(address: number, byte: number, length: number): void {
    this.#step(OpType.STORE | NEEDS_DRAIN, address, length, this.#claim(address, length));
    this.checkRange(address, length, true);
    this.u8.fill(byte, address, address + length);
    this.written(address, length);
    this.core.wake(address, length);
    this.#log(OpType.STORE, AccessKind.PLAIN, address, length, 0, byte);
    this.#trace(EventType.BULK, address, length, byte, 0);
  }

  copy(destination: number, source: number, length: number): void {
    const visible = this.#claim(source, length);
    // Both ranges as one: more than it touches, never less.
    const from = Math.min(destination, source);
    const bytes = Math.max(destination, source) + length - from;
    this.#step(OpType.RMW | NEEDS_DRAIN, from, bytes, this.#claim(destination, length) || visible);
    this.checkRange(source, length, false);
    this.checkRange(destination, length, true);
    this.u8.copyWithin(destination, source, source + length);
    this.written(destination, length);
    this.core.wake(destination, length);
    const first = this.i32[source >>> 2]!;
    this.#log(OpType.LOAD, AccessKind.PLAIN, source, length, first, 0);
    this.#more(OpType.STORE, AccessKind.PLAIN, destination, length, 0, first);
    this.#trace(EventType.BULK, destination, length, source, 1);
  }

  loadBytes(address: number, length: number): Uint8Array {
    this.#step(OpType.LOAD | NEEDS_DRAIN, address, length, this.#claim(address, length));
    this.checkRange(address, length, false);
    this.#log(OpType.LOAD, AccessKind.PLAIN, address, length, this.i32[address >>> 2]!, 0);
    this.#trace(EventType.LOAD, address, length, 0, AccessKind.PLAIN);
    return this.u8.slice(address, address + length);
  }

  storeBytes(address: number, bytes: Uint8Array): void {
    this.#step(OpType.STORE | NEEDS_DRAIN, address, bytes.length, this.#claim(address, bytes.length));
    this.checkRange(address, bytes.length, true);
    this.u8.set(bytes, address);
    this.written(address, bytes.length);
    this.core.wake(address, bytes.length);
    this.#log(OpType.STORE, AccessKind.PLAIN, address, bytes.length, 0, 0);
    this.#trace(EventType.BULK, address, bytes.length, 0, 2);
  }

  override storeLocal32(address: number, value: number): void {
    this.written(address, 4);
    super.storeLocal32(address, value);
  }

  override tally32(address: number, operand: number): number {
    this.written(address, 4);
    return super.tally32(address, operand);
  }

  waitUntil(_watch: number, condition: () => boolean, idle = false): void {
    this.#await(condition, idle ? Status.IDLE : Status.BLOCKED, 0);
  }

  waitUntilTimeout(_watch: number, condition: () => boolean, timeoutUs: number): boolean {
    const deadline = (this.i32[CLOCK_US]! + timeoutUs) | 0;
    return this.#await(condition, Status.BLOCKED, deadline === 0 ? 1 : deadline);
  }

  raise(cpu: number, pending: number): void {
    const { base } = this.registersOf(cpu);
    const address = (base + CpuWord.PENDING) * 4;
    this.#claim(address, 4);
    this.#step(OpType.IPI | (AccessKind.RMW << 8) | NEEDS_DRAIN, address, 4, true);
    this.i32[base + CpuWord.PENDING]! |= pending;
    this.core.wake(address, 4);
    const started = (pending & (Pending.INIT | Pending.SIPI)) !== 0;
    if (started && this.i32[base + CpuWord.STATUS] === Status.OFF) {
      this.i32[base + CpuWord.STATUS] = Status.READY;
      this.core.publish(cpu * 4, OpType.START, 0, 0, true);
    }
    this.#log(OpType.IPI, AccessKind.RMW, address, 4, cpu, pending);
  }

  interruptFlag(on: boolean): void {
    const { registers } = this;
    if (!on && registers.irqsEnabled && !this.#unseen) {
      const address = this.pendingIndex * 4;
      // Only where interrupts come at all is it a choice whether one comes before.
      this.#step(OpType.IRQ_FLAG, address, 4, this.#claim(address, 4));
      this.#log(OpType.IRQ_FLAG, 0, address, 4, 1, 0);
    }
    this.registers.set(CpuWord.IRQS_ENABLED, on ? 1 : 0);
  }

  preemptionOff(): void {
    const { registers } = this;
    if (
      this.#unseen ||
      !registers.irqsEnabled ||
      registers.preemptCount !== 0 ||
      registers.hardirqCount !== 0
    )
      return;
    const address = this.pendingIndex * 4;
    this.#step(OpType.IRQ_FLAG, address, 4, this.#claim(address, 4));
    this.#log(OpType.IRQ_FLAG, 0, address, 4, 1, 1);
  }

  interruptEnters(vector: number): number {
    const { registers } = this;
    const flow = registers.get(CpuWord.FLOW);
    registers.set(CpuWord.FLOW, flow === Flow.MAIN ? Flow.INTERRUPT : Flow.NESTED);
    this.#log(
      OpType.IRQ_ENTRY,
      AccessKind.RMW,
      this.pendingIndex * 4,
      4,
      vector,
      this.i32[this.pendingIndex]!,
    );
    return flow;
  }

  interruptLeaves(flow: number): void {
    this.#more(OpType.IRQ_EXIT, 0, this.pendingIndex * 4, 4, 0, 0);
    this.registers.set(CpuWord.FLOW, flow);
  }

  waitForSignal(bits: number): number {
    for (;;) {
      const pending = this.i32[this.pendingIndex]! & bits;
      if (pending !== 0) {
        this.i32[this.pendingIndex]! &= ~bits;
        // The command that brought this CPU into a new run was for this step.
        if (this.#saved === Baton.RUN) this.#saved = Baton.NONE;
        this.#log(OpType.START, 0, 0, 0, 0, 0);
        return pending;
      }
      if (this.#saved === Baton.NONE) {
        this.registers.set(CpuWord.STATUS, Status.OFF);
        this.#obey(this.#command());
      } else {
        this.#obey(this.#takeSaved());
      }
    }
  }

  override unseen(condition: () => boolean): boolean {
    this.#unseen = true;
    try {
      return condition();
    } finally {
      this.#unseen = false;
    }
  }

  override peek32(address: number): number {
    if (this.#watching) this.#watch(address, AccessKind.ONCE);
    return this.i32[address >>> 2]!;
  }

  standBy(ticket: number, stay: () => boolean): boolean {
    const { i32, contextIndex, cpu: left } = this;
    i32[ORPHANS]! += 1;
    i32[contextIndex + ContextWord.WANTS] = ticket;
    this.core.wake(ORPHANS * 4, 4);
    this.#await(() => this.cpu !== left || stay(), Status.BLOCKED, 0);
    // Given away between two steps of this CPU: this thread learnt it where it waited for the baton.
    if (this.cpu !== left) return true;
    i32[contextIndex + ContextWord.WANTS] = 0;
    i32[ORPHANS]! -= 1;
    return false;
  }

  exchangeWith(context: number): void {
    // One step of the machine: the other thread sleeps on its baton word, and nobody else runs.
    const { i32, registers: here } = this;
    const left = this.registersOf(i32[context + ContextWord.CPU]!);
    while (this.core.buffers.count(here.cpu) > 0) this.core.flush(here.cpu);
    while (this.core.buffers.count(left.cpu) > 0) this.core.flush(left.cpu);
    i32[ORPHANS]! -= 1;
    here.set(CpuWord.WATCH_COUNT, 0);
    left.set(CpuWord.WATCH_COUNT, 0);
    this.#exchangeNext(here.cpu * 4, left.cpu * 4);
    here.set(CpuWord.STATUS, Status.READY);
    left.set(CpuWord.STATUS, Status.RUNNING);
    const moving = context + ContextWord.MOVING;
    i32[moving] = 1;
    this.swapContexts(context);
    this.#handOver(left.cpu, Baton.BECOME);
    // Until it has left that word it would take commands meant for us.
    while (Atomics.load(i32, moving) !== 0) Atomics.wait(i32, moving, 1);
  }

  /** What a thread is about to do goes with it. */
  #exchangeNext(one: Actor, other: Actor): void {
    const { core } = this;
    const head = core.nextHead[one]!;
    const address = core.nextAddress[one]!;
    const size = core.nextSize[one]!;
    const visible = core.nextVisible[one]! !== 0;
    core.publish(
      one,
      core.nextHead[other]!,
      core.nextAddress[other]!,
      core.nextSize[other]!,
      core.nextVisible[other]! !== 0,
    );
    core.publish(other, head, address, size, visible);
  }

  override emit(type: EventType, a: number, b: number, c: number, d: number): void {
    super.emit(type, a, b, c, d);
    if (this.i32[ON] === 0) return;
    if (type === EventType.FINDING && b !== 0) this.endRun(RunEnd.FINDING);
    const isFact =
      type === EventType.LOCK ||
      type === EventType.ALLOCATION ||
      type === EventType.TASK ||
      type === EventType.HOTPLUG ||
      type === EventType.PRINTK ||
      type === EventType.FUNCTION_ENTRY ||
      type === EventType.FUNCTION_EXIT ||
      type === EventType.FINDING;
    if (!isFact) return;
    this.core.log.fact(type, this.actor, this.registers.base, a, b, c, d, this.site());
  }

  protected asBus(): Bus {
    return this;
  }

  protected boundary(): void {
    if ((this.i32[this.pendingIndex]! & Pending.STOP) !== 0) this.client.interruptWindow();
  }

  /** Whose steps this thread makes now. */
  get actor(): Actor {
    return this.cpu * 4 + this.registers.get(CpuWord.FLOW);
  }

  /** The innermost kernel function. */
  site(): number {
    const { i32, contextIndex } = this;
    const depth = i32[contextIndex + ContextWord.DEPTH]!;
    return depth === 0 ? 0 : i32[contextIndex + ContextWord.CALLS + (depth - 1) * 2]!;
  }

  written(address: number, length: number): void {
    const dirty = this.#dirty;
    if (dirty.length === 0) return;
    const last = (address + length - 1) >>> PAGE_SHIFT;
    for (let page = address >>> PAGE_SHIFT; page <= last && page < dirty.length; page++) dirty[page] = 1;
  }

  isShared(address: number, size: number): boolean {
    return this.#ownership.isShared(address, size);
  }

  traceFlush(_cpu: number, address: number, low: number, high: number, kind: number, size: number): void {
    this.#trace(EventType.FLUSH, address, low, high, kind | (size << 8));
  }

  /** A finding ends the run at the next step, if the campaign wants that. */
  endRun(why: RunEnd): void {
    if (this.i32[STOP_AT_FINDING] !== 0 && this.i32[RUN_END] === RunEnd.NONE) this.i32[RUN_END] = why;
  }

  get searching(): boolean {
    return this.i32[ON] !== 0;
  }

  /** The simulated kernel has panicked: in a search that ends the run and not the machine. */
  endMachine(): never {
    this.i32[RUN_END] = RunEnd.FINDING;
    for (;;) this.#await(() => false, Status.BLOCKED, 0);
  }

  /** This thread is its CPU from here on; it runs when somebody hands it the baton. */
  park(): void {
    const command = this.#awaitBaton();
    // RESUME: the host restarts a run that came to rest with this CPU holding the baton. It chooses who begins.
    this.#obey(command === Baton.RESUME ? this.#choose() : command);
  }

  /** A searched machine's thread takes up the run that is on: its stack is empty, its registers are the snapshot's. */
  adoptRun(): void {
    this.#run = this.i32[RUN]!;
    this.#watching = false;
    this.#unseen = false;
    this.flowGranted = false;
    this.reloadContext();
  }

  /** The first step of this CPU's flow. */
  beginFlow(): void {
    this.flowGranted = false;
    this.registers.set(CpuWord.FLOW_PENDING, 0);
    this.registers.set(CpuWord.STATUS, Status.RUNNING);
    this.#log(OpType.START, 0, 0, 0, 0, 0);
  }

  endFlow(): void {
    this.#more(OpType.END, 0, 0, 0, 0, 0);
  }

  /** Recheck on behalf of whoever chooses (SchedulerCore). */
  recheck(cpu: number): void {
    if (cpu === this.cpu) {
      this.#lookAgain();
      return;
    }
    this.i32[ASKER] = this.cpu;
    this.#handOver(cpu, Baton.CHECK);
    const answer = this.#awaitBaton();
    if (answer === Baton.STOP) this.client.interruptWindow();
    assert(
      answer === Baton.CHECKED,
      'DeterministicBus: a CPU was asked for a look and answered something else',
    );
  }

  #isTso(): boolean {
    return this.i32[MODEL] === MemoryModel.TSO;
  }

  /** Whether a step there is a choice point. */
  #claim(address: number, size: number): boolean {
    return this.i32[ON] === 0 || this.#ownership.claim(this.actor, address, size);
  }

  /**
   * The scheduling point of a load, up to where memory is read. Answers the low word of this CPU's own buffered store,
   * which is logged then, or -1: the caller reads memory.
   */
  #load(address: number, size: number, kind: AccessKind): number {
    const { cpu } = this;
    let head = OpType.LOAD | (kind << 8);
    if (this.#watching || this.#unseen) {
      this.#check(address, size, false);
    } else {
      const partly = this.core.buffers.find(cpu, address, size) === PARTLY_BUFFERED;
      if (partly) head |= NEEDS_DRAIN;
      this.#step(head, address, size, this.#claim(address, size));
      this.#check(address, size, false);
    }
    // What must always hold is asked of memory, and not of whoever happens to hold the baton.
    if (this.#unseen && !this.#watching) return -1;
    if (this.core.buffers.count(this.cpu) === 0) return -1;
    const at = this.core.buffers.find(this.cpu, address, size);
    if (at === NOT_BUFFERED || at === PARTLY_BUFFERED) return -1;
    return this.#forward(at, address, size, kind);
  }

  #forward(at: number, address: number, size: number, kind: AccessKind): number {
    const shift = (address - this.i32[at + BufferWord.ADDRESS]!) * 8;
    const word = this.#bufferedWord(at, address);
    const value = size >= 4 ? word >>> 0 : (word >>> (shift & 31)) & (size === 1 ? 0xff : 0xffff);
    if (this.#watching) this.#watch(address, kind);
    else if (!this.#unseen) {
      this.#log(OpType.LOAD, kind, address, size, value | 0, 0, OpFlag.FORWARDED);
      this.#trace(EventType.LOAD, address, value, 0, kind | (size << 8));
    }
    return value;
  }

  /** The word of a buffered store in which `address` lies. */
  #bufferedWord(at: number, address: number): number {
    const { i32 } = this;
    return address - i32[at + BufferWord.ADDRESS]! >= 4
      ? i32[at + BufferWord.HIGH]!
      : i32[at + BufferWord.LOW]!;
  }

  /** The 64-bit value of the buffered store that a load of `address` sees. */
  #forwarded64(address: number): bigint {
    const at = this.core.buffers.find(this.cpu, address, 8);
    const { i32 } = this;
    return (BigInt(i32[at + BufferWord.HIGH]! >>> 0) << 32n) | BigInt(i32[at + BufferWord.LOW]! >>> 0);
  }

  #loaded(address: number, value: number, kind: AccessKind, size: number): number {
    if (this.#watching) {
      this.#watch(address, kind);
      if (size === 8) this.#watch(address + 4, kind);
    } else if (!this.#unseen) {
      this.#log(OpType.LOAD, kind, address, size, value | 0, 0);
      this.#trace(EventType.LOAD, address, value, 0, kind | (size << 8));
    }
    return value;
  }

  /** The scheduling point of a store. True if it is in the buffer now; false: the caller writes memory. */
  #store(address: number, size: number, kind: AccessKind, low: number, high: number): boolean {
    if (!this.#isTso()) {
      this.#step(OpType.STORE | (kind << 8), address, size, this.#claim(address, size));
      this.#check(address, size, true);
      return false;
    }
    this.#claim(address, size);
    this.#step(OpType.BUFFER | (kind << 8), address, size, false);
    this.#check(address, size, true);
    this.core.buffers.push(this.cpu, address, size, low, high, this.site(), kind);
    this.#log(OpType.BUFFER, kind, address, size, 0, low);
    this.#trace(EventType.STORE, address, low, high, kind | (size << 8));
    return true;
  }

  #stored(
    address: number,
    before: number,
    value: number,
    high: number,
    kind: AccessKind,
    size: number,
  ): void {
    this.written(address, size);
    this.core.wake(address, size);
    this.#log(OpType.STORE, kind, address, size, before, value);
    this.#trace(EventType.STORE, address, value, high, kind | (size << 8));
  }

  #rmwBegins(address: number): number {
    this.#step(OpType.RMW | (AccessKind.RMW << 8) | NEEDS_DRAIN, address, 4, this.#claim(address, 4));
    this.#check(address, 4, true);
    return this.u32[address >>> 2]!;
  }

  #rmwEnds(address: number, before: number, after: number, type: OpType = OpType.RMW): number {
    this.i32[address >>> 2] = after;
    // A failed compare-and-exchange writes what was there: nobody has to look again.
    if (this.u32[address >>> 2] !== before) {
      this.written(address, 4);
      this.core.wake(address, 4);
    }
    this.#log(type, AccessKind.RMW, address, 4, before | 0, after | 0);
    this.#trace(EventType.RMW, address, before, after, AccessKind.RMW | (4 << 8));
    return before;
  }

  /** The address check comes after the scheduling point: an operation that faults has been chosen like any other. */
  #check(address: number, size: number, write: boolean): void {
    if (address >= PAGE_SIZE && address + size <= this.layout.bytes && address % size === 0) return;
    this.#log(write ? OpType.STORE : OpType.LOAD, 0, address, size, 0, 0, OpFlag.FAULTED);
    this.client.fault(address, size, write);
  }

  #log(
    type: OpType,
    kind: number,
    address: number,
    size: number,
    read: number,
    written: number,
    flags = 0,
  ): void {
    if (this.i32[ON] === 0 || this.#unseen) return;
    const { base } = this.registers;
    this.core.log.step(type, kind, this.actor, base, address, size, read, written, this.site(), flags);
  }

  #more(
    type: OpType,
    kind: number,
    address: number,
    size: number,
    read: number,
    written: number,
    flags = 0,
  ): void {
    if (this.i32[ON] === 0 || this.#unseen) return;
    const { base } = this.registers;
    this.core.log.more(type, kind, this.actor, base, address, size, read, written, this.site(), flags);
  }

  #trace(type: EventType, a: number, b: number, c: number, d: number): void {
    if ((this.i32[TRACE_MASK]! & TraceMask.OPERATIONS) !== 0 && !this.#unseen) this.record(type, a, b, c, d);
  }

  /** Evaluates a condition and remembers what it read. Nobody runs meanwhile. */
  #look(condition: () => boolean): boolean {
    this.registers.set(CpuWord.WATCH_COUNT, 0);
    this.#watching = true;
    try {
      return condition();
    } finally {
      this.#watching = false;
    }
  }

  #watch(address: number, kind: AccessKind): void {
    const { registers } = this;
    const count = registers.get(CpuWord.WATCH_COUNT);
    const word = address >>> 2;
    for (let index = 0; index < count; index++) {
      if (registers.get(CpuWord.WATCH_LIST + index) === word) return;
    }
    assert(count < WATCH_MAX, 'DeterministicBus: a wait depends on too many words');
    registers.set(CpuWord.WATCH_LIST + count, word);
    registers.set(CpuWord.WATCH_COUNT, count + 1);
    this.#watchKinds[count] = kind;
  }

  #forget(): void {
    this.registers.set(CpuWord.WATCH_COUNT, 0);
  }

  /** Publishes a step and comes back when it is chosen, after any interrupts that were. */
  #step(head: number, address: number, size: number, visible: boolean): void {
    if (this.#unseen) return;
    assert(!this.#watching, 'DeterministicBus: a condition may only read');
    this.core.publish(this.actor, head, address, size, visible);
    for (;;) {
      this.registers.set(CpuWord.STATUS, Status.READY);
      const command = this.#command();
      this.#obey(command);
      if (command === Baton.RUN) return;
    }
  }

  /** Waits for a condition, or a deadline (0 = none). True if the condition holds. */
  #await(condition: () => boolean, blockedAs: Status, deadline: number): boolean {
    for (;;) {
      this.#condition = condition;
      this.#blockedAs = blockedAs;
      if (deadline !== 0) this.registers.set(CpuWord.DEADLINE_US, deadline);
      const command = this.#turn();
      // An interrupt may have taken the task to another CPU: nothing of this one is kept over a step.
      this.registers.set(CpuWord.DEADLINE_US, 0);
      if (command === Baton.RUN) {
        const type = this.core.nextHead[this.actor]! & 0xff;
        this.registers.set(CpuWord.STATUS, Status.RUNNING);
        if (type === OpType.START) {
          this.flowGranted = true;
          return true;
        }
        const timedOut = type === OpType.TIMEOUT;
        if (timedOut) this.#log(OpType.TIMEOUT, 0, 0, 0, 0, 0);
        else this.#logAwait();
        this.#forget();
        return !timedOut;
      }
      this.#obey(command);
    }
  }

  /** One turn of a wait: look, and wait to be chosen. In the idle loop a command of a new run may be here already. */
  #turn(): Baton {
    if (this.#blockedAs !== Status.IDLE) {
      this.#lookAgain();
      return this.#command();
    }
    if (this.#saved === Baton.NONE) {
      this.#lookAgain();
      const command = this.#choose();
      if (this.i32[RUN] === this.#run) return command;
      // In the new run this CPU is off, and what woke it is INIT or SIPI.
      if (this.registers.power !== PowerState.RUNNING) this.#leaveRun(command);
      // Nothing but the idle loop is on the stack: it serves the new run as well.
      this.adoptRun();
      this.#saved = command;
    }
    return this.#takeSaved();
  }

  /** The command that came with a new run. What this CPU is about to do stands in the snapshot: it does not look. */
  #takeSaved(): Baton {
    const saved = this.#saved;
    this.#saved = Baton.NONE;
    if (saved === Baton.RESUME) return this.#command();
    if (saved !== Baton.CHECK) return saved;
    this.#answer();
    const command = this.#awaitBaton();
    if (this.i32[RUN] !== this.#run) this.#leaveRun(command);
    return command;
  }

  /** Looks at this thread's condition: the CPU is READY if it holds. */
  #lookAgain(): void {
    const { registers } = this;
    if (this.#blockedAs === Status.IDLE && registers.get(CpuWord.FLOW_PENDING) !== 0) {
      registers.set(CpuWord.STATUS, Status.READY);
      this.core.publish(this.actor, OpType.START, 0, 0, true);
      return;
    }
    const holds = this.#look(this.#condition!);
    registers.set(CpuWord.STATUS, holds ? Status.READY : this.#blockedAs);
    this.#publishAwait();
  }

  #publishAwait(): void {
    const { registers } = this;
    const count = registers.get(CpuWord.WATCH_COUNT);
    let least = Infinity;
    let most = 0;
    let visible = false;
    for (let index = 0; index < count; index++) {
      const address = registers.get(CpuWord.WATCH_LIST + index) * 4;
      least = Math.min(least, address);
      most = Math.max(most, address + 4);
      visible = this.#claim(address, 4) || visible;
    }
    if (count === 0) least = 0;
    this.core.publish(this.actor, OpType.AWAIT | (AccessKind.ONCE << 8), least, most - least, visible);
  }

  /** One record for each word that the condition read. */
  #logAwait(): void {
    if (this.i32[ON] === 0) return;
    const { registers, i32 } = this;
    const count = registers.get(CpuWord.WATCH_COUNT);
    if (count === 0) this.#log(OpType.AWAIT, AccessKind.ONCE, 0, 0, 0, 0);
    for (let index = 0; index < count; index++) {
      const word = registers.get(CpuWord.WATCH_LIST + index);
      const kind = this.#watchKinds[index]!;
      const at = this.core.buffers.find(this.cpu, word * 4, 4);
      const own = at !== NOT_BUFFERED && at !== PARTLY_BUFFERED;
      const value = own ? this.#bufferedWord(at, word * 4) : i32[word]!;
      const flags = own ? OpFlag.FORWARDED : 0;
      if (index === 0) this.#log(OpType.AWAIT, kind, word * 4, 4, value, 0, flags);
      else this.#more(OpType.AWAIT, kind, word * 4, 4, value, 0, flags);
    }
  }

  /** The next command for this CPU: its own choice, or what somebody hands it. */
  #command(): Baton {
    const command = this.#choose();
    if (this.i32[RUN] !== this.#run) this.#leaveRun(command);
    return command;
  }

  /** A new run is on, and this thread still has an old one's calls on its stack. */
  #leaveRun(command: Baton): never {
    this.#saved = command;
    this.#watching = false;
    throw RUN_OVER;
  }

  /** Lets the core choose, hands the baton over if it chose somebody else, and comes back with what to do. */
  #choose(): Baton {
    for (;;) {
      const next = this.core.decide();
      if (next === AT_REST) {
        this.i32[RESTING_CPU] = this.cpu;
        this.ringDoorbell();
      } else {
        const command = this.#commandFor(next);
        if (cpuOf(next) === this.cpu) return command;
        this.#handOver(cpuOf(next), command);
      }
      const command = this.#awaitBaton();
      if (command !== Baton.RESUME) return command;
      if (this.i32[RUN] !== this.#run) return command;
    }
  }

  /** The step of the flow that is on top of the CPU's stack, or an interrupt on top of that. */
  #commandFor(actor: Actor): Baton {
    const flow = this.i32[this.registersOf(cpuOf(actor)).base + CpuWord.FLOW]!;
    return flowOf(actor) === flow ? Baton.RUN : Baton.TAKE_INTERRUPT;
  }

  /** Does what the baton says; RUN means to go on. */
  #obey(command: Baton): void {
    this.registers.set(CpuWord.STATUS, Status.RUNNING);
    if (command === Baton.STOP) this.client.interruptWindow();
    if (command !== Baton.TAKE_INTERRUPT) return;
    // The handler's own waits use the same words: who waits looks again afterwards.
    const condition = this.#condition;
    const blockedAs = this.#blockedAs;
    const deadline = this.registers.get(CpuWord.DEADLINE_US);
    this.registers.set(CpuWord.DEADLINE_US, 0);
    this.#forget();
    this.client.takeInterrupt();
    this.#condition = condition;
    this.#blockedAs = blockedAs;
    this.registers.set(CpuWord.DEADLINE_US, deadline);
  }

  #handOver(cpu: number, command: Baton): void {
    const word = this.registersOf(cpu).base + CpuWord.BATON;
    Atomics.store(this.i32, word, command);
    Atomics.notify(this.i32, word, 1);
  }

  /** Somebody wants to know whether this CPU could go on. */
  #answer(): void {
    this.#lookAgain();
    this.#handOver(this.i32[ASKER]!, Baton.CHECKED);
  }

  #awaitBaton(): Baton {
    const { i32 } = this;
    for (;;) {
      const word = this.registers.base + CpuWord.BATON;
      // Does not sleep if the baton is here already; pairs with the store, then notify, in #handOver(). On one core it
      // hardly ever is: to look first would cost more than it saves.
      Atomics.wait(i32, word, Baton.NONE);
      const command = Atomics.exchange(i32, word, Baton.NONE) as Baton;
      if (command === Baton.NONE) continue;
      // Thread exchange: this thread is another CPU now, whatever the command: the host may have written STOP over it.
      const context = this.contextIndex;
      if (i32[context + ContextWord.CPU] !== this.cpu) {
        this.become(i32[context + ContextWord.CPU]!);
        Atomics.store(i32, context + ContextWord.MOVING, 0);
        Atomics.notify(i32, context + ContextWord.MOVING);
      }
      if (command === Baton.BECOME) continue;
      if (command !== Baton.CHECK || i32[RUN] !== this.#run) return command;
      this.#answer();
    }
  }

  /** Records of this run so far: for tests. */
  get records(): number {
    return this.i32[RECORDS]!;
  }
}
