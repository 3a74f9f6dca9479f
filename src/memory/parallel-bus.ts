/**
 * The bus of truly parallel machines: raw typed arrays and Atomics.
 *
 * Plain accesses are plain, as far as JavaScript's memory model lets us: the host's processor and compiler may reorder
 * them. Marked ones and read-modify-writes are Atomics, which are sequentially consistent and so at least as strong as
 * asked. Interrupts are looked for in front of every access.
 */
import { AccessKind, EventType, LockOperation } from '#trace/events';
import { BaseBus, CPU_BLOCK_WORDS, machineWord } from './base-bus.ts';
import { type Bus, type BusClient, wordBehindPageZero } from './bus.ts';
import {
  ContextWord,
  CpuWord,
  type Geometry,
  Halted,
  MachineWord,
  PAGE_SIZE,
  PENDING_MASKABLE,
  PowerState,
} from './layout.ts';

const SLEEPERS = machineWord(MachineWord.SLEEPERS);
const SPINS = machineWord(MachineWord.SPINS);
const CLOCK_US = machineWord(MachineWord.CLOCK_US);
const ORPHANS = machineWord(MachineWord.ORPHANS);
const START_LINE = machineWord(MachineWord.START_LINE);

/** Milliseconds a sleeping waiter may miss a plain store for: stores other than Atomics wake nobody. */
const HALT_POLL_MS = 1;

/** The same for timed waits of a second and more, once they last, while others work: what ends those are Atomics. */
const LONG_POLL_MS = 16;

/** The same for timed waits too short for anybody to be kept from anything by their ending early. */
const SHORT_POLL_MS = 0.05;
const SHORT_WAIT_US = 10_000;
const LONG_WAIT_US = 1_000_000;

/** Looks at the start line before the thread sleeps there: with more CPUs than cores, the last one needs a core to come. */
const START_LINE_LOOKS = 5_000;

/** Looks that a timed wait takes at a machine in which nobody else moves before its time passes. */
const QUIET_LOOKS = 3;

export class ParallelBus extends BaseBus implements Bus {
  readonly #size: number;

  /** @param plain whether plain accesses need nothing but memory: a subclass may want to see them */
  constructor(buffer: ArrayBufferLike, layout: Geometry, cpu: number, client: BusClient, plain = true) {
    super(buffer, layout, cpu, client, plain);
    this.#size = layout.bytes;
  }

