/**
 * The parallel bus of a machine whose runs are recorded: what each operation read and wrote, per thread, so that somebody can
 * ask afterwards whether the memory model explains it (checkers/recorded-run.ts). The operations are the parallel bus's own.
 * A machine gets this bus when it is powered on, or the other: nothing is asked at an access.
 *
 * What a wait read in vain is left out: it was looked at again. So is what belongs to one CPU alone.
 */
import { AccessKind, EVENT_WORDS, EventType, LockOperation } from '#trace/events';
import { RECORDING, RecordType, RecordWord } from '#trace/recording';
import { RING_HEADER_WORDS } from '#trace/ring';
import type { BusClient } from './bus.ts';
import { ContextWord, type Geometry, ringWord } from './layout.ts';
import { ParallelBus } from './parallel-bus.ts';

/** Lets the bus know that other code runs in the middle of what it is doing: handlers, and what they let run. */
class InterruptedClient implements BusClient {
  readonly #client: BusClient;
  around: (work: () => void) => void = (work) => {
    work();
  };

  constructor(client: BusClient) {
    this.#client = client;
  }

  interruptWindow(): void {
    this.around(() => {
      this.#client.interruptWindow();
    });
  }

  takeInterrupt(): void {
    this.#client.takeInterrupt();
  }

  fault(address: number, size: number, write: boolean): never {
    return this.#client.fault(address, size, write);
  }
}

export class RecordingBus extends ParallelBus {
  /** Word index of this thread's record, whichever CPU it is. */
  readonly #record: number;
  /** Records made by the wait's condition that is being looked at, or -1. */
  #looked = -1;

  constructor(buffer: ArrayBufferLike, layout: Geometry, cpu: number, client: BusClient) {
    const interrupted = new InterruptedClient(client);
    super(buffer, layout, cpu, interrupted, false);
    this.#record = ringWord(layout, cpu);
    interrupted.around = (work) => {
      this.#interrupted(work);
    };
  }

  override load8(address: number): number {
    return this.#loaded(address, 1, super.load8(address));
  }

  override load16(address: number): number {
    return this.#loaded(address, 2, super.load16(address));
  }

  override load32(address: number): number {
    return this.#loaded(address, 4, super.load32(address));
  }

  override load64(address: number): bigint {
    return this.#loaded64(address, super.load64(address));
  }

  override load32Marked(address: number, kind: AccessKind): number {
    return this.#loaded(address, 4, super.load32Marked(address, kind));
  }

  override load64Marked(address: number, kind: AccessKind): bigint {
    return this.#loaded64(address, super.load64Marked(address, kind));
  }

  override store8(address: number, value: number): void {
    super.store8(address, value);
    this.#append(RecordType.STORE, 1, address, 0, 0, value & 0xff, 0);
  }

  override store16(address: number, value: number): void {
    super.store16(address, value);
    this.#append(RecordType.STORE, 2, address, 0, 0, value & 0xffff, 0);
  }

  override store32(address: number, value: number): void {
    super.store32(address, value);
    this.#append(RecordType.STORE, 4, address, 0, 0, value, 0);
  }

  override store64(address: number, value: bigint): void {
    super.store64(address, value);
    this.#stored64(address, value);
  }

  override store32Marked(address: number, value: number, kind: AccessKind): void {
    super.store32Marked(address, value, kind);
    this.#append(RecordType.STORE, 4, address, 0, 0, value, 0);
  }

  override store64Marked(address: number, value: bigint, kind: AccessKind): void {
    super.store64Marked(address, value, kind);
    this.#stored64(address, value);
  }

  override add32(address: number, operand: number): number {
    const before = super.add32(address, operand);
    return this.#changed(address, before, before + operand);
  }

  override and32(address: number, operand: number): number {
    const before = super.and32(address, operand);
    return this.#changed(address, before, before & operand);
  }

  override or32(address: number, operand: number): number {
    const before = super.or32(address, operand);
    return this.#changed(address, before, before | operand);
  }

  override exchange32(address: number, value: number): number {
    return this.#changed(address, super.exchange32(address, value), value);
  }

  override compareExchange32(address: number, expected: number, value: number): number {
    const before = super.compareExchange32(address, expected, value);
    return this.#changed(address, before, before === expected >>> 0 ? value : before);
  }

  override update<T extends number | bigint>(address: number, size: number, change: (before: T) => T): T {
    let after: number | bigint = 0;
    const before = super.update<T>(address, size, (seen) => {
      const made = change(seen);
      after = made;
      return made;
    });
    const wide = (value: number | bigint): bigint => BigInt.asUintN(size * 8, BigInt(value));
    const low = (value: number | bigint): number => Number(wide(value) & 0xffffffffn);
    const high = (value: number | bigint): number => Number(wide(value) >> 32n);
    this.#append(RecordType.RMW, size, address, low(before), high(before), low(after), high(after));
    return before;
  }

