/**
 * The bus of deterministic machines: exactly one CPU runs at a time, and in front of every operation the strategy says
 * who goes next.
 *
 * There is no controller. The CPU that holds the baton publishes its next operation in its own block, computes who is
 * runnable, asks the strategy, and goes on if the answer is itself: that costs no system call. Otherwise it writes a
 * command to the chosen CPU's baton word, wakes that thread and sleeps on its own. Since only the holder runs, everything
 * here but the baton words is plain memory.
 *
 * A CPU whose condition does not hold is not runnable until a word that the condition read is written. When nobody is
 * runnable, simulated time jumps to the earliest deadline; when there is none, the run is over: at rest, or in deadlock.
 */
import { assert } from '#base/assert';
import { WATCH_MAX } from '#base/limits';
import { AccessKind, EventType } from '#trace/events';
import { BaseBus, CPU_BLOCK_WORDS, machineWord } from './base-bus.ts';
import type { Bus, BusClient } from './bus.ts';
import {
  Baton,
  ContextWord,
  CpuWord,
  type Geometry,
  MachineWord,
  PAGE_SIZE,
  PENDING_MASKABLE,
  Pending,
  RunEnd,
  Status,
  TraceMask,
} from './layout.ts';
import { type Actor, type Strategy, interruptActor, mainActor } from '#base/strategy';

const STEP = machineWord(MachineWord.STEP);
const STEP_LIMIT = machineWord(MachineWord.STEP_LIMIT);
const POLICY_STATE = machineWord(MachineWord.POLICY_STATE);
const CLOCK_US = machineWord(MachineWord.CLOCK_US);
const RUN_END = machineWord(MachineWord.RUN_END);
const RESTING_CPU = machineWord(MachineWord.RESTING_CPU);
const TASKS_OPEN = machineWord(MachineWord.TASKS_OPEN);
const TRACE_MASK = machineWord(MachineWord.TRACE_MASK);
const ORPHANS = machineWord(MachineWord.ORPHANS);

export class DeterministicBus extends BaseBus implements Bus {
  readonly #strategy: Strategy;
  readonly #runnable: Int32Array;
  /** True while a wait's condition is looked at: its loads are what the wait depends on. */
  #watching = false;
  /** True while what this thread reads is nobody's operation. */
  #unseen = false;

  constructor(
    buffer: SharedArrayBuffer,
    layout: Geometry,
    cpu: number,
    client: BusClient,
    strategy: Strategy,
  ) {
    super(buffer, layout, cpu, client, false);
    this.#strategy = strategy;
    this.#runnable = new Int32Array(layout.nrPossible * 2);
  }

  load8(address: number): number {
    this.#before(EventType.LOAD, address, 1, AccessKind.PLAIN, false);
    return this.#loaded(address, this.u8[address]!, AccessKind.PLAIN, 1);
  }

  load16(address: number): number {
    this.#before(EventType.LOAD, address, 2, AccessKind.PLAIN, false);
    return this.#loaded(address, this.u16[address >>> 1]!, AccessKind.PLAIN, 2);
  }

  load32(address: number): number {
    return this.load32Marked(address, AccessKind.PLAIN);
  }

  load64(address: number): bigint {
    return this.load64Marked(address, AccessKind.PLAIN);
  }

  load32Marked(address: number, kind: AccessKind): number {
    this.#before(EventType.LOAD, address, 4, kind, false);
    return this.#loaded(address, this.u32[address >>> 2]!, kind, 4);
  }