  load8(address: number): number {
    if (this.i32[this.pendingIndex] !== 0) this.client.interruptWindow();
    if (address < PAGE_SIZE || address >= this.#size) this.client.fault(address, 1, false);
    return this.u8[address]!;
  }

  load16(address: number): number {
    if (this.i32[this.pendingIndex] !== 0) this.client.interruptWindow();
    if (address < PAGE_SIZE || address >= this.#size || (address & 1) !== 0)
      this.client.fault(address, 2, false);
    return this.u16[address >>> 1]!;
  }

  load32(address: number): number {
    if (this.i32[this.pendingIndex] !== 0) this.client.interruptWindow();
    const value = this.mapped[wordBehindPageZero(address)];
    return value === undefined ? this.client.fault(address, 4, false) : value;
  }

  load64(address: number): bigint {
    if (this.i32[this.pendingIndex] !== 0) this.client.interruptWindow();
    if (address < PAGE_SIZE || address >= this.#size || (address & 7) !== 0)
      this.client.fault(address, 8, false);
    return this.u64[address >>> 3]!;
  }

  store8(address: number, value: number): void {
    if (this.i32[this.pendingIndex] !== 0) this.client.interruptWindow();
    if (address < PAGE_SIZE || address >= this.#size) this.client.fault(address, 1, true);
    this.u8[address] = value;
  }

  store16(address: number, value: number): void {
    if (this.i32[this.pendingIndex] !== 0) this.client.interruptWindow();
    if (address < PAGE_SIZE || address >= this.#size || (address & 1) !== 0)
      this.client.fault(address, 2, true);
    this.u16[address >>> 1] = value;
  }

  store32(address: number, value: number): void {
    if (this.i32[this.pendingIndex] !== 0) this.client.interruptWindow();
    const word = wordBehindPageZero(address);
    if (word >= this.mapped.length) this.client.fault(address, 4, true);
    this.mapped[word] = value;
  }

  store64(address: number, value: bigint): void {
    if (this.i32[this.pendingIndex] !== 0) this.client.interruptWindow();
    if (address < PAGE_SIZE || address >= this.#size || (address & 7) !== 0)
      this.client.fault(address, 8, true);
    this.u64[address >>> 3] = value;
  }

  load32Marked(address: number, _kind: AccessKind): number {
    return Atomics.load(this.u32, this.#word(address, false));
  }

  store32Marked(address: number, value: number, _kind: AccessKind): void {
    Atomics.store(this.i32, this.#word(address, true), value);
    if (this.i32[SLEEPERS] !== 0) this.#wakeWatchers(address);
  }

  load64Marked(address: number, _kind: AccessKind): bigint {
    this.#word(address & ~7, false);
    return Atomics.load(this.u64, address >>> 3);
  }

  store64Marked(address: number, value: bigint, _kind: AccessKind): void {
    this.#word(address & ~7, true);
    Atomics.store(this.u64, address >>> 3, value);
    if (this.i32[SLEEPERS] !== 0) this.#wakeWatchers(address);
  }

  add32(address: number, operand: number): number {
    const before = Atomics.add(this.u32, this.#word(address, true), operand);
    if (this.i32[SLEEPERS] !== 0) this.#wakeWatchers(address);
    return before;
  }

  and32(address: number, operand: number): number {
    const before = Atomics.and(this.u32, this.#word(address, true), operand);
    if (this.i32[SLEEPERS] !== 0) this.#wakeWatchers(address);
    return before;
  }

  or32(address: number, operand: number): number {
    const before = Atomics.or(this.u32, this.#word(address, true), operand);
    if (this.i32[SLEEPERS] !== 0) this.#wakeWatchers(address);
    return before;
  }

  exchange32(address: number, value: number): number {
    const before = Atomics.exchange(this.u32, this.#word(address, true), value);
    if (this.i32[SLEEPERS] !== 0) this.#wakeWatchers(address);
    return before;
  }

  compareExchange32(address: number, expected: number, value: number): number {
    const before = Atomics.compareExchange(this.u32, this.#word(address, true), expected, value);
    if (before === expected >>> 0 && this.i32[SLEEPERS] !== 0) this.#wakeWatchers(address);
    return before;
  }

  update<T extends number | bigint>(address: number, size: number, change: (before: T) => T): T {
    this.#word(address & ~3, true);
    if (address % size !== 0) this.client.fault(address, size, true);
    const array: Uint8Array | Uint16Array | Uint32Array | BigUint64Array =
      size === 8 ? this.u64 : size === 4 ? this.u32 : size === 2 ? this.u16 : this.u8;
    const before = retry(
      array as Uint32Array,
      address / size,
      change as unknown as (before: number) => number,
    ) as unknown as T;
    if (this.i32[SLEEPERS] !== 0) this.#wakeWatchers(address & ~3);
    return before;
  }

  acquire32(address: number, value: number): void {
    if (this.exchange32(address, value) === 0) return;
    this.emit(EventType.LOCK, address, LockOperation.CONTENDED, 0, 0);
    do {
      this.waitUntil(address, () => this.load32Marked(address, AccessKind.ONCE) === 0);
    } while (this.exchange32(address, value) !== 0);
  }

  /** Interrupts are taken where code looks for them, which is often enough. */
  preemptionOff(): void {}

  interruptFlag(on: boolean): void {
    this.registers.set(CpuWord.IRQS_ENABLED, on ? 1 : 0);
  }

  interruptEnters(): number {
    return 0;
  }

  interruptLeaves(): void {}

  fence(): void {
    // A read-modify-write of a word only this CPU uses: a full barrier in JavaScript's model as on x86.
    Atomics.or(this.i32, this.registers.base + CpuWord.FENCE, 0);
  }

  fill(address: number, byte: number, length: number): void {
    this.inRange(address, length, true);
    this.u8.fill(byte, address, address + length);
  }

  copy(destination: number, source: number, length: number): void {
    this.inRange(source, length, false);
    this.inRange(destination, length, true);
    this.u8.copyWithin(destination, source, source + length);
  }

  loadBytes(address: number, length: number): Uint8Array {
    this.inRange(address, length, false);
    return this.u8.slice(address, address + length);
  }

  storeBytes(address: number, bytes: Uint8Array): void {
    this.inRange(address, bytes.length, true);
    this.u8.set(bytes, address);
  }

  waitUntil(watch: number, condition: () => boolean, idle = false): void {
    if (condition()) return;
    this.#beginWait();
    do {
      // Whatever ends the idle loop kicks. A wait for more than one word has none whose change would.
      if (!this.#poll(condition, idle)) this.#halt(watch, condition, idle ? Infinity : HALT_POLL_MS);
    } while (!condition());
  }

  #beginWait(): void {
    this.i32[this.registers.base + CpuWord.WAITS]! += 1;
  }

  /** Waits for the tasks that are to begin together with the calling one, if there are any. */
  startLine(): void {
    const { i32 } = this;
    if (Atomics.load(i32, START_LINE) <= 0) return;
    if (Atomics.sub(i32, START_LINE, 1) === 1) {
      Atomics.notify(i32, START_LINE);
      return;
    }
    for (let look = 0; Atomics.load(i32, START_LINE) > 0; look++) {
      if (i32[this.pendingIndex] !== 0) this.client.interruptWindow();
      if (look > START_LINE_LOOKS) Atomics.wait(i32, START_LINE, Atomics.load(i32, START_LINE), HALT_POLL_MS);
    }
  }

  /** Looks for a while without sleeping. True if something happened: the condition may hold now. */
  #poll(condition: () => boolean, idle: boolean): boolean {
    const { i32 } = this;
    const spins = i32[SPINS]!;
    for (let spin = 0; spin < spins; spin++) {
      if (i32[this.pendingIndex] !== 0) {
        this.client.interruptWindow();
        if (idle || this.registers.irqsEnabled) return true;
      }
      // Whatever ends the idle loop comes with an interrupt: polling looks for that alone.
      if (!idle && condition()) return true;
    }
    return false;
  }

  waitUntilTimeout(watch: number, condition: () => boolean, timeoutUs: number): boolean {
    const { i32 } = this;
    const deadline = (Atomics.load(i32, CLOCK_US) + timeoutUs) | 0;
    const poll = timeoutUs <= SHORT_WAIT_US ? SHORT_POLL_MS : HALT_POLL_MS;
    const pollMax = timeoutUs < LONG_WAIT_US ? poll : LONG_POLL_MS;
    return this.#waitUntilDeadline(watch, condition, deadline, poll, pollMax);
  }

  #waitUntilDeadline(
    watch: number,
    condition: () => boolean,
    deadline: number,
    pollMin: number,
    pollMax: number,
  ): boolean {
    const { i32 } = this;
    let quiet = 0;
    let poll = pollMin;
    this.#beginWait();
    for (;;) {
      if (condition()) return true;
      if (i32[this.pendingIndex] !== 0) this.client.interruptWindow();
      if (((Atomics.load(i32, CLOCK_US) - deadline) | 0) >= 0) return condition();
      if (this.#othersAtRest(deadline)) {
        poll = pollMin;
        // Nobody else can go on, so nothing will happen before the deadline: simulated time jumps there.
        if (++quiet >= QUIET_LOOKS) {
          if (condition()) return true;
          Atomics.store(i32, CLOCK_US, deadline);
          continue;
        }
      } else {
        quiet = 0;
      }
      this.#halt(watch, condition, poll, deadline);
      poll = Math.min(2 * poll, pollMax);
    }
  }

  raise(cpu: number, pending: number): void {
    Atomics.or(this.i32, this.registersOf(cpu).base + CpuWord.PENDING, pending);
    this.kick(cpu);
  }

  dropInterrupts(): void {
    Atomics.and(this.i32, this.pendingIndex, ~PENDING_MASKABLE);
  }

  waitForSignal(bits: number): number {
    const { i32, pendingIndex } = this;
    const arrived = (): boolean => (Atomics.load(i32, pendingIndex) & bits) !== 0;
    this.#beginWait();
    while (!arrived()) this.#halt(0, arrived, Infinity);
    return Atomics.and(i32, pendingIndex, ~bits) & bits;
  }

  standBy(ticket: number, stay: () => boolean, fits: (cpu: number) => boolean): boolean {
    const { i32, contextIndex } = this;
    const { base } = this.registers;
    const wake = Atomics.load(i32, base + CpuWord.WAKE);
    i32[base + CpuWord.DEADLINE_US] = 0;
    Atomics.store(i32, base + CpuWord.HALTED, Halted.ASLEEP);
    Atomics.add(i32, ORPHANS, 1);
    Atomics.store(i32, contextIndex + ContextWord.WANTS, ticket);
    // From here to taking the ticket back this CPU's block is not ours: reading WAKE is all we do with it.
    // On offer, then look once more: who raises an interrupt after this look finds HALTED, and kicks.
    if (!stay()) {
      this.#callTakers(fits);
      Atomics.wait(i32, base + CpuWord.WAKE, wake);
    }
    if (Atomics.compareExchange(i32, contextIndex + ContextWord.WANTS, ticket, 0) === ticket) {
      Atomics.sub(i32, ORPHANS, 1);
      Atomics.store(i32, base + CpuWord.HALTED, 0);
      return false;
    }
    const own = contextIndex + ContextWord.CPU;
    while (Atomics.load(i32, own) === this.cpu) Atomics.wait(i32, own, this.cpu);
    this.become(Atomics.load(i32, own));
    return true;
  }

  exchangeWith(context: number): void {
    const { i32 } = this;
    const left = this.registersOf(i32[context + ContextWord.CPU]!).base;
    Atomics.sub(i32, ORPHANS, 1);
    Atomics.store(i32, left + CpuWord.HALTED, 0);
    this.swapContexts(context);
    // Its thread sleeps on the one word or the other.
    Atomics.notify(i32, context + ContextWord.CPU);
    Atomics.add(i32, left + CpuWord.WAKE, 1);
    Atomics.notify(i32, left + CpuWord.WAKE);
  }

  /** Wakes who sleeps as a CPU that runs the kernel and that the offer is for. */
  #callTakers(fits: (cpu: number) => boolean): void {
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++) {
      if (cpu !== this.cpu && this.registersOf(cpu).power === PowerState.RUNNING && fits(cpu)) this.kick(cpu);
    }
  }

  protected asBus(): Bus {
    return this;
  }

  protected boundary(): void {
    this.client.interruptWindow();
  }

  /** Range and alignment of an atomic access, in front of which interrupts are taken too. */
  #word(address: number, write: boolean): number {
    if (this.i32[this.pendingIndex] !== 0) this.client.interruptWindow();
    const word = wordBehindPageZero(address);
    if (word >= this.mapped.length) this.client.fault(address, 4, write);
    return address >>> 2;
  }

  /**
   * Puts the thread to sleep until it is kicked, or for `milliseconds`. Interrupts are taken afterwards only: who takes
   * one may come back as another CPU, and what is written here is this one's.
   * @param deadline of a timed wait, 0 = none
   */
  #halt(watch: number, condition: () => boolean, milliseconds: number, deadline = 0): void {
    const { i32, pendingIndex } = this;
    const { base } = this.registers;
    const wake = Atomics.load(i32, base + CpuWord.WAKE);
    i32[base + CpuWord.DEADLINE_US] = deadline;
    Atomics.store(i32, base + CpuWord.WATCH, watch);
    Atomics.store(i32, base + CpuWord.HALTED, milliseconds === Infinity ? Halted.ASLEEP : Halted.DOZING);
    i32[base + CpuWord.HALTS]! += 1;
    if (watch !== 0) Atomics.add(i32, SLEEPERS, 1);
    try {
      // Announce, then look once more: who changes memory after this look finds HALTED and WATCH, and kicks.
      // Pairs with kick() in BaseBus and #wakeWatchers() here; the other way round the wake-up is lost.
      const pending = Atomics.load(i32, pendingIndex);
      const takeable = pending !== 0 && (this.registers.irqsEnabled || (pending & ~PENDING_MASKABLE) !== 0);
      // The condition's loads look for interrupts in a word that is always 0.
      this.pendingIndex = 0;
      if (!takeable && !condition()) Atomics.wait(i32, base + CpuWord.WAKE, wake, milliseconds);
    } finally {
      this.pendingIndex = pendingIndex;
      if (watch !== 0) Atomics.sub(i32, SLEEPERS, 1);
      Atomics.store(i32, base + CpuWord.HALTED, 0);
      Atomics.store(i32, base + CpuWord.WATCH, 0);
    }
    if (i32[pendingIndex] !== 0) this.client.interruptWindow();
  }

  /** Kicks the CPUs that wait for a change of the word at `address`. */
  #wakeWatchers(address: number): void {
    const { i32 } = this;
    let base = this.registersOf(0).base;
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++, base += CPU_BLOCK_WORDS) {
      if (i32[base + CpuWord.WATCH]! >>> 0 === address) this.kick(cpu);
    }
  }

  /** True if every other CPU's thread sleeps with nothing to take and no earlier deadline than ours. */
  #othersAtRest(mine: number): boolean {
    const { i32 } = this;
    let base = this.registersOf(0).base;
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++, base += CPU_BLOCK_WORDS) {
      if (cpu === this.cpu) continue;
      if (Atomics.load(i32, base + CpuWord.HALTED) === 0) return false;
      const pending = Atomics.load(i32, base + CpuWord.PENDING);
      if (pending !== 0 && i32[base + CpuWord.IRQS_ENABLED] !== 0) return false;
      if ((pending & ~PENDING_MASKABLE) !== 0) return false;
      const deadline = i32[base + CpuWord.DEADLINE_US]!;
      if (deadline !== 0 && ((deadline - mine) | 0) < 0) return false;
    }
    return true;
  }
}

/** A compare-and-exchange loop. */
function retry(array: Uint32Array, index: number, change: (before: number) => number): number {
  for (let before = Atomics.load(array, index); ;) {
    const seen = Atomics.compareExchange(array, index, before, change(before));
    if (seen === before) return before;
    before = seen;
  }
}