  /** Of the operations above, so that each of them is seen. */
  override acquire32(address: number, value: number): void {
    if (this.exchange32(address, value) === 0) return;
    this.emit(EventType.LOCK, address, LockOperation.CONTENDED, 0, 0);
    do {
      this.waitUntil(address, () => this.load32Marked(address, AccessKind.ONCE) === 0);
    } while (this.exchange32(address, value) !== 0);
  }

  override fence(): void {
    super.fence();
    this.#drained();
  }

  override raise(cpu: number, pending: number): void {
    this.#drained();
    super.raise(cpu, pending);
  }

  override interruptEnters(): number {
    this.#drained();
    return super.interruptEnters();
  }

  override fill(address: number, byte: number, length: number): void {
    super.fill(address, byte, length);
    this.#bulk(address, length);
  }

  override copy(destination: number, source: number, length: number): void {
    super.copy(destination, source, length);
    this.#bulk(destination, length);
  }

  override storeBytes(address: number, bytes: Uint8Array): void {
    super.storeBytes(address, bytes);
    this.#bulk(address, bytes.length);
  }

  override storeLocal32(address: number, value: number): void {
    super.storeLocal32(address, value);
    this.#bulk(address, 4);
  }

  override storeLocalBytes(address: number, bytes: Uint8Array): void {
    super.storeLocalBytes(address, bytes);
    this.#bulk(address, bytes.length);
  }

  override tally32(address: number, operand: number): number {
    this.#bulk(address, 4);
    return super.tally32(address, operand);
  }

  override waitUntil(watch: number, condition: () => boolean, idle = false): void {
    super.waitUntil(watch, () => this.#look(condition), idle);
  }

  override waitUntilTimeout(watch: number, condition: () => boolean, timeoutUs: number): boolean {
    return super.waitUntilTimeout(watch, () => this.#look(condition), timeoutUs);
  }

  /** Keeps what a condition read only if it holds. */
  #look(condition: () => boolean): boolean {
    const outer = this.#looked;
    this.#looked = this.i32[this.#record]!;
    let holds = false;
    try {
      holds = condition();
      return holds;
    } finally {
      if (!holds) this.i32[this.#record] = this.#looked;
      this.#looked = outer;
    }
  }

  /** Other code runs where a condition is looked at: what that has read so far is left out, and what runs is kept. */
  #interrupted(work: () => void): void {
    const looked = this.#looked;
    if (looked < 0) {
      work();
      return;
    }
    this.i32[this.#record] = looked;
    this.#looked = -1;
    try {
      work();
    } finally {
      this.#looked = this.i32[this.#record]!;
    }
  }

  #loaded(address: number, size: number, value: number): number {
    this.#append(RecordType.LOAD, size, address, value, 0, 0, 0);
    return value;
  }

  #loaded64(address: number, value: bigint): bigint {
    this.#append(RecordType.LOAD, 8, address, lowOf(value), highOf(value), 0, 0);
    return value;
  }

  #stored64(address: number, value: bigint): void {
    this.#append(RecordType.STORE, 8, address, 0, 0, lowOf(value), highOf(value));
  }

  #changed(address: number, before: number, after: number): number {
    this.#append(RecordType.RMW, 4, address, before, 0, after, 0);
    return before;
  }

  #drained(): void {
    this.#append(RecordType.DRAIN, 0, 0, 0, 0, 0, 0);
  }

  #bulk(address: number, length: number): void {
    this.#append(RecordType.BULK, 0, address, length, 0, 0, 0);
  }

  #append(
    type: RecordType,
    size: number,
    address: number,
    read: number,
    readHigh: number,
    written: number,
    writtenHigh: number,
  ): void {
    const { i32, contextIndex } = this;
    const base = this.#record;
    if (i32[base + RECORDING] === 0) return;
    const made = i32[base]!;
    i32[base] = made + 1;
    if (made >= i32[base + 1]!) return;
    const at = base + RING_HEADER_WORDS + made * EVENT_WORDS;
    const depth = i32[contextIndex + ContextWord.DEPTH]!;
    i32[at + RecordWord.HEAD] = type | (size << 8);
    i32[at + RecordWord.ADDRESS] = address;
    i32[at + RecordWord.READ] = read;
    i32[at + RecordWord.READ_HIGH] = readHigh;
    i32[at + RecordWord.WRITTEN] = written;
    i32[at + RecordWord.WRITTEN_HIGH] = writtenHigh;
    i32[at + RecordWord.SITE] = depth === 0 ? 0 : i32[contextIndex + ContextWord.CALLS + (depth - 1) * 2]!;
  }
}

function lowOf(value: bigint): number {
  return Number(value & 0xffffffffn);
}

function highOf(value: bigint): number {
  return Number((value >> 32n) & 0xffffffffn);
}
