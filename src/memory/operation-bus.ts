/**
 * What every operation of a deterministic machine does: publish itself and let the policy say who goes next (`step`), look
 * at the address, touch memory or the store buffer, wake who waits for it, write the log. What a CPU waits on while
 * somebody else goes is its subclasses' business.
 *
 * A step that is not this CPU's yet may answer false instead of blocking. Then the operation has had no effect, what it
 * answers means nothing, and its caller does it again when the step is granted: so nothing may come before the step that
 * cannot be done twice.
 */
import { assert } from '#base/assert';
import { WATCH_MAX } from '#base/limits';
import { progress } from '#base/resumable';
import { type Actor, Flow, type Policy } from '#base/strategy';
import { AccessKind, EventType, LockOperation } from '#trace/events';
import { OpFlag, OpType } from '#trace/operations';
import { BaseBus, machineWord } from './base-bus.ts';
import type { BusClient } from './bus.ts';
import {
  ContextWord,
  CpuWord,
  type Geometry,
  MachineWord,
  MemoryModel,
  PAGE_SIZE,
  PENDING_MASKABLE,
  Pending,
  PowerState,
  RunEnd,
  SearchWord,
  Status,
  TraceMask,
  watchBit,
} from './layout.ts';
import { Ownership } from './ownership.ts';
import { type CoreClient, NEEDS_DRAIN, SchedulerCore } from './scheduler-core.ts';
import { BufferWord, LINE_SHIFT, searchRegion } from './search.ts';
import { searchWord } from './search-words.ts';
import { NOT_BUFFERED, PARTLY_BUFFERED } from './store-buffer.ts';

const TRACE_MASK = machineWord(MachineWord.TRACE_MASK);
const RUN_END = machineWord(MachineWord.RUN_END);
const ORPHANS = machineWord(MachineWord.ORPHANS);
const ON = searchWord(SearchWord.ON);
const STEP_FLAGS = searchWord(SearchWord.STEP_FLAGS);
const MODEL = searchWord(SearchWord.MEMORY_MODEL);
const STOP_AT_FINDING = searchWord(SearchWord.STOP_AT_FINDING);

/** What the first halves of operations answer where a word of memory, unsigned, could stand. */
const IN_MEMORY = -1;
const NOT_DONE = -2;

const NO_BYTES = new Uint8Array(0);

/** Left-out arguments and comparisons become numbers; an object would become zero. */
function refuseObject(value: unknown): void {
  if (value === undefined || typeof value === 'boolean') return;
  throw new TypeError(`a word of memory holds a number, and no ${typeof value}`);
}

export abstract class OperationBus extends BaseBus implements CoreClient {
  readonly core: SchedulerCore;
  /** What must hold between any two steps; throws nothing, reports what does not. Set by a scenario. */
  invariant: (() => void) | undefined;
  /** Set while this CPU has been told to begin its flow. */
  flowGranted = false;
  readonly #ownership: Ownership;
  /** Which lines have been written since the last restore: a byte for each, and a list that begins with its length. */
  readonly #dirty: Uint8Array;
  readonly #dirtyLines: Int32Array;
  /** True while a wait's condition is looked at: its loads are what the wait depends on. */
  #isWatching = false;
  /** True while what this thread reads is nobody's operation. */
  #isUnseen = false;
  #mustAsk = false;
  #isFollowed = false;
  /** The run is searched under sc, and nothing is recorded for views. */
  #isBare = false;
  /** That, and what reads and writes now is an operation: it takes a step, an access and a record, and nothing else. */
  #isQuick = false;
  /** AccessKind of each watched word's load. */
  readonly watchKinds: Uint8Array = new Uint8Array(WATCH_MAX);

  constructor(
    buffer: ArrayBufferLike,
    layout: Geometry,
    cpu: number,
    client: BusClient,
    policies: (number: number) => Policy,
  ) {
    super(buffer, layout, cpu, client, false);
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    const lines = layout.logCapacity > 0 ? layout.heapEnd >>> LINE_SHIFT : 0;
    this.#dirty = new Uint8Array(buffer, layout.search + region.dirty, lines);
    this.#dirtyLines = new Int32Array(buffer, layout.search + region.dirtyLines, lines === 0 ? 0 : lines + 1);
    this.#ownership = new Ownership(this.i32, layout);
    this.core = new SchedulerCore(buffer, layout, this, policies);
  }

