/**
 * Who goes next in a deterministic machine: the part that does not care what a CPU runs on. Whoever holds the baton asks;
 * everything it knows is in memory, so it does not matter who that is.
 */
import { assert } from '#base/assert';
import {
  type Actor,
  type Choice,
  Flow,
  NOBODY,
  POLICY_WORDS,
  type Policy,
  bufferActor,
  cpuOf,
  flowOf,
  interruptActor,
  mainActor,
} from '#base/strategy';
import { OpFlag, OpType } from '#trace/operations';
import {
  CPU_BLOCK_BYTES,
  CpuWord,
  type Geometry,
  MACHINE_BLOCK,
  MachineWord,
  PENDING_MASKABLE,
  RunEnd,
  SearchWord,
  Status,
  watchBit,
} from './layout.ts';
import { RunLog } from './run-log.ts';
import { SEARCH_BASE } from './search-words.ts';
import { BufferWord, searchRegion } from './search.ts';
import { StoreBuffers } from './store-buffer.ts';

const BLOCK_WORDS = CPU_BLOCK_BYTES / 4;
const MACHINE = MACHINE_BLOCK >>> 2;
const STEP = MACHINE + MachineWord.STEP;
const STEP_LIMIT = MACHINE + MachineWord.STEP_LIMIT;
const RUN_END = MACHINE + MachineWord.RUN_END;
const CLOCK_US = MACHINE + MachineWord.CLOCK_US;
const TASKS_OPEN = MACHINE + MachineWord.TASKS_OPEN;
const POLICY = MACHINE + MachineWord.POLICY;
const ON = SEARCH_BASE + SearchWord.ON;
const SEGMENTS = SEARCH_BASE + SearchWord.SEGMENTS;
const SEGMENT = SEARCH_BASE + SearchWord.SEGMENT;
const STEPS_LEFT = SEARCH_BASE + SearchWord.STEPS_LEFT;
const LAST_ACTOR = SEARCH_BASE + SearchWord.LAST_ACTOR;
const SWITCHES = SEARCH_BASE + SearchWord.SWITCHES;
const ENABLED_LOW = SEARCH_BASE + SearchWord.ENABLED_LOW;
const ENABLED_HIGH = SEARCH_BASE + SearchWord.ENABLED_HIGH;
const STEP_FLAGS = SEARCH_BASE + SearchWord.STEP_FLAGS;
const UNASKED = SEARCH_BASE + SearchWord.UNASKED;
const DIVERGED_AT = SEARCH_BASE + SearchWord.DIVERGED_AT;
const RECHECKS = SEARCH_BASE + SearchWord.RECHECKS;
const BEGUN = SEARCH_BASE + SearchWord.BEGUN;
const SETTLED = SEARCH_BASE + SearchWord.SETTLED;

/** Nobody is runnable, or the run has come to an end: the host goes on. */
export const AT_REST = -1;

/** Steps a flow makes without a choice before somebody else gets a turn. Longer than any loop that ends by itself. */
export const UNASKED_MAX = 4_096;

/** Something is out of the ordinary: who goes next is decided in as many parts as there are. */
const NOT_QUICK = -3;

/** In a published head: possible only while the CPU's store buffer is empty. */
export const NEEDS_DRAIN = 1 << 16;

/** What the core asks of the executor it is part of. */
export interface CoreClient {
  /** Looks at the condition of a CPU whose status is RECHECK, and makes it READY or not. Nobody else runs meanwhile. */
  recheck(cpu: number): void;
  /** Memory at [address, address + length) was written. */
  written(address: number, length: number): void;
  /** Whether more than one actor is known to use some of these bytes. */
  isShared(address: number, size: number): boolean;
  /** Called between two steps, if the scenario has something that must always hold. */
  invariant?: (() => void) | undefined;
  /** Records for the views. */
  traceFlush(cpu: number, address: number, low: number, high: number, kind: number, size: number): void;
}

/** Per-actor arrays of what comes next, in shared memory. */
export class SchedulerCore implements Choice {
  readonly enabled: Int32Array;
  count = 0;
  current: Actor = -1;
  step = 0;
  readonly nextHead: Int32Array;
  readonly nextAddress: Uint32Array;
  readonly nextSize: Int32Array;
  readonly nextVisible: Uint8Array;
  readonly log: RunLog;
  readonly buffers: StoreBuffers;
  readonly #i32: Int32Array;
  readonly #u8: Uint8Array;
  readonly #blocks: number;
  readonly #cpus: number;
  readonly #segments: number;
  /** Of the policy that chooses. */
  readonly policyWords: Int32Array;
  readonly #client: CoreClient;
  readonly #policies: (number: number) => Policy;
  /** As SETTLED has it, which is 0 before: number + 1. */
  #settledAs = -1;
  #policyNumber = -1;
  #policy: Policy | undefined;