  load64Marked(address: number, kind: AccessKind): bigint {
    this.#before(EventType.LOAD, address, 8, kind, false);
    const value = this.u64[address >>> 3]!;
    if (this.#watching) this.#watch(address + 4);
    this.#loaded(address, Number(value & 0xffffffffn), kind, 8);
    return value;
  }

  store8(address: number, value: number): void {
    this.#before(EventType.STORE, address, 1, AccessKind.PLAIN, true);
    this.u8[address] = value;
    this.#stored(EventType.STORE, address, value, 0, AccessKind.PLAIN, 1);
  }

  store16(address: number, value: number): void {
    this.#before(EventType.STORE, address, 2, AccessKind.PLAIN, true);
    this.u16[address >>> 1] = value;
    this.#stored(EventType.STORE, address, value, 0, AccessKind.PLAIN, 2);
  }

  store32(address: number, value: number): void {
    this.store32Marked(address, value, AccessKind.PLAIN);
  }

  store64(address: number, value: bigint): void {
    this.store64Marked(address, value, AccessKind.PLAIN);
  }

  store32Marked(address: number, value: number, kind: AccessKind): void {
    this.#before(EventType.STORE, address, 4, kind, true);
    this.i32[address >>> 2] = value;
    this.#stored(EventType.STORE, address, value, 0, kind, 4);
  }

  store64Marked(address: number, value: bigint, kind: AccessKind): void {
    this.#before(EventType.STORE, address, 8, kind, true);
    this.u64[address >>> 3] = value;
    const low = Number(BigInt.asIntN(32, value));
    this.#stored(EventType.STORE, address, low, Number(BigInt.asIntN(32, value >> 32n)), kind, 8);
    this.#wake(address + 4, 4);
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

  fence(): void {
    this.#point(EventType.FENCE, 0, AccessKind.PLAIN);
    this.#log(EventType.FENCE, 0, 0, 0, AccessKind.PLAIN);
  }

  fill(address: number, byte: number, length: number): void {
    this.#point(EventType.BULK, address, length);
    this.checkRange(address, length, true);
    this.u8.fill(byte, address, address + length);
    this.#wake(address, length);
    this.#log(EventType.BULK, address, length, byte, 0);
  }

  copy(destination: number, source: number, length: number): void {
    this.#point(EventType.BULK, destination, length);
    this.checkRange(source, length, false);
    this.checkRange(destination, length, true);
    this.u8.copyWithin(destination, source, source + length);
    this.#wake(destination, length);
    this.#log(EventType.BULK, destination, length, source, 1);
  }

  loadBytes(address: number, length: number): Uint8Array {
    this.#point(EventType.LOAD, address, length);
    this.checkRange(address, length, false);
    this.#log(EventType.LOAD, address, length, 0, AccessKind.PLAIN);
    return this.u8.slice(address, address + length);
  }

  storeBytes(address: number, bytes: Uint8Array): void {
    this.#point(EventType.BULK, address, bytes.length);
    this.checkRange(address, bytes.length, true);
    this.u8.set(bytes, address);
    this.#wake(address, bytes.length);
    this.#log(EventType.BULK, address, bytes.length, 0, 2);
  }

  waitUntil(_watch: number, condition: () => boolean, idle = false): void {
    while (!this.#look(condition)) this.#dispatch(idle ? Status.IDLE : Status.BLOCKED);
    this.#forget();
  }

  waitUntilTimeout(_watch: number, condition: () => boolean, timeoutUs: number): boolean {
    const { i32 } = this;
    const deadline = (i32[CLOCK_US]! + timeoutUs) | 0;
    let found = this.#look(condition);
    while (!found && ((i32[CLOCK_US]! - deadline) | 0) < 0) {
      this.registers.set(CpuWord.DEADLINE_US, deadline);
      this.#dispatch(Status.BLOCKED);
      // An interrupt may have taken the task to another CPU: nothing of this one is kept over a step.
      this.registers.set(CpuWord.DEADLINE_US, 0);
      found = this.#look(condition);
    }
    this.#forget();
    return found;
  }

  raise(cpu: number, pending: number): void {
    this.#point(EventType.IPI_SEND, cpu, pending);
    const { base } = this.registersOf(cpu);
    this.i32[base + CpuWord.PENDING]! |= pending;
    this.#wake((base + CpuWord.PENDING) * 4, 4);
    const started = (pending & (Pending.INIT | Pending.SIPI)) !== 0;
    if (started && this.i32[base + CpuWord.STATUS] === Status.OFF)
      this.i32[base + CpuWord.STATUS] = Status.READY;
  }

  waitForSignal(bits: number): number {
    for (;;) {
      const pending = this.i32[this.pendingIndex]! & bits;
      if (pending !== 0) {
        this.i32[this.pendingIndex]! &= ~bits;
        return pending;
      }
      this.#dispatch(Status.OFF);
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
    if (this.#watching) this.#watch(address);
    return this.i32[address >>> 2]!;
  }

  standBy(ticket: number, stay: () => boolean): boolean {
    const { i32, contextIndex, cpu: left } = this;
    i32[ORPHANS]! += 1;
    i32[contextIndex + ContextWord.WANTS] = ticket;
    this.#wake(ORPHANS * 4, 4);
    while (!this.#look(() => this.cpu !== left || stay())) this.#dispatch(Status.BLOCKED);
    this.#forget();
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
    i32[ORPHANS]! -= 1;
    here.set(CpuWord.WATCH_COUNT, 0);
    left.set(CpuWord.WATCH_COUNT, 0);
    // What a thread is about to do goes with it.
    for (const word of [CpuWord.NEXT_TYPE, CpuWord.NEXT_ADDRESS, CpuWord.NEXT_KIND]) {
      const next = here.get(word);
      here.set(word, left.get(word));
      left.set(word, next);
    }
    here.set(CpuWord.STATUS, Status.READY);
    left.set(CpuWord.STATUS, Status.RUNNING);
    const moving = context + ContextWord.MOVING;
    i32[moving] = 1;
    this.swapContexts(context);
    this.#handOver(left.cpu, Baton.BECOME);
    // Until it has left that word it would take commands meant for us.
    while (Atomics.load(i32, moving) !== 0) Atomics.wait(i32, moving, 1);
  }

  protected asBus(): Bus {
    return this;
  }

  protected boundary(): void {
    if ((this.i32[this.pendingIndex]! & Pending.STOP) !== 0) this.client.interruptWindow();
  }

  /** This thread is its CPU from here on; it runs when somebody hands it the baton. */
  park(): void {
    const command = this.#awaitBaton();
    // RESUME: the host restarts a run that came to rest with this CPU holding the baton. It chooses who begins.
    this.#obey(command === Baton.RESUME ? this.#choose() : command);
  }

  /** The scheduling point, then the address check. An operation that faults has been chosen like any other. */
  #before(type: EventType, address: number, size: number, kind: AccessKind, write: boolean): void {
    this.#point(type, address, kind | (size << 8));
    if (address < PAGE_SIZE || address + size > this.layout.bytes || address % size !== 0) {
      this.client.fault(address, size, write);
    }
  }

  #loaded(address: number, value: number, kind: AccessKind, size: number): number {
    if (this.#watching) this.#watch(address);
    this.#log(EventType.LOAD, address, value, 0, kind | (size << 8));
    return value;
  }

  #stored(
    type: EventType,
    address: number,
    value: number,
    high: number,
    kind: AccessKind,
    size: number,
  ): void {
    this.#wake(address, size);
    this.#log(type, address, value, high, kind | (size << 8));
  }

  #rmwBegins(address: number): number {
    this.#before(EventType.RMW, address, 4, AccessKind.RMW, true);
    if (this.#watching) this.#watch(address);
    return this.u32[address >>> 2]!;
  }

  #rmwEnds(address: number, before: number, after: number): number {
    this.i32[address >>> 2] = after;
    // A failed compare-and-exchange writes what was there: nobody has to look again.
    if (this.u32[address >>> 2] !== before) this.#wake(address, 4);
    this.#log(EventType.RMW, address, before, after, AccessKind.RMW | (4 << 8));
    return before;
  }

  #log(type: EventType, a: number, b: number, c: number, d: number): void {
    if ((this.i32[TRACE_MASK]! & TraceMask.OPERATIONS) !== 0 && !this.#unseen) this.record(type, a, b, c, d);
  }

  /** Evaluates a condition and remembers what it read. */
  #look(condition: () => boolean): boolean {
    for (;;) {
      this.registers.set(CpuWord.WATCH_COUNT, 0);
      this.registers.set(CpuWord.WATCH_DIRTY, 0);
      this.#watching = true;
      let holds: boolean;
      try {
        holds = condition();
      } finally {
        this.#watching = false;
      }
      if (holds) return true;
      // Others ran between the loads of the condition and wrote one of them: what we saw is no single moment.
      if (this.registers.get(CpuWord.WATCH_DIRTY) === 0) return false;
    }
  }

  #watch(address: number): void {
    const { registers } = this;
    const count = registers.get(CpuWord.WATCH_COUNT);
    const word = address >>> 2;
    for (let index = 0; index < count; index++) {
      if (registers.get(CpuWord.WATCH_LIST + index) === word) return;
    }
    assert(count < WATCH_MAX, 'DeterministicBus: a wait depends on too many words');
    registers.set(CpuWord.WATCH_LIST + count, word);
    registers.set(CpuWord.WATCH_COUNT, count + 1);
  }

  #forget(): void {
    this.registers.set(CpuWord.WATCH_COUNT, 0);
  }