  protected get isWatching(): boolean {
    return this.#isWatching;
  }

  protected set isWatching(on: boolean) {
    this.#isWatching = on;
    this.#settle();
  }

  protected get isUnseen(): boolean {
    return this.#isUnseen;
  }

  protected set isUnseen(on: boolean) {
    this.#isUnseen = on;
    this.#settle();
  }

  /** A run begins: how it is searched and recorded stands in memory. */
  protected beginOperations(): void {
    const { i32 } = this;
    this.#isBare = i32[ON] !== 0 && i32[MODEL] === MemoryModel.SC && i32[TRACE_MASK] === 0;
    this.#isUnseen = false;
    this.#mustAsk = false;
    this.isWatching = false;
    this.#ownership.begin();
  }

  /** The run is searched under sc, nothing is recorded for views, and nothing has to hold between any two steps. */
  get isPlain(): boolean {
    return this.#isBare && this.invariant === undefined;
  }

  /** Nothing of the run counts: what it has made known as shared is not known. */
  takeBackShared(): void {
    this.#ownership.takeBack();
  }

  /** The next operation has to ask for its step: it is one that was left undone. */
  protected set mustAsk(on: boolean) {
    this.#mustAsk = on;
    this.#settle();
  }

  /** Every operation asks for its step: somebody notes what there is in front of it. */
  protected set isFollowed(on: boolean) {
    this.#isFollowed = on;
    this.#settle();
  }