  constructor(
    buffer: ArrayBufferLike,
    layout: Geometry,
    client: CoreClient,
    policies: (number: number) => Policy,
  ) {
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    const actors = layout.nrPossible * 4;
    const at = (offset: number): number => layout.search + offset;
    this.enabled = new Int32Array(actors);
    this.nextHead = new Int32Array(buffer, at(region.nextHead), actors);
    this.nextAddress = new Uint32Array(buffer, at(region.nextAddress), actors);
    this.nextSize = new Int32Array(buffer, at(region.nextSize), actors);
    this.nextVisible = new Uint8Array(buffer, at(region.nextVisible), actors);
    this.policyWords = new Int32Array(buffer, at(region.policy), POLICY_WORDS);
    this.#segments = at(region.segments) >>> 2;
    this.#i32 = new Int32Array(buffer);
    this.#u8 = new Uint8Array(buffer);
    this.#cpus = layout.nrPossible;
    this.#blocks = layout.cpuBlocks >>> 2;
    this.log = new RunLog(this.#i32, layout);
    this.buffers = new StoreBuffers(this.#i32, layout, this.#blocks, BLOCK_WORDS);
    this.#client = client;
    this.#policies = policies;
  }

  /** The run is one of a search that wants to have them all. */
  get isExhaustive(): boolean {
    return this.#policy?.isExhaustive === true;
  }

  /** Says what an actor would do next. */
  publish(actor: Actor, head: number, address: number, size: number, visible: boolean): void {
    this.nextHead[actor] = head;
    this.nextAddress[actor] = address;
    this.nextSize[actor] = size;
    this.nextVisible[actor] = visible ? 1 : 0;
  }

  /**
   * Decides who makes the next step, and makes the steps of store buffers itself. Answers a main or interrupt actor, or
   * AT_REST with RUN_END saying why.
   */
  decide(): Actor {
    const quick = this.#decideQuickly();
    if (quick !== NOT_QUICK) return quick;
    const i32 = this.#i32;
    for (;;) {
      if (i32[ON] !== 0) this.#client.invariant?.();
      if (i32[RUN_END] !== RunEnd.NONE) return AT_REST;
      const step = i32[STEP]!;
      if (step >= i32[STEP_LIMIT]!) return this.#end(RunEnd.STEP_LIMIT);
      this.step = step;
      this.current = i32[LAST_ACTOR]!;
      const actor = this.#pick();
      if (actor < 0) return AT_REST;
      this.#commit(actor);
      if (flowOf(actor) !== Flow.BUFFER) return actor;
      this.flush(cpuOf(actor));
    }
  }

  /**
   * What nearly every decision is, in one piece: no prefix to follow, nobody to look again, no store buffers and no
   * interrupts. Does exactly what the rest of `decide` would, or nothing and answers NOT_QUICK.
   */
  #decideQuickly(): Actor {
    const i32 = this.#i32;
    const step = i32[STEP]!;
    const current = i32[LAST_ACTOR]!;
    if (
      i32[SETTLED] !== this.#settledAs ||
      i32[RUN_END] !== 0 ||
      i32[RECHECKS] !== 0 ||
      step >= i32[STEP_LIMIT]! ||
      current < 0 ||
      this.#client.invariant !== undefined
    )
      return NOT_QUICK;
    const mine = this.#blocks + (current >>> 2) * BLOCK_WORDS;
    const same = (current & ~3) + i32[mine + CpuWord.FLOW]!;
    if (i32[mine + CpuWord.STATUS] === Status.READY && this.nextVisible[same] === 0)
      return this.#goOnQuickly(same, current, step, mine);
    if (!this.#collectQuickly()) return NOT_QUICK;
    const { count } = this;
    if (count === 0) return NOT_QUICK;
    this.step = step;
    this.current = current;
    i32[UNASKED] = 0;
    const policy = this.#policy!;
    const isAsked = count > 1 || policy.always === true;
    const actor = isAsked ? policy.choose(this.policyWords, this) : this.enabled[0]!;
    if (actor === NOBODY) return this.#end(RunEnd.COVERED);
    i32[STEP] = step + 1;
    if (current !== actor) {
      i32[SWITCHES]! += 1;
      i32[LAST_ACTOR] = actor;
    }
    if (this.nextVisible[actor] === 0) {
      i32[STEP_FLAGS] = 0;
      return actor;
    }
    i32[STEP_FLAGS] = OpFlag.VISIBLE;
    policy.executed?.(
      this.policyWords,
      this,
      actor,
      this.nextHead[actor]!,
      this.nextAddress[actor]!,
      this.nextSize[actor]!,
    );
    return actor;
  }

  /** Who alone chooses from here on, unless something else comes between: no prefix, nobody to look again, no end yet. */
  get settled(): Policy | undefined {
    const i32 = this.#i32;
    const isAlone =
      i32[SETTLED] === this.#settledAs &&
      i32[RUN_END] === 0 &&
      i32[RECHECKS] === 0 &&
      this.#client.invariant === undefined;
    return isAlone ? this.#policy : undefined;
  }

  /** Who can go, if nobody has more than a flow to go with: else false. */
  #collectQuickly(): boolean {
    const i32 = this.#i32;
    const { enabled, nextHead } = this;
    let count = 0;
    let low = 0;
    let high = 0;
    for (let cpu = 0, base = this.#blocks; cpu < this.#cpus; cpu++, base += BLOCK_WORDS) {
      const status = i32[base + CpuWord.STATUS]!;
      if (i32[base + CpuWord.BUFFERED] !== 0) return false;
      if (status === Status.OFF) continue;
      if ((i32[base + CpuWord.PENDING]! & PENDING_MASKABLE) !== 0 && i32[base + CpuWord.IRQS_ENABLED] !== 0)
        return false;
      if (status !== Status.READY) continue;
      const actor = cpu * 4 + i32[base + CpuWord.FLOW]!;
      if ((nextHead[actor]! & 0xff) === OpType.ACQUIRE && i32[this.nextAddress[actor]! >>> 2] !== 0) continue;
      enabled[count++] = actor;
      if (actor < 32) low |= 1 << actor;
      else if (actor < 64) high |= 1 << (actor - 32);
    }
    this.count = count;
    i32[ENABLED_LOW] = low;
    i32[ENABLED_HIGH] = high;
    return true;
  }

  /** The same where the CPU that went last stands in front of a step that nobody else can notice. */
  #goOnQuickly(same: Actor, current: Actor, step: number, base: number): Actor {
    const i32 = this.#i32;
    const isLock = (this.nextHead[same]! & 0xff) === OpType.ACQUIRE;
    if (
      i32[base + CpuWord.BUFFERED] !== 0 ||
      i32[UNASKED]! + 1 >= UNASKED_MAX ||
      (isLock && i32[this.nextAddress[same]! >>> 2] !== 0)
    )
      return NOT_QUICK;
    i32[UNASKED]! += 1;
    i32[STEP] = step + 1;
    if (current !== same) {
      i32[SWITCHES]! += 1;
      i32[LAST_ACTOR] = same;
    }
    this.#onlyEnabled(same);
    i32[STEP_FLAGS] = 0;
    return same;
  }

