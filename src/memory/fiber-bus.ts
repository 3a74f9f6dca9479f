/**
 * The deterministic bus of a CPU that shares its thread with all others (room fibers): where the baton goes to somebody
 * else it cannot block, so the operation is left undone and its caller is suspended (base/resumable.ts).
 */
import { assert } from '#base/assert';
import type { Actor, Policy } from '#base/strategy';
import { giveUp, plainCalls } from '#base/plain-calls';
import { type Resumable, progress, resumable, twinOf } from '#base/resumable';
import { WATCH_MAX } from '#base/limits';
import type { AccessKind } from '#trace/events';
import { OpType } from '#trace/operations';
import { machineWord } from './base-bus.ts';
import type { BusClient } from './bus.ts';
import { DeterministicBus } from './deterministic-bus.ts';
import type { Baton } from './layout.ts';
import {
  CONTEXT_BYTES,
  CONTEXT_STACK,
  ContextWord,
  CpuWord,
  type Geometry,
  MachineWord,
  PAGE_SIZE,
  Status,
} from './layout.ts';
import { AT_REST, NEEDS_DRAIN } from './scheduler-core.ts';
import type { Trail } from './trail.ts';

/** The CPUs of a machine that share a thread. */
export interface FiberGroup {
  /** That CPU's baton word was written: it goes on next. */
  wake(cpu: number): void;
  /** The bus of whoever is that CPU now looks at its condition again, on that CPU's behalf. */
  look(cpu: number): void;
}

const ORPHANS = machineWord(MachineWord.ORPHANS);
/** Bytes that a CPU leaves in one piece, and are kept. */
const PIECE_MAX = 256;

type IdleBus = Pick<FiberBus, 'cpu' | 'i32' | 'registers' | 'watchKinds'>;

interface Fault {
  readonly address: number;
  readonly size: number;
  readonly write: boolean;
}

/** Code that cannot be suspended performed an operation: nobody can say what it went on with. */
export class NotResumableError extends Error {
  constructor() {
    super(
      'shared memory was used where a CPU cannot be suspended: in a function that the host calls back, a getter, or a constructor. ' +
        'Write a loop instead, or search with --executor threads',
    );
    this.name = 'NotResumableError';
  }
}

/**
 * What the idle loop's condition read when it was looked at last, and what it answered: words that the wait depends on,
 * and words of this CPU's own, which nobody else writes while it waits but which differ from one wait to the next.
 */
class IdleMemo {
  readonly #words = new Int32Array(WATCH_MAX);
  readonly #values = new Int32Array(WATCH_MAX);
  readonly #kinds = new Uint8Array(WATCH_MAX);
  readonly #ownWords = new Int32Array(WATCH_MAX);
  readonly #ownValues = new Int32Array(WATCH_MAX);
  #cpu = -1;
  #count = 0;
  #ownCount = 0;
  #filter = 0;
  #holds = false;
  isLooking = false;