  #settle(): void {
    const isAlone = !this.#isWatching && !this.#isUnseen && !this.#mustAsk && !this.#isFollowed;
    this.#isQuick = this.#isBare && isAlone;
  }

  /** See SchedulerCore: a wait's condition is looked at again. */
  abstract recheck(cpu: number): void;

  /**
   * Publishes a step, and answers true when it is chosen, after any interrupts that were. An implementation that cannot
   * block answers false instead, and the operation is to be done again later.
   */
  protected abstract step(head: number, address: number, size: number, visible: boolean): boolean;

  /** `step`, but for steps that nobody else can notice: nearly always they are made without asking anybody. */
  #take(head: number, address: number, size: number, visible: boolean): boolean {
    if (visible || !this.#isQuick || !this.core.goOn(this.actor))
      return this.step(head, address, size, visible);
    progress();
    return true;
  }

  load8(address: number): number {
    const value = this.#load(address, 1, AccessKind.PLAIN);
    return value === IN_MEMORY ? this.#loaded(address, this.u8[address]!, AccessKind.PLAIN, 1) : value;
  }

  load16(address: number): number {
    const value = this.#load(address, 2, AccessKind.PLAIN);
    return value === IN_MEMORY ? this.#loaded(address, this.u16[address >>> 1]!, AccessKind.PLAIN, 2) : value;
  }

  load32(address: number): number {
    return this.load32Marked(address, AccessKind.PLAIN);
  }

  load64(address: number): bigint {
    return this.load64Marked(address, AccessKind.PLAIN);
  }

  load32Marked(address: number, kind: AccessKind): number {
    if (this.#isQuick && this.#isWord(address)) {
      const visible = this.#ownership.claimWord(this.actor, address >>> 2);
      if (!this.#take(OpType.LOAD | (kind << 8), address, 4, visible)) return 0;
      const value = this.u32[address >>> 2]!;
      this.log(OpType.LOAD, kind, address, 4, value | 0, 0);
      return value;
    }
    const value = this.#load(address, 4, kind);
    return value === IN_MEMORY ? this.#loaded(address, this.u32[address >>> 2]!, kind, 4) : value;
  }

  load64Marked(address: number, kind: AccessKind): bigint {
    const low = this.#load(address, 8, kind);
    if (low === NOT_DONE) return 0n;
    if (low !== IN_MEMORY) return this.#forwarded64(address);
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
    if (this.#isQuick && this.#isWord(address)) {
      const visible = this.#ownership.claimWord(this.actor, address >>> 2);
      if (!this.#take(OpType.STORE | (kind << 8), address, 4, visible)) return;
      const before = this.i32[address >>> 2]!;
      this.i32[address >>> 2] = value;
      this.written(address, 4);
      this.core.wake(address, 4);
      this.log(OpType.STORE, kind, address, 4, before, value | 0);
      return;
    }
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
    if (before === NOT_DONE) return 0;
    return this.#rmwEnds(address, before, before + operand);
  }

  and32(address: number, operand: number): number {
    const before = this.#rmwBegins(address);
    if (before === NOT_DONE) return 0;
    return this.#rmwEnds(address, before, before & operand);
  }

  or32(address: number, operand: number): number {
    const before = this.#rmwBegins(address);
    if (before === NOT_DONE) return 0;
    return this.#rmwEnds(address, before, before | operand);
  }

  exchange32(address: number, value: number): number {
    const before = this.#rmwBegins(address);
    if (before === NOT_DONE) return 0;
    return this.#rmwEnds(address, before, value);
  }

  compareExchange32(address: number, expected: number, value: number): number {
    const before = this.#rmwBegins(address);
    if (before === NOT_DONE) return 0;
    return this.#rmwEnds(address, before, before === expected >>> 0 ? value : before);
  }

  update<T extends number | bigint>(address: number, size: number, change: (before: T) => T): T {
    const head = OpType.RMW | (AccessKind.RMW << 8) | NEEDS_DRAIN;
    if (!this.#mayWrite(head, address, size, this.claim(address, size))) return (size === 8 ? 0n : 0) as T;
    const array: { [index: number]: number | bigint } =
      size === 8 ? this.u64 : size === 4 ? this.u32 : size === 2 ? this.u16 : this.u8;
    const index = address / size;
    const before = array[index] as T;
    array[index] = change(before);
    this.written(address, size);
    this.core.wake(address, size);
    const low = (value: number | bigint): number => Number(BigInt.asIntN(32, BigInt(value)));
    const after: number | bigint = array[index] ?? 0;
    this.log(OpType.RMW, AccessKind.RMW, address, size, low(before), low(after));
    this.#trace(EventType.RMW, address, low(before), low(after), AccessKind.RMW | (size << 8));
    return before;
  }

  acquire32(address: number, value: number): void {
    const visible = this.claim(address, 4);
    if (this.u32[address >>> 2] !== 0) this.emit(EventType.LOCK, address, LockOperation.CONTENDED, 0, 0);
    const head = OpType.ACQUIRE | (AccessKind.RMW << 8) | NEEDS_DRAIN;
    // A lock that is taken is waited for, whoever else may use it.
    const isTaken = this.u32[address >>> 2] !== 0;
    const granted = isTaken
      ? this.step(head, address, 4, visible) && this.#check(address, 4, true)
      : this.#mayWrite(head, address, 4, visible);
    if (!granted) return;
    this.#rmwEnds(address, 0, value, OpType.ACQUIRE);
  }

  fence(): void {
    if (!this.#take(OpType.FENCE | NEEDS_DRAIN, 0, 0, this.#isTso())) return;
    this.log(OpType.FENCE, AccessKind.PLAIN, 0, 0, 0, 0);
    this.#trace(EventType.FENCE, 0, 0, 0, AccessKind.PLAIN);
  }

  fill(address: number, byte: number, length: number): void {
    if (!this.#take(OpType.STORE | NEEDS_DRAIN, address, length, this.claim(address, length))) return;
    if (!this.inRange(address, length, true)) return;
    this.u8.fill(byte, address, address + length);
    this.written(address, length);
    this.core.wake(address, length);
    this.log(OpType.STORE, AccessKind.PLAIN, address, length, 0, byte);
    this.#trace(EventType.BULK, address, length, byte, 0);
  }

  copy(destination: number, source: number, length: number): void {
    const visible = this.claim(source, length);
    // Both ranges as one: more than it touches, never less.
    const from = Math.min(destination, source);
    const bytes = Math.max(destination, source) + length - from;
    if (!this.#take(OpType.RMW | NEEDS_DRAIN, from, bytes, this.claim(destination, length) || visible))
      return;
    if (!this.inRange(source, length, false) || !this.inRange(destination, length, true)) return;
    this.u8.copyWithin(destination, source, source + length);
    this.written(destination, length);
    this.core.wake(destination, length);
    const first = this.i32[source >>> 2]!;
    this.log(OpType.LOAD, AccessKind.PLAIN, source, length, first, 0, OpFlag.DRAINED);
    this.more(OpType.STORE, AccessKind.PLAIN, destination, length, 0, first);
    this.#trace(EventType.BULK, destination, length, source, 1);
  }

  loadBytes(address: number, length: number): Uint8Array {
    const visible = this.claim(address, length);
    if (
      !this.#take(OpType.LOAD | NEEDS_DRAIN, address, length, visible) ||
      !this.inRange(address, length, false)
    )
      return NO_BYTES;
    this.log(OpType.LOAD, AccessKind.PLAIN, address, length, this.i32[address >>> 2]!, 0, OpFlag.DRAINED);
    this.#trace(EventType.LOAD, address, length, 0, AccessKind.PLAIN);
    return this.u8.slice(address, address + length);
  }

  storeBytes(address: number, bytes: Uint8Array): void {
    const visible = this.claim(address, bytes.length);
    if (!this.#take(OpType.STORE | NEEDS_DRAIN, address, bytes.length, visible)) return;
    if (!this.inRange(address, bytes.length, true)) return;
    this.u8.set(bytes, address);
    this.written(address, bytes.length);
    this.core.wake(address, bytes.length);
    this.log(OpType.STORE, AccessKind.PLAIN, address, bytes.length, 0, 0);
    this.#trace(EventType.BULK, address, bytes.length, 0, 2);
  }

  /** Local is what this CPU sees: its own buffered stores come first. */
  override loadLocal32(address: number): number {
    const { buffers } = this.core;
    if (buffers.count(this.cpu) > 0) {
      const at = buffers.find(this.cpu, address, 4);
      if (at !== NOT_BUFFERED && at !== PARTLY_BUFFERED) return this.bufferedWord(at, address) >>> 0;
    }
    return super.loadLocal32(address);
  }

  override storeLocal32(address: number, value: number): void {
    this.written(address, 4);
    super.storeLocal32(address, value);
  }

  override storeLocalBytes(address: number, bytes: Uint8Array): void {
    this.written(address, bytes.length);
    super.storeLocalBytes(address, bytes);
  }

  override tally32(address: number, operand: number): number {
    this.written(address, 4);
    return super.tally32(address, operand);
  }

  raise(cpu: number, pending: number): void {
    const { base } = this.registersOf(cpu);
    const address = (base + CpuWord.PENDING) * 4;
    this.claim(address, 4);
    if (!this.step(OpType.IPI | (AccessKind.RMW << 8) | NEEDS_DRAIN, address, 4, true)) return;
    if (!this.#isLost(base, pending)) this.i32[base + CpuWord.PENDING]! |= pending;
    this.core.wake(address, 4);
    if (this.i32[base + CpuWord.STATUS] === Status.OFF && this.isStarted(base)) {
      this.i32[base + CpuWord.STATUS] = Status.READY;
      this.core.publish(cpu * 4, OpType.START, 0, 0, true);
    }
    this.log(OpType.IPI, AccessKind.RMW, address, 4, cpu, pending);
  }

  /** A SIPI means something only to a CPU that waits for one. In a search it is gone at once, as on hardware. */
  #isLost(base: number, pending: number): boolean {
    if (pending !== Pending.SIPI || this.i32[ON] === 0) return false;
    return (
      (this.i32[base + CpuWord.PENDING]! & Pending.INIT) === 0 &&
      this.i32[base + CpuWord.POWER] !== PowerState.WAIT_FOR_SIPI
    );
  }

  /**
   * Whether a CPU that is off has been sent what starts it. In a search that is the SIPI: an INIT alone changes nothing that
   * others see, so the two are taken at once, and nobody can notice when.
   */
  protected isStarted(base: number): boolean {
    const pending = this.i32[base + CpuWord.PENDING]!;
    if (this.i32[ON] === 0) return (pending & (Pending.INIT | Pending.SIPI)) !== 0;
    return (pending & Pending.SIPI) !== 0;
  }

  dropInterrupts(): void {
    const address = this.pendingIndex * 4;
    this.claim(address, 4);
    // A choice, always: an interrupt that this CPU has sent to itself may come before.
    if (!this.step(OpType.IRQ_DROP | (AccessKind.RMW << 8) | NEEDS_DRAIN, address, 4, true)) return;
    const before = this.i32[this.pendingIndex]!;
    const after = before & ~PENDING_MASKABLE;
    this.i32[this.pendingIndex] = after;
    this.core.wake(address, 4);
    this.log(OpType.IRQ_DROP, AccessKind.RMW, address, 4, before, after);
  }

  interruptFlag(on: boolean): void {
    const { registers } = this;
    if (!on && registers.irqsEnabled && !this.isUnseen) {
      const address = this.pendingIndex * 4;
      // Only where interrupts come at all is it a choice whether one comes before.
      if (!this.#take(OpType.IRQ_FLAG, address, 4, this.claim(address, 4))) return;
      // The task may have been taken to another CPU meanwhile.
      this.log(OpType.IRQ_FLAG, 0, this.pendingIndex * 4, 4, 1, 0);
    }
    this.registers.set(CpuWord.IRQS_ENABLED, on ? 1 : 0);
  }

  override interruptWaits(): boolean {
    const waits = super.interruptWaits();
    const { i32, pendingIndex } = this;
    if (i32[ON] === 0 || this.isUnseen || this.isWatching || !this.claim(pendingIndex * 4, 4)) return waits;
    this.more(OpType.LOAD, AccessKind.ONCE, pendingIndex * 4, 4, i32[pendingIndex]!, 0);
    // Where nobody could go in front of the step, an interrupt could not come in time: that has to become a choice.
    if (this.core.isExhaustive && (i32[STEP_FLAGS]! & OpFlag.VISIBLE) === 0) {
      const { address, size } = this.core.log.lastStep();
      this.#ownership.share(address, size);
    }
    return waits;
  }

  preemptionOff(): void {
    const { registers } = this;
    if (
      this.isUnseen ||
      !registers.irqsEnabled ||
      registers.preemptCount !== 0 ||
      registers.hardirqCount !== 0
    )
      return;
    const address = this.pendingIndex * 4;
    if (!this.#take(OpType.IRQ_FLAG, address, 4, this.claim(address, 4))) return;
    this.log(OpType.IRQ_FLAG, 0, this.pendingIndex * 4, 4, 1, 1);
  }

  interruptEnters(vector: number): number {
    const { registers } = this;
    const flow = registers.get(CpuWord.FLOW);
    registers.set(CpuWord.FLOW, flow === Flow.MAIN ? Flow.INTERRUPT : Flow.NESTED);
    this.log(
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
    this.more(OpType.IRQ_EXIT, 0, this.pendingIndex * 4, 4, 0, 0);
    this.registers.set(CpuWord.FLOW, flow);
  }

  /** This CPU is on offer (BaseBus.standBy), as one step in a search: who takes it, and who else is, depends on when. */
  protected offer(ticket: number): void {
    const { i32, contextIndex } = this;
    const address = ORPHANS * 4;
    const isSearched = i32[ON] !== 0;
    const head = OpType.OFFER | (AccessKind.RMW << 8) | NEEDS_DRAIN;
    if (isSearched && !this.step(head, address, 4, this.claim(address, 4))) return;
    i32[ORPHANS]! += 1;
    i32[contextIndex + ContextWord.WANTS] = ticket;
    this.core.wake(address, 4);
    this.log(OpType.OFFER, AccessKind.RMW, address, 4, i32[ORPHANS]! - 1, i32[ORPHANS]!);
    this.more(OpType.OFFER, AccessKind.RMW, (contextIndex + ContextWord.WANTS) * 4, 4, 0, ticket);
  }

  /** It is not any more: part of the step that ended its wait. */
  protected withdraw(): void {
    const { i32, contextIndex } = this;
    const wants = contextIndex + ContextWord.WANTS;
    const ticket = i32[wants]!;
    i32[wants] = 0;
    i32[ORPHANS]! -= 1;
    if (i32[ON] === 0) return;
    this.core.wake(ORPHANS * 4, 4);
    this.more(OpType.OFFER, AccessKind.RMW, ORPHANS * 4, 4, i32[ORPHANS]! + 1, i32[ORPHANS]!);
    this.more(OpType.OFFER, AccessKind.RMW, wants * 4, 4, ticket, 0);
  }

  override takeTicket(find: (take: boolean) => number): number {
    const { i32, registers } = this;
    if (i32[ON] === 0) return find(true);
    const address = ORPHANS * 4;
    const head = OpType.TAKE | (AccessKind.RMW << 8) | NEEDS_DRAIN;
    if (!this.step(head, address, 4, this.claim(address, 4))) return -1;
    let context = -1;
    this.look(() => {
      context = find(false);
      return true;
    });
    const isFound = context >= 0;
    this.log(OpType.TAKE, AccessKind.RMW, address, 4, i32[ORPHANS]!, i32[ORPHANS]! - (isFound ? 1 : 0));
    this.#logWatched(registers.base);
    this.forget();
    if (!isFound) return -1;
    const left = this.registersOf(i32[context + ContextWord.CPU]!);
    this.more(OpType.GIVEN, 0, 0, 0, left.cpu, 0);
    // It was given away while it looked at these: one of them may have been a reason to stay.
    this.#logWatched(left.base);
    const wants = context + ContextWord.WANTS;
    this.more(OpType.TAKE, AccessKind.RMW, wants * 4, 4, i32[wants]!, 0);
    i32[wants] = 0;
    this.core.wake(address, 4);
    return context;
  }

  /** That the CPU whose block is at `base` looked at the words it watches, as part of this step. */
  #logWatched(base: number): void {
    const { i32 } = this;
    const count = i32[base + CpuWord.WATCH_COUNT]!;
    for (let index = 0; index < count; index++) {
      const word = i32[base + CpuWord.WATCH_LIST + index]!;
      this.claim(word * 4, 4);
      this.more(OpType.LOAD, AccessKind.ONCE, word * 4, 4, i32[word]!, 0);
    }
  }

  override unseen(condition: () => boolean): boolean {
    this.isUnseen = true;
    try {
      return condition();
    } finally {
      this.isUnseen = false;
    }
  }

  override peek32(address: number): number {
    if (this.isWatching) this.#watch(address, AccessKind.ONCE);
    return this.i32[address >>> 2]!;
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
    const last = (address + length - 1) >>> LINE_SHIFT;
    for (let line = address >>> LINE_SHIFT; line <= last; line++) {
      if (dirty[line] !== 0 || line >= dirty.length) continue;
      const lines = this.#dirtyLines;
      dirty[line] = 1;
      lines[0]! += 1;
      lines[lines[0]!] = line;
    }
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

  override get searching(): boolean {
    return this.i32[ON] !== 0;
  }

  /** The first step of this CPU's flow. */
  beginFlow(): void {
    this.flowGranted = false;
    this.registers.set(CpuWord.FLOW_PENDING, 0);
    this.registers.set(CpuWord.STATUS, Status.RUNNING);
    this.log(OpType.START, 0, 0, 0, 0, 0);
  }

  endFlow(): void {
    this.more(OpType.END, 0, 0, 0, 0, 0);
  }

  #isTso(): boolean {
    return this.i32[MODEL] === MemoryModel.TSO;
  }

  /** Whether there is such a word, whole. */
  #isWord(address: number): boolean {
    return (address & 3) === 0 && address >= PAGE_SIZE && address < this.layout.bytes;
  }

  /** Whether a step there is a choice point. */
  protected claimWord(word: number): boolean {
    return this.i32[ON] === 0 || this.#ownership.claimWord(this.actor, word);
  }

  protected claim(address: number, size: number): boolean {
    return this.i32[ON] === 0 || this.#ownership.claim(this.actor, address, size);
  }

  /**
   * The scheduling point of a load, up to where memory is read. Answers the low word of this CPU's own buffered store,
   * which is logged then, or IN_MEMORY: the caller reads memory; or NOT_DONE.
   */
  #load(address: number, size: number, kind: AccessKind): number {
    const { cpu } = this;
    if (!this.isWatching && !this.isUnseen) {
      const partly = this.core.buffers.find(cpu, address, size) === PARTLY_BUFFERED;
      const head = OpType.LOAD | (kind << 8) | (partly ? NEEDS_DRAIN : 0);
      if (!this.#take(head, address, size, this.claim(address, size))) return NOT_DONE;
    }
    if (!this.#check(address, size, false)) return NOT_DONE;
    // What must always hold is asked of memory, and not of whoever happens to hold the baton.
    if (this.isUnseen && !this.isWatching) return IN_MEMORY;
    if (this.core.buffers.count(cpu) === 0) return IN_MEMORY;
    const at = this.core.buffers.find(cpu, address, size);
    if (at === NOT_BUFFERED || at === PARTLY_BUFFERED) return IN_MEMORY;
    return this.#forward(at, address, size, kind);
  }

  #forward(at: number, address: number, size: number, kind: AccessKind): number {
    const shift = (address - this.i32[at + BufferWord.ADDRESS]!) * 8;
    const word = this.bufferedWord(at, address);
    const value = size >= 4 ? word >>> 0 : (word >>> (shift & 31)) & (size === 1 ? 0xff : 0xffff);
    if (this.isWatching) this.#watch(address, kind);
    else if (!this.isUnseen) {
      this.log(OpType.LOAD, kind, address, size, value | 0, 0, OpFlag.FORWARDED);
      this.#trace(EventType.LOAD, address, value, 0, kind | (size << 8));
    }
    return value;
  }

  /** The word of a buffered store in which `address` lies. */
  protected bufferedWord(at: number, address: number): number {
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
    if (this.isWatching) {
      this.#watch(address, kind);
      if (size === 8) this.#watch(address + 4, kind);
    } else if (!this.isUnseen) {
      this.log(OpType.LOAD, kind, address, size, value | 0, 0);
      this.#trace(EventType.LOAD, address, value, 0, kind | (size << 8));
    }
    return value;
  }

  /** The scheduling point of a store. True if it is in the buffer now, or not done; false: the caller writes memory. */
  #store(address: number, size: number, kind: AccessKind, low: number, high: number): boolean {
    if (!this.#isTso())
      return !this.#mayWrite(OpType.STORE | (kind << 8), address, size, this.claim(address, size));
    this.claim(address, size);
    if (!this.#mayWrite(OpType.BUFFER | (kind << 8), address, size, false)) return true;
    this.core.buffers.push(this.cpu, address, size, low, high, this.site(), kind);
    this.log(OpType.BUFFER, kind, address, size, 0, low);
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
    this.log(OpType.STORE, kind, address, size, before, value);
    this.#trace(EventType.STORE, address, value, high, kind | (size << 8));
  }

  /** The word before, or NOT_DONE. */
  #rmwBegins(address: number): number {
    const head = OpType.RMW | (AccessKind.RMW << 8) | NEEDS_DRAIN;
    return this.#mayWrite(head, address, 4, this.claim(address, 4)) ? this.u32[address >>> 2]! : NOT_DONE;
  }

  /** The scheduling point of a write, and whether there is memory. False: the operation is not done. */
  #mayWrite(head: number, address: number, size: number, visible: boolean): boolean {
    return this.#take(head, address, size, visible) && this.#check(address, size, true);
  }

  #rmwEnds(address: number, before: number, after: number, type: OpType = OpType.RMW): number {
    this.i32[address >>> 2] = after;
    // A failed compare-and-exchange writes what was there: nobody has to look again.
    if (this.u32[address >>> 2] !== before) {
      this.written(address, 4);
      this.core.wake(address, 4);
    }
    this.log(type, AccessKind.RMW, address, 4, before | 0, after | 0);
    this.#trace(EventType.RMW, address, before, after, AccessKind.RMW | (4 << 8));
    return before;
  }

  /** The address check comes after the scheduling point: an operation that faults has been chosen like any other. */
  #check(address: number, size: number, write: boolean): boolean {
    if (address >= PAGE_SIZE && address + size <= this.layout.bytes && address % size === 0) return true;
    this.log(write ? OpType.STORE : OpType.LOAD, 0, address, size, 0, 0, OpFlag.FAULTED);
    this.raiseFault(address, size, write);
    return false;
  }

  protected log(
    type: OpType,
    kind: number,
    address: number,
    size: number,
    read: number,
    written: number,
    flags = 0,
  ): void {
    if (this.i32[ON] === 0 || this.isUnseen) return;
    const { base } = this.registers;
    this.core.log.step(type, kind, this.actor, base, address, size, read, written, this.site(), flags);
  }

  protected more(
    type: OpType,
    kind: number,
    address: number,
    size: number,
    read: number,
    written: number,
    flags = 0,
  ): void {
    if (this.i32[ON] === 0 || this.isUnseen) return;
    const { base } = this.registers;
    this.core.log.more(type, kind, this.actor, base, address, size, read, written, this.site(), flags);
  }

  #trace(type: EventType, a: number, b: number, c: number, d: number): void {
    if ((this.i32[TRACE_MASK]! & TraceMask.OPERATIONS) !== 0 && !this.isUnseen) this.record(type, a, b, c, d);
  }

  /** Evaluates a condition and remembers what it read. Nobody runs meanwhile. */
  protected look(condition: () => boolean): boolean {
    this.forget();
    this.isWatching = true;
    try {
      return condition();
    } finally {
      this.isWatching = false;
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
    registers.set(CpuWord.WATCH_FILTER, registers.get(CpuWord.WATCH_FILTER) | watchBit(word));
    this.watchKinds[count] = kind;
  }

  protected forget(): void {
    this.registers.set(CpuWord.WATCH_COUNT, 0);
    this.registers.set(CpuWord.WATCH_FILTER, 0);
  }
}