  /**
   * Makes a step of `actor` that nobody else can notice and that can be made, without its being published: what `decide`
   * would do, or nothing and false. Under sc alone.
   */
  goOn(actor: Actor): boolean {
    const i32 = this.#i32;
    const step = i32[STEP]!;
    const unasked = i32[UNASKED]! + 1;
    if (
      i32[LAST_ACTOR] !== actor ||
      i32[SETTLED] !== this.#settledAs ||
      i32[RUN_END] !== 0 ||
      step >= i32[STEP_LIMIT]! ||
      unasked >= UNASKED_MAX ||
      this.#client.invariant !== undefined
    )
      return false;
    i32[UNASKED] = unasked;
    i32[STEP] = step + 1;
    i32[STEP_FLAGS] = 0;
    this.#onlyEnabled(actor);
    return true;
  }

  /** Makes runnable whoever waits for a word in [address, address + length). */
  wake(address: number, length: number): void {
    const i32 = this.#i32;
    const first = address >>> 2;
    const last = (address + length - 1) >>> 2;
    const bits = first === last ? watchBit(first) : -1;
    let base = this.#blocks;
    for (let cpu = 0; cpu < this.#cpus; cpu++, base += BLOCK_WORDS) {
      if ((i32[base + CpuWord.WATCH_FILTER]! & bits) === 0) continue;
      const count = i32[base + CpuWord.WATCH_COUNT]!;
      for (let index = 0; index < count; index++) {
        const word = i32[base + CpuWord.WATCH_LIST + index]!;
        if (word < first || word > last) continue;
        const status = i32[base + CpuWord.STATUS]!;
        const looked =
          status === Status.READY &&
          (this.nextHead[cpu * 4 + i32[base + CpuWord.FLOW]!]! & 0xff) === OpType.AWAIT;
        if (looked || status === Status.BLOCKED || status === Status.IDLE) {
          i32[base + CpuWord.STATUS] = Status.RECHECK;
          i32[RECHECKS] = 1;
        }
        break;
      }
    }
  }

