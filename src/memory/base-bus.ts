/** What both buses share: the views, the call stack, the trace, memory of one CPU, and waking threads. */
import { appendEvent } from '#trace/ring';
import { ContextFlag, EventType } from '#trace/events';
import { CALL_DEPTH_MAX } from '#base/limits';
import { type Bus, type BusClient, NO_WORDS, attachBus } from './bus.ts';
import { CpuRegisters } from './cpu-registers.ts';
import {
  CONTEXT_BYTES,
  CONTEXT_STACK,
  CPU_BLOCK_BYTES,
  ContextWord,
  CpuWord,
  type Geometry,
  MACHINE_BLOCK,
  MachineWord,
  PAGE_SIZE,
  PENDING_MASKABLE,
  TraceMask,
  perCpuOffset,
  ringWord,
} from './layout.ts';

/** Word index of a machine word. */
export function machineWord(word: number): number {
  return (MACHINE_BLOCK >>> 2) + word;
}

const TRACE_MASK = machineWord(MachineWord.TRACE_MASK);
const DOORBELL = machineWord(MachineWord.DOORBELL);
const SEQUENCE = machineWord(MachineWord.SEQUENCE);
const NOTHING = machineWord(MachineWord.NOTHING);

/** The same word's index in `plainWords`. */
function behindPageZero(word: number): number {
  return word - (PAGE_SIZE >>> 2);
}

function numeric(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'bigint') return Number(BigInt.asIntN(32, value));
  return value === true ? 1 : 0;
}

export abstract class BaseBus {
  readonly layout: Geometry;
  readonly buffer: ArrayBufferLike;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly u64: BigUint64Array;
  protected readonly client: BusClient;
  /** Every CPU's registers, so that changing CPU (thread exchange) allocates nothing. */
  readonly #allRegisters: readonly CpuRegisters[];
  cpu: number;
  perCpuOffset: number;
  /** The host's number of this thread. */
  thread = 0;
  registers: CpuRegisters;
  protected pendingIndex: number;
  /** Memory behind page zero: an index of `wordBehindPageZero` is in it, or the address faults. */
  protected readonly mapped: Uint32Array;
  /** See Bus: what the inlined half of plain accesses looks at. */
  readonly plainWords: Uint32Array;
  attention: number;
  /** Word index of this thread's context. */
  contextIndex = 0;
  #ring: number;

