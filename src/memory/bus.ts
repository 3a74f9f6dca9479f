/**
 * The one way into simulated memory. Kernel code does not call this: it uses the typed views, and they do.
 *
 * There are two implementations, `ParallelBus` (typed arrays and Atomics) and `DeterministicBus` (publishes every
 * operation and asks the strategy first). A CPU thread attaches one when its machine is powered on; from then on every
 * view of that thread goes through it.
 *
 * Addresses are bytes. Page zero is unmapped. An access outside memory, or not aligned to its size, is a fault of the
 * simulated CPU: it goes to `BusClient.fault` and does not come back.
 */
import { assert } from '#base/assert';
import type { AccessKind, EventType } from '#trace/events';
import type { CpuRegisters } from './cpu-registers.ts';
import { type Geometry, PAGE_SIZE } from './layout.ts';

/** What a bus asks of the CPU it belongs to. Implemented by the cpu-worker room. */
export interface BusClient {
  /** Called at an operation boundary when something is pending: takes what may be taken now. */
  interruptWindow(): void;
  /** Takes the one pending interrupt of highest priority. Called only with interrupts enabled and one pending. */
  takeInterrupt(): void;
  /** The access cannot be done: raises the simulated page fault. Never returns. */
  fault(address: number, size: number, write: boolean): never;
}

export interface Bus {
  /** This thread's CPU, -1 for the host. */
  readonly cpu: number;
  /** This CPU's registers; the host has none and gets CPU 0's. */
  readonly registers: CpuRegisters;
  readonly layout: Geometry;
  /** What `__per_cpu_offset` says of this CPU once it has been filled. */
  readonly perCpuOffset: number;
  /** Memory as words, for the inlined half of plain accesses; empty where every access has to ask first. */
  readonly plainWords: Uint32Array;
  /** Index in `plainWords` of a word that is not 0 while an operation boundary has something to do. */
  readonly attention: number;

  /** Unsigned loads. */
  load8(address: number): number;
  load16(address: number): number;
  load32(address: number): number;
  load64(address: number): bigint;
  store8(address: number, value: number): void;
  store16(address: number, value: number): void;
  store32(address: number, value: number): void;
  store64(address: number, value: bigint): void;

  /** Marked accesses: READ_ONCE, smp_load_acquire and their stores. */
  load32Marked(address: number, kind: AccessKind): number;
  store32Marked(address: number, value: number, kind: AccessKind): void;
  load64Marked(address: number, kind: AccessKind): bigint;
  store64Marked(address: number, value: bigint, kind: AccessKind): void;

  /** Atomic read-modify-write, fully ordered as x86's locked operations. All answer the value before. */
  add32(address: number, operand: number): number;
  and32(address: number, operand: number): number;
  or32(address: number, operand: number): number;
  exchange32(address: number, value: number): number;
  compareExchange32(address: number, expected: number, value: number): number;

  /**
   * Any other atomic read-modify-write, as a locked instruction of that width. Answers the value before.
   * @param size 1, 2 or 4 bytes: `change` gets and answers an unsigned number; 8: a bigint
   */
  update<T extends number | bigint>(address: number, size: number, change: (before: T) => T): T;

  /** Adds to a counter of the laboratory's own: atomic, but no scheduling point and nobody's wait. Answers the value before. */
  tally32(address: number, operand: number): number;
  /** The same for who does not want to know. */
  count32(address: number, operand: number): void;

  /** smp_mb. */
  fence(): void;

  /** Spins until the word is 0 and then makes it `value`, as one atomic step: taking a lock. Interrupts meanwhile. */
  acquire32(address: number, value: number): void;

  /** EFLAGS.IF. Switching it off is a scheduling point where interrupts come at all: one may come just before. */
  interruptFlag(on: boolean): void;
  /**
   * Whether an interrupt waits for this CPU, which keeps it out. No scheduling point: in a search it is part of the CPU's last step
   * that it has looked.
   */
  interruptWaits(): boolean;
  /** Preemption is about to go off: the last moment for an interrupt that lets somebody else have the CPU. */
  preemptionOff(): void;
  /** An interrupt is being taken. Answers what `interruptLeaves` wants. */
  interruptEnters(vector: number): number;
  interruptLeaves(flow: number): void;

  /** One operation each, however long: memset, memcpy, and strings. */
  fill(address: number, byte: number, length: number): void;
  copy(destination: number, source: number, length: number): void;
  loadBytes(address: number, length: number): Uint8Array;
  storeBytes(address: number, bytes: Uint8Array): void;