  /** The oldest buffered store of a CPU reaches memory. */
  flush(cpu: number): void {
    const i32 = this.#i32;
    const at = this.buffers.oldest(cpu);
    const address = i32[at + BufferWord.ADDRESS]!;
    const size = i32[at + BufferWord.SIZE]!;
    const low = i32[at + BufferWord.LOW]!;
    const high = i32[at + BufferWord.HIGH]!;
    const kind = i32[at + BufferWord.KIND]!;
    const before = size < 4 ? this.#u8[address]! : i32[address >>> 2]!;
    if (size === 1) this.#u8[address] = low;
    else if (size === 2) {
      this.#u8[address] = low;
      this.#u8[address + 1] = low >>> 8;
    } else {
      i32[address >>> 2] = low;
      if (size === 8) i32[(address >>> 2) + 1] = high;
    }
    this.buffers.shift(cpu);
    this.#client.written(address, size);
    this.wake(address, size);
    const block = this.#blocks + cpu * BLOCK_WORDS;
    if (this.log.on)
      this.log.step(
        OpType.FLUSH,
        kind,
        bufferActor(cpu),
        block,
        address,
        size,
        before,
        low,
        i32[at + BufferWord.SITE]!,
      );
    this.#client.traceFlush(cpu, address, low, high, kind, size);
  }