  /** @param plain whether plain accesses need nothing but memory, as long as nothing is pending */
  constructor(buffer: ArrayBufferLike, layout: Geometry, cpu: number, client: BusClient, plain: boolean) {
    this.buffer = buffer;
    this.layout = layout;
    this.client = client;
    this.u8 = new Uint8Array(buffer);
    this.u16 = new Uint16Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u64 = new BigUint64Array(buffer);
    this.#allRegisters = Array.from(
      { length: layout.nrPossible },
      (_, index) => new CpuRegisters(this.i32, layout, index),
    );
    this.mapped = new Uint32Array(buffer, PAGE_SIZE, (buffer.byteLength - PAGE_SIZE) >>> 2);
    this.plainWords = plain ? this.mapped : NO_WORDS;
    this.cpu = cpu;
    this.perCpuOffset = perCpuOffset(layout, Math.max(cpu, 0));
    this.registers = this.#allRegisters[Math.max(cpu, 0)]!;
    // The host takes no interrupts: it looks at a word of page zero, which is always 0.
    this.pendingIndex = cpu < 0 ? 0 : this.registers.base + CpuWord.PENDING;
    this.attention = behindPageZero(cpu < 0 ? NOTHING : this.pendingIndex);
    this.#ring = ringWord(layout, Math.max(cpu, 0));
    if (cpu >= 0) this.reloadContext();
  }

  /** This thread is now that CPU. */
  become(cpu: number): void {
    this.cpu = cpu;
    this.perCpuOffset = perCpuOffset(this.layout, cpu);
    this.registers = this.#allRegisters[cpu]!;
    this.registers.set(CpuWord.THREAD, this.thread);
    this.pendingIndex = this.registers.base + CpuWord.PENDING;
    this.attention = behindPageZero(this.pendingIndex);
    this.#ring = ringWord(this.layout, cpu);
    this.reloadContext();
    attachBus(this.asBus());
  }

  /** The machine serves the runs of a search. */
  get searching(): boolean {
    return false;
  }

  /** The simulated kernel has panicked: in a search that ends the run and not the machine, and this does not come back. */
  endMachine(): void {}

  /** This bus as its users see it. */
  protected abstract asBus(): Bus;

  /**
   * Thread exchange (cpu-worker/exchange.ts): offers this thread's CPU with `ticket`, interrupts off, and sleeps.
   * True if this thread is another CPU now; false if there may be a reason to stay.
   * @param stay whether there is one: looked at while the CPU is on offer, so it reads with peek32 and no more
   * @param fits which CPUs the offer is for
   */
  abstract standBy(ticket: number, stay: () => boolean, fits: (cpu: number) => boolean): boolean;

  /**
   * Thread exchange: looks for a context on offer, as one step. Answers what `find` answered: a context's word index whose ticket is
   * taken, or -1.
   * @param find asked with true takes the ticket of what it finds, with false only looks
   */
  takeTicket(find: (take: boolean) => number): number {
    return find(true);
  }

  /**
   * Thread exchange: trades CPUs with the thread of `context` (a word index), whose ticket the caller has taken.
   * Cannot fail and does not wait for the other thread.
   */
  abstract exchangeWith(context: number): void;

  /** The two contexts' part of an exchange. The other thread must not go on before its CPU word says where. */
  protected swapContexts(context: number): void {
    const { i32, contextIndex, cpu: here } = this;
    const left = i32[context + ContextWord.CPU]!;
    const own = this.registers.get(CpuWord.CONTEXT);
    this.registers.set(CpuWord.CONTEXT, this.registersOf(left).get(CpuWord.CONTEXT));
    this.registersOf(left).set(CpuWord.CONTEXT, own);
    i32[contextIndex + ContextWord.CPU] = left;
    this.become(left);
    // Everything above is in memory before the other thread sees this, and goes on as `here`.
    Atomics.store(i32, context + ContextWord.CPU, here);
  }

  /** Takes up the context that the CPU's block names. */
  reloadContext(): void {
    this.contextIndex = this.contextOf(this.registers.get(CpuWord.CONTEXT));
  }

  /** Word index of a context. */
  contextOf(context: number): number {
    return (this.layout.contexts + context * CONTEXT_BYTES) >>> 2;
  }

  registersOf(cpu: number): CpuRegisters {
    return this.#allRegisters[cpu]!;
  }

  /** A word of the laboratory's own: no scheduling point and no event, but a wait depends on it. */
  peek32(address: number): number {
    return Atomics.load(this.i32, address >>> 2);
  }

  /** Looks at memory for a CPU that is dead: no scheduling point and no event, but a wait depends on what it reads. */
  unseen(condition: () => boolean): boolean {
    return condition();
  }

  interruptWaits(): boolean {
    return (this.registers.get(CpuWord.PENDING) & PENDING_MASKABLE) !== 0;
  }

  loadLocal32(address: number): number {
    return this.u32[address >>> 2]!;
  }

  storeLocal32(address: number, value: number): void {
    this.i32[address >>> 2] = value;
  }

  storeLocalBytes(address: number, bytes: Uint8Array): void {
    this.u8.set(bytes, address);
  }

  tally32(address: number, operand: number): number {
    return Atomics.add(this.u32, address >>> 2, operand);
  }

  count32(address: number, operand: number): void {
    this.tally32(address, operand);
  }

  /** Whether there is such memory; if not, that is a fault. */
  protected inRange(address: number, length: number, write: boolean): boolean {
    if (address >= PAGE_SIZE && address + length <= this.layout.bytes) return true;
    this.raiseFault(address, length, write);
    return false;
  }

  /** An access cannot be done. Comes back only where the fault is taken later: the caller does nothing more. */
  protected raiseFault(address: number, size: number, write: boolean): void {
    this.client.fault(address, size, write);
  }

  /** Calls on the stack; unwinding sets it back. */
  get depth(): number {
    return this.i32[this.contextIndex + ContextWord.DEPTH]!;
  }

  /** Unwinds the call stack and the kernel stack to where they were at `depth` calls. */
  set depth(depth: number) {
    const context = this.contextIndex;
    if (depth < this.i32[context + ContextWord.DEPTH]!) {
      this.i32[context + ContextWord.STACK_POINTER] = this.i32[context + ContextWord.CALLS + depth * 2 + 1]!;
    }
    this.i32[context + ContextWord.DEPTH] = depth;
  }

  /** An empty stack. */
  resetContext(): void {
    this.i32[this.contextIndex + ContextWord.DEPTH] = 0;
    this.i32[this.contextIndex + ContextWord.STACK_POINTER] = (this.contextIndex << 2) + CONTEXT_STACK;
  }

  /**
   * Takes `size` bytes of this context's kernel stack until the calling kernel function returns.
   * `align` is a power of two.
   * Running out is a kernel stack overflow: a double fault.
   */
  allocateStack(size: number, align: number): number {
    const context = this.contextIndex;
    const address = (this.i32[context + ContextWord.STACK_POINTER]! + align - 1) & -align;
    const next = address + size;
    if (next > (context << 2) + CONTEXT_BYTES) {
      this.raiseFault(next, size, true);
      return address;
    }
    this.i32[context + ContextWord.STACK_POINTER] = next;
    return address;
  }

  badJump(address: number): void {
    this.raiseFault(address, 1, false);
  }

  enter(symbol: number, a: unknown, b: unknown, c: unknown): void {
    const { i32, contextIndex } = this;
    const depth = i32[contextIndex + ContextWord.DEPTH]!;
    if (depth >= CALL_DEPTH_MAX) {
      this.raiseFault((contextIndex << 2) + CONTEXT_BYTES, 4, true);
      return;
    }
    const slot = contextIndex + ContextWord.CALLS + depth * 2;
    i32[slot] = symbol;
    i32[slot + 1] = i32[contextIndex + ContextWord.STACK_POINTER]!;
    // Every call passes here: what tracing needs stands elsewhere, so that this is small enough to be inlined.
    if (i32[TRACE_MASK] !== 0) this.#traceEntry(symbol, a, b, c);
    i32[contextIndex + ContextWord.DEPTH] = depth + 1;
    if (i32[this.pendingIndex] !== 0) this.boundary();
  }

  /** Something is pending at the start of a function. */
  protected abstract boundary(): void;

  /** Interrupts were switched on: what is pending may be taken. */
  window(): void {
    if (this.i32[this.pendingIndex] !== 0) this.boundary();
  }

  /** Lets the host know that something changed. */
  ringDoorbell(): void {
    Atomics.add(this.i32, DOORBELL, 1);
    Atomics.notify(this.i32, DOORBELL);
  }

  leave(symbol: number, result: unknown): void {
    const { i32, contextIndex } = this;
    const depth = i32[contextIndex + ContextWord.DEPTH]! - 1;
    i32[contextIndex + ContextWord.DEPTH] = depth;
    i32[contextIndex + ContextWord.STACK_POINTER] = i32[contextIndex + ContextWord.CALLS + depth * 2 + 1]!;
    if (i32[TRACE_MASK] !== 0) this.#traceExit(symbol, result);
  }

  #traceEntry(symbol: number, a: unknown, b: unknown, c: unknown): void {
    if ((this.i32[TRACE_MASK]! & TraceMask.FUNCTIONS) === 0) return;
    this.emit(EventType.FUNCTION_ENTRY, symbol, numeric(a), numeric(b), numeric(c));
  }

  #traceExit(symbol: number, result: unknown): void {
    if ((this.i32[TRACE_MASK]! & TraceMask.FUNCTIONS) === 0) return;
    this.emit(EventType.FUNCTION_EXIT, symbol, numeric(result), 0, 0);
  }

  /** Events are recorded only while tracing is on. */
  emit(type: EventType, a: number, b: number, c: number, d: number): void {
    if (this.i32[TRACE_MASK] !== 0) this.record(type, a, b, c, d);
  }

  protected record(type: EventType, a: number, b: number, c: number, d: number): void {
    const { i32, registers } = this;
    const { base } = registers;
    const task = i32[base + CpuWord.CURRENT_TASK]!;
    const context =
      (i32[base + CpuWord.IRQS_ENABLED] === 0 ? ContextFlag.IRQS_OFF : 0) |
      (i32[base + CpuWord.HARDIRQ_COUNT] !== 0 ? ContextFlag.HARDIRQ : 0) |
      (i32[base + CpuWord.PREEMPT_COUNT] !== 0 ? ContextFlag.PREEMPT_OFF : 0);
    const depth = i32[this.contextIndex + ContextWord.DEPTH]!;
    const pid = task === 0 ? 0 : i32[task >>> 2]!;
    const sequence = Atomics.add(i32, SEQUENCE, 1);
    appendEvent(i32, this.#ring, sequence, type, this.cpu | (context << 8) | (depth << 16), pid, a, b, c, d);
  }

  /**
   * Wakes a CPU's thread if it sleeps, or is about to. Whatever it waits for must be in memory before the call.
   * HALTED goes here and not when the thread gets to run, so that nobody takes a woken CPU for one at rest.
   */
  protected kick(cpu: number): void {
    const base = this.#allRegisters[cpu]!.base;
    if (Atomics.load(this.i32, base + CpuWord.HALTED) === 0) return;
    if (Atomics.exchange(this.i32, base + CpuWord.HALTED, 0) === 0) return;
    Atomics.add(this.i32, base + CpuWord.WAKE, 1);
    Atomics.notify(this.i32, base + CpuWord.WAKE);
  }
}

/** Word distance between two CPUs' blocks. */
export const CPU_BLOCK_WORDS = CPU_BLOCK_BYTES / 4;