  /** Memory that only this CPU uses: no scheduling point, no trace event. */
  loadLocal32(address: number): number;
  storeLocal32(address: number, value: number): void;
  storeLocalBytes(address: number, bytes: Uint8Array): void;

  /**
   * Blocks until `condition` over memory holds, taking interrupts meanwhile if they are enabled.
   * @param watch address of the word whose change ends the wait; changes of other words `condition` reads are noticed
   *   too, within a millisecond in parallel mode
   * @param idle this is the idle loop: waiting is rest and not a hang
   */
  waitUntil(watch: number, condition: () => boolean, idle?: boolean): void;

  /**
   * As waitUntil, for at most `timeoutUs` simulated microseconds. Simulated time passes only while nobody else can go on. Where
   * that is a second and more, changes of other words may be noticed some milliseconds later.
   * @returns whether the condition held
   */
  waitUntilTimeout(watch: number, condition: () => boolean, timeoutUs: number): boolean;

  /** Sets bits in a CPU's pending word and wakes it. */
  raise(cpu: number, pending: number): void;

  /** Drops the interrupts that are pending on this CPU. */
  dropInterrupts(): void;

  /** Parks a CPU that is not started, until some of `bits` are pending; clears and answers those. */
  waitForSignal(bits: number): number;

  /** Bytes of this context's kernel stack, until the running kernel function returns. */
  allocateStack(size: number, align: number): number;

  /** A call through a pointer that is no function: a fault at that address, and the caller does nothing more. */
  badJump(address: number): void;

  /** A kernel function begins or ends: call stack, trace. */
  enter(symbol: number, a: unknown, b: unknown, c: unknown): void;
  leave(symbol: number, result: unknown): void;
  /** Records an event that is not an operation. */
  emit(type: EventType, a: number, b: number, c: number, d: number): void;
}

function detached(): never {
  throw new Error(
    'bus: this thread is not attached to a machine: kernel functions run on simulated CPUs only',
  );
}

/** Stands in until a machine is attached, so that a view used too early says so. */
const detachedBus: Bus = new Proxy({} as Bus, { get: detached });

/** This thread's bus. Views read it at every access; nobody else needs it. */
export let bus: Bus = detachedBus;

/** The words of a bus whose every access has to ask first. */
export const NO_WORDS: Uint32Array = new Uint32Array(0);
/** What plain accesses need, in one object that stays: of its fields V8 knows the types, of variables it would have to look. */
const plain: { words: Uint32Array; attention: number } = { words: NO_WORDS, attention: 0 };

/** Attaches this thread to a machine, or detaches it with `undefined`. */
export function attachBus(next: Bus | undefined): void {
  bus = next ?? detachedBus;
  const words = next?.plainWords ?? NO_WORDS;
  // CPUs that share a thread change places all the time, and have none.
  if (words === NO_WORDS && plain.words === NO_WORDS) return;
  plain.words = words;
  plain.attention = next?.attention ?? 0;
}

/** Index into `plainWords`; one beyond its end for an address that is null, wild or misaligned. One rotation on x86. */
export function wordBehindPageZero(address: number): number {
  const offset = (address - PAGE_SIZE) | 0;
  return ((offset >>> 2) | (offset << 30)) >>> 0;
}

/**
 * Plain 32-bit accesses, as views do them. The common case of the parallel bus stands here, where it is inlined into
 * the view: nothing pending, the address mapped and aligned. Everything else is the bus's own method.
 *
 * `plainWords` begins behind page zero, and a misaligned address makes an index beyond its end: one bounds check tells
 * null, wild and misaligned addresses from good ones.
 */
export function load32(address: number): number {
  const { words } = plain;
  if (words[plain.attention] === 0) {
    const value = words[wordBehindPageZero(address)];
    if (value !== undefined) return value;
  }
  return bus.load32(address);
}

export function store32(address: number, value: number): void {
  const { words } = plain;
  const word = wordBehindPageZero(address);
  if (words[plain.attention] === 0 && word < words.length) words[word] = value;
  else bus.store32(address, value);
}

/** The host looks at a machine: attaches `next` while `look` runs. */
export function withBus<T>(next: Bus, look: () => T): T {
  const before = bus;
  attachBus(next);
  try {
    return look();
  } finally {
    attachBus(before === detachedBus ? undefined : before);
  }
}

/** @throws InvariantError when this thread is not a CPU */
export function currentCpu(): number {
  const { cpu } = bus;
  if (cpu < 0) assert(false, 'currentCpu: the host is not a CPU');
  return cpu;
}