  /** The answer, with what the wait depends on, as if the condition had been looked at; undefined if it has to be. */
  answer({ cpu, i32, registers, watchKinds }: IdleBus): boolean | undefined {
    if (this.#cpu !== cpu) return undefined;
    const count = this.#count;
    for (let index = 0; index < count; index++)
      if (i32[this.#words[index]!] !== this.#values[index]) return undefined;
    for (let index = 0; index < this.#ownCount; index++)
      if (i32[this.#ownWords[index]!] !== this.#ownValues[index]) return undefined;
    const { base } = registers;
    i32[base + CpuWord.WATCH_COUNT] = count;
    i32[base + CpuWord.WATCH_FILTER] = this.#filter;
    for (let index = 0; index < count; index++) {
      i32[base + CpuWord.WATCH_LIST + index] = this.#words[index]!;
      watchKinds[index] = this.#kinds[index]!;
    }
    return this.#holds;
  }

  begin(): void {
    this.isLooking = true;
    this.#ownCount = 0;
  }

  /** It reads a word of its CPU's own. */
  own(word: number, value: number): void {
    if (this.#ownCount < WATCH_MAX) {
      this.#ownWords[this.#ownCount] = word;
      this.#ownValues[this.#ownCount] = value;
    }
    this.#ownCount++;
  }

  /** It has been looked at, and holds or not. */
  keep({ cpu, i32, registers, watchKinds }: IdleBus, holds: boolean): boolean {
    this.isLooking = false;
    // Where tasks look for another CPU, more is looked at than is noted.
    this.#cpu = this.#ownCount > WATCH_MAX || i32[ORPHANS] !== 0 ? -1 : cpu;
    this.#holds = holds;
    this.#count = registers.get(CpuWord.WATCH_COUNT);
    this.#filter = registers.get(CpuWord.WATCH_FILTER);
    for (let index = 0; index < this.#count; index++) {
      const word = registers.get(CpuWord.WATCH_LIST + index);
      this.#words[index] = word;
      this.#values[index] = i32[word]!;
      this.#kinds[index] = watchKinds[index]!;
    }
    return holds;
  }
}

export class FiberBus extends DeterministicBus {
  readonly #group: FiberGroup;
  /** Whom the policy chose in front of the step that is published. */
  #chosen: Actor = AT_REST;
  /** The step has been chosen: the operation that published it is done again now. */
  #granted = false;
  #fault: Fault | undefined;
  readonly #idle = new IdleMemo();
  #trail: Trail | undefined;
  /** Bytes that are all the same, for trails. */
  readonly #filled = new Map<number, Uint8Array>();

  constructor(
    buffer: ArrayBufferLike,
    layout: Geometry,
    cpu: number,
    client: BusClient,
    policies: (number: number) => Policy,
    group: FiberGroup,
  ) {
    super(buffer, layout, cpu, client, policies);
    this.#group = group;
  }

  /** Set in runs that are learnt from. */
  get trail(): Trail | undefined {
    return this.#trail;
  }

  set trail(trail: Trail | undefined) {
    this.#trail = trail;
    this.isFollowed = trail !== undefined;
  }

  /** Whom the policy chose when this CPU parked in front of a step: an actor, or AT_REST. */
  get chosen(): Actor {
    return this.#chosen;
  }

  /** Whether it is a fault that parked this CPU, and not a step. */
  get hasFaulted(): boolean {
    return this.#fault !== undefined;
  }

  /** The fault that parked this CPU, as the code that takes it. */
  takeFault(): Resumable {
    const fault = this.#fault!;
    this.#fault = undefined;
    return twinOf(this.client.fault)!.call(this.client, fault.address, fault.size, fault.write);
  }

  /** What has to run until the operation that parked this CPU can be done again: it was somebody else's turn. */
  unpark(): Resumable {
    return twinOf(this.finishStep)!.call(this, this.#chosen);
  }

  /** The same where this CPU has been told what to do: it is in front of the step. */
  unparkWith(command: Baton): Resumable {
    return twinOf(this.continueStep)!.call(this, command);
  }

  /** The parked step is this CPU's now: the operation may be done again. */
  grant(): void {
    this.registers.set(CpuWord.STATUS, Status.RUNNING);
    this.stepGranted();
  }

  /** An interrupt of a CPU that is idle. */
  interrupt(command: Baton): Resumable {
    return twinOf(this.obey)!.call(this, command);
  }

  /** A condition is a function of what it reads: where that is what it was last time, it answers the same. */
  override beIdle(condition: () => boolean): void {
    if (this.beIdleAsBefore(condition)) return;
    if (this.#isRemembered) this.hasLooked(this.#lookAnew(condition));
    else this.lookAgain();
  }

  /** The same, or false, if the condition has to be looked at. */
  beIdleAsBefore(condition: () => boolean): boolean {
    this.isIdle(condition);
    const holds = this.#isRemembered ? this.#idle.answer(this) : undefined;
    if (holds === undefined) return false;
    this.hasLooked(holds);
    return true;
  }

  get #isRemembered(): boolean {
    return this.registers.get(CpuWord.FLOW_PENDING) === 0 && this.core.buffers.count(this.cpu) === 0;
  }

  #lookAnew(condition: () => boolean): boolean {
    this.#idle.begin();
    return this.#idle.keep(this, this.look(condition));
  }

  override loadLocal32(address: number): number {
    const value = super.loadLocal32(address);
    if (this.#idle.isLooking) this.#idle.own(address >>> 2, value | 0);
    else if (this.#trail !== undefined) {
      if (this.isWatching) this.#trail.lookedOwn(address, value);
      else if (!this.#isOfCalls(address)) this.#trail.looked(address, value);
    }
    return value;
  }

  override goOff(): void {
    super.goOff();
  }

  override startGranted(): void {
    super.startGranted();
  }

  override storeLocal32(address: number, value: number): void {
    super.storeLocal32(address, value);
    this.#trail?.left(address, value);
  }

  override storeLocalBytes(address: number, bytes: Uint8Array): void {
    super.storeLocalBytes(address, bytes);
    if (this.#trail !== undefined) this.#leftBytes(this.#trail, address, bytes.length);
  }

  #leftBytes(trail: Trail, address: number, length: number): void {
    if (((address | length) & 3) !== 0 || length > PIECE_MAX) trail.lose();
    else for (let at = address; at < address + length; at += 4) trail.left(at, this.i32[at >>> 2]!);
  }

  override interruptWaits(): boolean {
    if (!this.isWatching) this.#trail?.lose();
    return super.interruptWaits();
  }

  override tally32(address: number, operand: number): number {
    this.#trail?.looked(address, this.i32[address >>> 2]!);
    this.#trail?.tallied(address, operand);
    return super.tally32(address, operand);
  }

  override count32(address: number, operand: number): void {
    this.#trail?.tallied(address, operand);
    super.tally32(address, operand);
  }

  override peek32(address: number): number {
    const value = super.peek32(address);
    if (!this.isWatching) this.#trail?.looked(address, value);
    return value;
  }

  // What is wider than a word is not in the log: said before it is stored, and after it was loaded.

  override storeBytes(address: number, bytes: Uint8Array): void {
    this.#trail?.stores(bytes.slice(), false);
    super.storeBytes(address, bytes);
  }

  override fill(address: number, byte: number, length: number): void {
    if (this.#trail !== undefined) this.#fills(this.#trail, byte, length);
    super.fill(address, byte, length);
  }

  #fills(trail: Trail, byte: number, length: number): void {
    if (length > PAGE_SIZE) {
      trail.lose();
      return;
    }
    const key = byte * (PAGE_SIZE + 1) + length;
    let bytes = this.#filled.get(key);
    if (bytes === undefined) this.#filled.set(key, (bytes = new Uint8Array(length).fill(byte)));
    trail.stores(bytes, false);
  }

  override store64Marked(address: number, value: bigint, kind: AccessKind): void {
    this.#trail?.stores(new Uint8Array(BigInt64Array.of(value).buffer), true);
    super.store64Marked(address, value, kind);
  }

  override loadBytes(address: number, length: number): Uint8Array {
    const bytes = super.loadBytes(address, length);
    if (this.#trail !== undefined && !resumable.parked) this.#trail.loaded(bytes);
    return bytes;
  }

  override load64Marked(address: number, kind: AccessKind): bigint {
    const value = super.load64Marked(address, kind);
    if (this.#trail !== undefined && !resumable.parked && !this.isWatching && !this.isUnseen)
      this.#trail.loaded(new Uint8Array(BigInt64Array.of(value).buffer));
    return value;
  }

  override unseen(condition: () => boolean): boolean {
    if (!this.isWatching) this.#trail?.lose();
    return super.unseen(condition);
  }

  protected override swapContexts(context: number): void {
    this.#trail?.lose();
    super.swapContexts(context);
  }

  override endIdle(): void {
    super.endIdle();
  }

  /** The next command of this CPU, told without a choice of its own. */
  override commandFor(actor: Actor): Baton {
    return super.commandFor(actor);
  }

  /** A new run begins, and this CPU's stack is empty: it is idle, until its flow begins. */
  beginRun(idle: () => boolean): void {
    this.adoptRun();
    this.isIdle(idle);
    this.#granted = false;
    this.#fault = undefined;
  }

  /** The next step it asks for is the one that was parked. */
  protected override stepGranted(): void {
    this.#granted = true;
    this.#trail?.again();
  }

  protected override look(condition: () => boolean): boolean {
    this.#trail?.beginLook();
    return super.look(condition);
  }

  protected override hasLooked(holds: boolean): void {
    super.hasLooked(holds);
    if (this.#trail === undefined || this.isIdling) return;
    // Tasks look for another CPU.
    if (this.i32[ORPHANS] !== 0) this.#trail.lose();
    this.#trail.waits(this.site(), this.#calls, holds, this.watchKinds);
  }

  protected override interruptComes(): void {
    this.#trail?.enter();
  }

  protected override interruptIsOver(): void {
    this.#trail?.leave();
  }

  /** A number for the calls on this context's stack. */
  get #calls(): number {
    const { i32, contextIndex } = this;
    const end = contextIndex + ContextWord.CALLS + i32[contextIndex + ContextWord.DEPTH]! * 2;
    let hash = i32[contextIndex + ContextWord.STACK_POINTER]!;
    for (let word = contextIndex + ContextWord.CALLS; word < end; word++) hash = mixed(hash, i32[word]!);
    return hash;
  }

  /** Whether a word says what is on a stack of calls: each flow knows that of its own. */
  #isOfCalls(address: number): boolean {
    const { contexts, nrPossible } = this.layout;
    if (address < contexts || address >= contexts + nrPossible * CONTEXT_BYTES) return false;
    const at = (address - contexts) % CONTEXT_BYTES;
    return at < ContextWord.CPU * 4 || (at >= ContextWord.CALLS * 4 && at < CONTEXT_STACK);
  }

  lookOnBehalf(): void {
    this.lookAgain();
  }

  override recheck(cpu: number): void {
    this.#group.look(cpu);
  }

  protected override step(head: number, address: number, size: number, visible: boolean): boolean {
    if (this.isUnseen) return true;
    progress();
    if (this.#granted) {
      this.#granted = false;
      this.mustAsk = false;
      if (!this.#isPublished(head, address)) throw new NotResumableError();
      this.#trail?.granted();
      return true;
    }
    assert(!this.isWatching, 'DeterministicBus: a condition may only read');
    if (resumable.parked) {
      if (plainCalls.failed) giveUp();
      resumable.parked = false;
      throw new NotResumableError();
    }
    this.#trail?.stand(this.site(), this.#calls);
    const { actor, core, registers } = this;
    core.publish(actor, head, address, size, visible);
    registers.set(CpuWord.STATUS, Status.READY);
    const chosen = core.decide();
    if (chosen === actor) {
      registers.set(CpuWord.STATUS, Status.RUNNING);
      return true;
    }
    if (plainCalls.running) this.#giveUp();
    this.#chosen = chosen;
    this.mustAsk = true;
    resumable.parked = true;
    return false;
  }

  /** Whether that is the step that was granted: what was parked has to be what is done again. */
  #isPublished(head: number, address: number): boolean {
    const { actor, core } = this;
    // By now the store buffer may have drained.
    const same = ((core.nextHead[actor]! ^ head) & ~NEEDS_DRAIN) === 0;
    // An interrupt flag is that of the CPU the task has been taken to meanwhile.
    return same && (core.nextAddress[actor] === address >>> 0 || (head & 0xff) === OpType.IRQ_FLAG);
  }

  /** From here on nothing goes without being asked for: a plain call may catch what is thrown. */
  #giveUp(): never {
    this.mustAsk = true;
    giveUp();
  }

  protected override raiseFault(address: number, size: number, write: boolean): void {
    this.#trail?.lose();
    if (this.isWatching || this.isUnseen) super.raiseFault(address, size, write);
    if (plainCalls.running) this.#giveUp();
    this.#fault = { address, size, write };
    resumable.parked = true;
  }

  protected override handOver(cpu: number, command: Baton): void {
    this.i32[this.registersOf(cpu).base + CpuWord.BATON] = command;
    this.#group.wake(cpu);
  }
}

function mixed(hash: number, word: number): number {
  const mix = Math.imul(hash ^ word, 0x85ebca6b);
  return mix ^ (mix >>> 15);
}