  /** Makes runnable whoever waits for a word in [address, address + length). */
  #wake(address: number, length: number): void {
    const { i32 } = this;
    const first = address >>> 2;
    const last = (address + length - 1) >>> 2;
    let base = this.registersOf(0).base;
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++, base += CPU_BLOCK_WORDS) {
      const count = i32[base + CpuWord.WATCH_COUNT]!;
      for (let index = 0; index < count; index++) {
        const word = i32[base + CpuWord.WATCH_LIST + index]!;
        if (word < first || word > last) continue;
        const status = i32[base + CpuWord.STATUS]!;
        if (status === Status.BLOCKED || status === Status.IDLE) i32[base + CpuWord.STATUS] = Status.READY;
        i32[base + CpuWord.WATCH_DIRTY] = 1;
        break;
      }
    }
  }

  #point(type: EventType, address: number, kind: number): void {
    if (this.#unseen) return;
    const { i32 } = this;
    const { base } = this.registers;
    i32[base + CpuWord.NEXT_TYPE] = type;
    i32[base + CpuWord.NEXT_ADDRESS] = address;
    i32[base + CpuWord.NEXT_KIND] = kind;
    this.#dispatch(Status.READY);
  }

  /**
   * The scheduling point. Comes back when this CPU's main flow is chosen; for a CPU that waits, also after it took an
   * interrupt, because what it waits for may hold now.
   */
  #dispatch(status: Status): void {
    for (;;) {
      this.registers.set(CpuWord.STATUS, status);
      const command = this.#choose();
      this.#obey(command);
      if (command === Baton.RUN || status !== Status.READY) return;
    }
  }

  /** Lets the strategy choose, hands the baton over if it chose somebody else, and comes back with what to do. */
  #choose(): Baton {
    for (;;) {
      const me = mainActor(this.cpu);
      const next = this.#next(me);
      if (next === me) return Baton.RUN;
      if (next === interruptActor(this.cpu)) return Baton.TAKE_INTERRUPT;
      if (next === AT_REST) {
        this.i32[RESTING_CPU] = this.cpu;
        this.ringDoorbell();
      } else {
        this.#handOver(next >>> 1, (next & 1) === 0 ? Baton.RUN : Baton.TAKE_INTERRUPT);
      }
      const command = this.#awaitBaton();
      if (command !== Baton.RESUME) return command;
    }
  }

  /** Does what the baton says; RUN means to go on. */
  #obey(command: Baton): void {
    this.registers.set(CpuWord.STATUS, Status.RUNNING);
    if (command === Baton.STOP) this.client.interruptWindow();
    if (command !== Baton.TAKE_INTERRUPT) return;
    // The handler's own waits use the same words, and it may change what this CPU waits for: look again afterwards.
    const { registers } = this;
    const watching = this.#watching;
    const deadline = registers.get(CpuWord.DEADLINE_US);
    const next = [CpuWord.NEXT_TYPE, CpuWord.NEXT_ADDRESS, CpuWord.NEXT_KIND].map((word) =>
      registers.get(word),
    );
    this.#watching = false;
    registers.set(CpuWord.DEADLINE_US, 0);
    this.client.takeInterrupt();
    this.#watching = watching;
    const after = this.registers;
    after.set(CpuWord.WATCH_DIRTY, 1);
    after.set(CpuWord.DEADLINE_US, deadline);
    after.set(CpuWord.NEXT_TYPE, next[0]!);
    after.set(CpuWord.NEXT_ADDRESS, next[1]!);
    after.set(CpuWord.NEXT_KIND, next[2]!);
  }

  /** The strategy's choice, or AT_REST. */
  #next(current: Actor): Actor {
    const { i32 } = this;
    if ((this.i32[this.pendingIndex]! & Pending.STOP) !== 0) this.client.interruptWindow();
    const step = i32[STEP]! + 1;
    i32[STEP] = step;
    if (step > i32[STEP_LIMIT]!) {
      i32[RUN_END] = RunEnd.STEP_LIMIT;
      return AT_REST;
    }
    for (;;) {
      const count = this.#collectRunnable();
      if (count === 1) return this.#runnable[0]!;
      if (count > 1) return this.#strategy.choose(i32, POLICY_STATE, this.#runnable, count, current);
      if (!this.#passTime()) break;
    }
    i32[RUN_END] = this.#isStuck() ? RunEnd.DEADLOCK : RunEnd.QUIESCENT;
    return AT_REST;
  }

  #collectRunnable(): number {
    const { i32 } = this;
    let count = 0;
    let base = this.registersOf(0).base;
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++, base += CPU_BLOCK_WORDS) {
      const status = i32[base + CpuWord.STATUS]!;
      if (status === Status.OFF) continue;
      if (status === Status.READY) this.#runnable[count++] = mainActor(cpu);
      const takeable = (i32[base + CpuWord.PENDING]! & PENDING_MASKABLE) !== 0;
      if (takeable && i32[base + CpuWord.IRQS_ENABLED] !== 0) this.#runnable[count++] = interruptActor(cpu);
    }
    return count;
  }

  /** Nobody can go on: time jumps to the earliest deadline. False if there is none. */
  #passTime(): boolean {
    const { i32 } = this;
    let earliest = -1;
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++) {
      const registers = this.registersOf(cpu);
      const deadline = registers.get(CpuWord.DEADLINE_US);
      if (deadline === 0 || registers.get(CpuWord.STATUS) !== Status.BLOCKED) continue;
      const sooner =
        earliest < 0 || ((deadline - this.registersOf(earliest).get(CpuWord.DEADLINE_US)) | 0) < 0;
      if (sooner) earliest = cpu;
    }
    if (earliest < 0) return false;
    const registers = this.registersOf(earliest);
    i32[CLOCK_US] = registers.get(CpuWord.DEADLINE_US);
    registers.set(CpuWord.STATUS, Status.READY);
    return true;
  }

  /** At rest with work undone is a deadlock: exact, since nobody is runnable. */
  #isStuck(): boolean {
    if (this.i32[TASKS_OPEN]! > 0) return true;
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++) {
      if (this.registersOf(cpu).get(CpuWord.STATUS) === Status.BLOCKED) return true;
    }
    return false;
  }

  #handOver(cpu: number, command: Baton): void {
    const word = this.registersOf(cpu).base + CpuWord.BATON;
    Atomics.store(this.i32, word, command);
    Atomics.notify(this.i32, word);
  }

  #awaitBaton(): Baton {
    const { i32 } = this;
    for (;;) {
      const word = this.registers.base + CpuWord.BATON;
      // Look before sleeping: the baton may be here already. Pairs with the store, then notify, in #handOver().
      while (Atomics.load(i32, word) === Baton.NONE) Atomics.wait(i32, word, Baton.NONE);
      const command = Atomics.exchange(i32, word, Baton.NONE) as Baton;
      // Thread exchange: this thread is another CPU now, whatever the command: the host may have written STOP over it.
      const context = this.contextIndex;
      if (i32[context + ContextWord.CPU] !== this.cpu) {
        this.become(i32[context + ContextWord.CPU]!);
        Atomics.store(i32, context + ContextWord.MOVING, 0);
        Atomics.notify(i32, context + ContextWord.MOVING);
      }
      if (command !== Baton.BECOME) return command;
    }
  }
}

/** Nobody is runnable, or the run has reached its limit: the host goes on. */
const AT_REST = -1;