  #end(why: RunEnd): Actor {
    this.#i32[RUN_END] = why;
    return AT_REST;
  }

  #commit(actor: Actor): void {
    const i32 = this.#i32;
    i32[STEP]! += 1;
    if (this.current !== actor) {
      if (this.current >= 0) i32[SWITCHES]! += 1;
      i32[LAST_ACTOR] = actor;
    }
    const visible = this.nextVisible[actor] !== 0;
    i32[STEP_FLAGS] = visible ? OpFlag.VISIBLE : 0;
    if (visible) {
      this.#policy?.executed?.(
        this.policyWords,
        this,
        actor,
        this.nextHead[actor]!,
        this.nextAddress[actor]!,
        this.nextSize[actor]!,
      );
    }
  }

  #pick(): Actor {
    const i32 = this.#i32;
    const searching = i32[ON] !== 0;
    this.#usePolicy();
    if (i32[BEGUN] === 0) this.#begin();
    if (searching) {
      const forced = this.#followed();
      if (forced !== undefined) return forced;
      i32[SETTLED] = this.#settledAs;
      const same = this.#unasked();
      if (same >= 0) return this.#patient(same);
      i32[UNASKED] = 0;
    }
    for (;;) {
      this.#resolve();
      this.#collect();
      if (this.count > 0) break;
      if (!this.#passTime()) return this.#end(this.#isStuck() ? RunEnd.DEADLOCK : RunEnd.QUIESCENT);
    }
    const policy = this.#policy!;
    if (this.count === 1 && policy.always !== true) return this.enabled[0]!;
    const chosen = policy.choose(this.policyWords, this);
    if (chosen === NOBODY) return this.#end(RunEnd.COVERED);
    return chosen;
  }

  /**
   * A flow may poll memory that nobody else has touched yet: who would write it has to get a turn, though no step of this
   * one is a choice.
   */
  #patient(same: Actor): Actor {
    const i32 = this.#i32;
    i32[UNASKED]! += 1;
    if (i32[UNASKED]! < UNASKED_MAX) return same;
    i32[UNASKED] = 0;
    this.#resolve();
    this.#collect();
    for (let index = 0; index < this.count; index++) {
      if (this.enabled[index]! > this.current) return this.enabled[index]!;
    }
    return this.enabled[0]!;
  }

  #begin(): void {
    const i32 = this.#i32;
    i32[BEGUN] = 1;
    this.#policy!.begin?.(this.policyWords);
  }

  /** Another thread may have begun the run: which policy it is stands in memory. */
  #usePolicy(): void {
    const number = this.#i32[POLICY]!;
    if (number === this.#policyNumber) return;
    this.#policyNumber = number;
    this.#settledAs = number + 1;
    this.#policy = this.#policies(number);
  }

  /** The prefix's next actor, or undefined behind its end. */
  #followed(): Actor | undefined {
    const i32 = this.#i32;
    if (i32[STEPS_LEFT] === 0) {
      const segment = i32[SEGMENT]!;
      if (segment >= i32[SEGMENTS]!) return undefined;
      i32[SEGMENT] = segment + 1;
      i32[STEPS_LEFT] = i32[this.#segments + segment * 2 + 1]!;
    }
    const actor = i32[this.#segments + (i32[SEGMENT]! - 1) * 2]!;
    if (this.#unasked() !== actor) {
      this.#resolve();
      this.#collect();
      if (!this.#isEnabled(actor) && !this.#timeFor(actor)) {
        i32[DIVERGED_AT] = this.step;
        return this.#end(RunEnd.DIVERGED);
      }
    }
    i32[STEPS_LEFT]! -= 1;
    return actor;
  }

  #isEnabled(actor: Actor): boolean {
    for (let index = 0; index < this.count; index++) if (this.enabled[index] === actor) return true;
    return false;
  }

  /** A step of the prefix that simulated time has to pass for. */
  #timeFor(actor: Actor): boolean {
    while (this.count === 0) {
      if (!this.#passTime()) return false;
      this.#resolve();
      this.#collect();
    }
    return this.#isEnabled(actor);
  }

  /** Who goes on without a choice: the last actor, or its CPU's store buffer, with a step that nobody else can notice. */
  #unasked(): Actor {
    const { current } = this;
    if (current < 0) return -1;
    const cpu = cpuOf(current);
    const base = this.#blocks + cpu * BLOCK_WORDS;
    const flow = this.#i32[base + CpuWord.FLOW]!;
    const actor = cpu * 4 + flow;
    const isReady = this.#i32[base + CpuWord.STATUS] === Status.READY;
    if (isReady && this.nextVisible[actor] === 0 && this.#isPossible(cpu, actor)) {
      this.#onlyEnabled(actor);
      return actor;
    }
    if (this.#i32[base + CpuWord.BUFFERED] !== 0) {
      const buffer = bufferActor(cpu);
      this.#publishFlush(cpu, buffer);
      if (this.nextVisible[buffer] === 0) {
        this.#onlyEnabled(buffer);
        return buffer;
      }
    }
    return -1;
  }

  #onlyEnabled(actor: Actor): void {
    this.#i32[ENABLED_LOW] = actor < 32 ? 1 << actor : 0;
    this.#i32[ENABLED_HIGH] = actor >= 32 && actor < 64 ? 1 << (actor - 32) : 0;
  }

  /** Whether a published step can be made now. */
  #isPossible(cpu: number, actor: Actor): boolean {
    const head = this.nextHead[actor]!;
    if ((head & NEEDS_DRAIN) !== 0 && this.#i32[this.#blocks + cpu * BLOCK_WORDS + CpuWord.BUFFERED] !== 0)
      return false;
    const type = head & 0xff;
    if (type === OpType.ACQUIRE) return this.#i32[this.nextAddress[actor]! >>> 2] === 0;
    if (type === OpType.BUFFER) return !this.buffers.isFull(cpu);
    return true;
  }

  /** Who waits for something that was written looks again, before anybody chooses. */
  #resolve(): void {
    const i32 = this.#i32;
    if (i32[RECHECKS] === 0) return;
    i32[RECHECKS] = 0;
    let base = this.#blocks;
    for (let cpu = 0; cpu < this.#cpus; cpu++, base += BLOCK_WORDS) {
      if (i32[base + CpuWord.STATUS] !== Status.RECHECK) continue;
      this.#client.recheck(cpu);
      assert(i32[base + CpuWord.STATUS] !== Status.RECHECK, 'SchedulerCore: a CPU did not look');
    }
  }

  #collect(): void {
    const i32 = this.#i32;
    this.count = 0;
    i32[ENABLED_LOW] = 0;
    i32[ENABLED_HIGH] = 0;
    let base = this.#blocks;
    for (let cpu = 0; cpu < this.#cpus; cpu++, base += BLOCK_WORDS) {
      const status = i32[base + CpuWord.STATUS]!;
      if (status === Status.OFF) {
        // What it has stored reaches memory all the same: its last word is that it is dead.
        if (i32[base + CpuWord.BUFFERED] !== 0) this.#addFlush(cpu);
        continue;
      }
      const mayInterrupt =
        (i32[base + CpuWord.PENDING]! & PENDING_MASKABLE) !== 0 && i32[base + CpuWord.IRQS_ENABLED] !== 0;
      if (mayInterrupt || i32[base + CpuWord.BUFFERED] !== 0)
        this.#collectAll(cpu, base, status, mayInterrupt);
      else if (status === Status.READY) {
        const actor = cpu * 4 + i32[base + CpuWord.FLOW]!;
        if (this.#isPossible(cpu, actor)) this.#add(actor);
      }
    }
  }

  /** The actors of a CPU that has more than its flow, in ascending order. */
  #collectAll(cpu: number, base: number, status: number, mayInterrupt: boolean): void {
    const i32 = this.#i32;
    const flow = i32[base + CpuWord.FLOW]!;
    const buffered = i32[base + CpuWord.BUFFERED]! !== 0;
    const actor = cpu * 4 + flow;
    const interrupt = mayInterrupt && !buffered && flow !== Flow.NESTED;
    if (status === Status.READY && flow !== Flow.NESTED && this.#isPossible(cpu, actor)) this.#add(actor);
    if (interrupt && flow === Flow.MAIN) this.#add(this.#publishEntry(base, interruptActor(cpu)));
    if (buffered) this.#addFlush(cpu);
    if (interrupt && flow === Flow.INTERRUPT)
      this.#add(this.#publishEntry(base, mainActor(cpu) + Flow.NESTED));
    if (status === Status.READY && flow === Flow.NESTED && this.#isPossible(cpu, actor)) this.#add(actor);
  }

  #add(actor: Actor): void {
    this.enabled[this.count++] = actor;
    if (actor < 32) this.#i32[ENABLED_LOW]! |= 1 << actor;
    else if (actor < 64) this.#i32[ENABLED_HIGH]! |= 1 << (actor - 32);
  }

  #publishEntry(base: number, actor: Actor): Actor {
    this.publish(actor, OpType.IRQ_ENTRY, (base + CpuWord.PENDING) * 4, 4, true);
    return actor;
  }

  #addFlush(cpu: number): void {
    this.#publishFlush(cpu, bufferActor(cpu));
    this.#add(bufferActor(cpu));
  }

  #publishFlush(cpu: number, actor: Actor): void {
    const at = this.buffers.oldest(cpu);
    const i32 = this.#i32;
    const address = i32[at + BufferWord.ADDRESS]!;
    const size = i32[at + BufferWord.SIZE]!;
    const visible = i32[ON] === 0 || this.#client.isShared(address, size);
    this.publish(actor, OpType.FLUSH | (i32[at + BufferWord.KIND]! << 8), address, size, visible);
  }

  /** Nobody can go on: time jumps to the earliest deadline. False if there is none. */
  #passTime(): boolean {
    const i32 = this.#i32;
    let earliest = -1;
    let when = 0;
    let base = this.#blocks;
    for (let cpu = 0; cpu < this.#cpus; cpu++, base += BLOCK_WORDS) {
      const deadline = i32[base + CpuWord.DEADLINE_US]!;
      if (deadline === 0 || i32[base + CpuWord.STATUS] !== Status.BLOCKED) continue;
      if (earliest >= 0 && ((deadline - when) | 0) >= 0) continue;
      earliest = cpu;
      when = deadline;
    }
    if (earliest < 0) return false;
    base = this.#blocks + earliest * BLOCK_WORDS;
    i32[CLOCK_US] = when;
    i32[base + CpuWord.STATUS] = Status.READY;
    this.publish(earliest * 4 + i32[base + CpuWord.FLOW]!, OpType.TIMEOUT, 0, 0, true);
    return true;
  }

  /** At rest with work undone is a deadlock: exact, since nobody is runnable. */
  #isStuck(): boolean {
    const i32 = this.#i32;
    if (i32[TASKS_OPEN]! > 0) return true;
    let base = this.#blocks;
    for (let cpu = 0; cpu < this.#cpus; cpu++, base += BLOCK_WORDS) {
      const status = i32[base + CpuWord.STATUS]!;
      // READY and yet not enabled: in front of a lock that nobody gives back.
      if (status === Status.BLOCKED || status === Status.READY) return true;
    }
    return false;
  }
}
