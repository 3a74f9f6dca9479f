/**
 * Steps of flows by their trees (known-flows.ts): one that has been chosen, and then as many as nothing out of the ordinary
 * comes between. Who goes next is decided here too, exactly as the scheduler would (memory/scheduler-core.ts): what it knows
 * is in local variables meanwhile, and back in memory before anybody else looks.
 */
import { ACTORS_PER_CPU, type Actor, NOBODY, type Policy, cpuOf } from '#base/strategy';
import { machineWord } from '#memory/base-bus';
import type { FiberBus } from '#memory/fiber-bus';
import {
  CPU_BLOCK_BYTES,
  CpuWord,
  MachineWord,
  PENDING_MASKABLE,
  RunEnd,
  SearchWord,
  Status,
  watchBit,
} from '#memory/layout';
import { NEEDS_DRAIN, type SchedulerCore, UNASKED_MAX } from '#memory/scheduler-core';
import { SHARED, searchRegion } from '#memory/search';
import { searchWord } from '#memory/search-words';
import { EventType, LockOperation } from '#trace/events';
import { type KnownPlaces, OP_WORDS, OpFlag, OpType, OpWord, opFlags, opHead } from '#trace/operations';
import { EdgeWord, type FlowTree, Kind, NodeWord } from './flow-tree.ts';

const BLOCK_WORDS = CPU_BLOCK_BYTES / 4;
const CONTEXT = OpFlag.IRQS_OFF | OpFlag.HARDIRQ | OpFlag.PREEMPT_OFF;
const CONTENDED = OpType.EVENT + EventType.LOCK;

const STEP = machineWord(MachineWord.STEP);
const STEP_LIMIT = machineWord(MachineWord.STEP_LIMIT);
const RUN_END = machineWord(MachineWord.RUN_END);
const LAST_ACTOR = searchWord(SearchWord.LAST_ACTOR);
const SWITCHES = searchWord(SearchWord.SWITCHES);
const UNASKED = searchWord(SearchWord.UNASKED);
const RECORDS = searchWord(SearchWord.RECORDS);
const RECHECKS = searchWord(SearchWord.RECHECKS);
const STEP_FLAGS = searchWord(SearchWord.STEP_FLAGS);
const ENABLED_LOW = searchWord(SearchWord.ENABLED_LOW);
const ENABLED_HIGH = searchWord(SearchWord.ENABLED_HIGH);

/** What came of it: the scheduler is to decide; no tree knows how it goes on. */
export const UNDECIDED = -1;
export const UNKNOWN = -2;
/** Somebody has been chosen who stands in front of no step. */
export const CHOSEN = -3;

/** Records of a run whose places are kept. */
const PLACES_MAX = 4_096;

export class KnownSteps implements KnownPlaces {
  // wall: typed-array: of records, and no memory of the machine's
  readonly places: Int32Array = new Int32Array(PLACES_MAX);
  visible = 0;
  // wall: typed-array: the same
  readonly actors: Int32Array;
  actorCount = 0;
  readonly #i32: Int32Array;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #owners: Uint16Array;
  readonly #tree: FlowTree;
  readonly #core: SchedulerCore;
  readonly #cpus: number;
  readonly #blocks: number;
  readonly #logStart: number;
  readonly #logEnd: number;
  /** Of a run: the node that each CPU stands at, 0 = it is idle, or what it comes to is no step. */
  readonly at: Int32Array;
  /** All of it have been steps on words: `places` and `visible` say what a log would. */
  isPlain = true;
  /** Bits of who could go if nothing were locked, and of the words that anybody waits for. */
  readonly #ready: Uint8Array;
  #watched = 0;

  constructor(tree: FlowTree, bus: FiberBus) {
    const { layout, core } = bus;
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    this.#tree = tree;
    this.#core = core;
    this.#i32 = bus.i32;
    this.#u8 = bus.u8;
    this.#u16 = bus.u16;
    // wall: typed-array: who has used which word: the scheduler's own, and no memory of the kernel's
    this.#owners = new Uint16Array(bus.buffer, layout.search + region.owners, layout.heapEnd >>> 2);
    this.#cpus = layout.nrPossible;
    this.#blocks = layout.cpuBlocks >>> 2;
    this.#logStart = core.log.start;
    this.#logEnd = core.log.start + layout.logCapacity * OP_WORDS;
    // wall: typed-array: where flows stand, and no memory of the machine's
    this.at = new Int32Array(layout.nrPossible);
    // wall: typed-array: the same
    this.actors = new Int32Array(layout.nrPossible);
    // wall: typed-array: the same
    this.#ready = new Uint8Array(layout.nrPossible);
  }

  get end(): number {
    return this.#tree.end;
  }

  begin(): void {
    for (let cpu = 0; cpu < this.#cpus; cpu++) this.at[cpu] = 0;
    this.isPlain = true;
    this.visible = 0;
    this.actorCount = 0;
  }

  /**
   * Makes the step of an actor that has been chosen, and what comes then.
   * @param policy who chooses next; undefined: only the one step is made
   * @returns the node of what the one that went last comes to, if that is no step (known-rests.ts); UNDECIDED, or CHOSEN, or
   *   UNKNOWN: nothing of the run counts
   */
  go(chosen: Actor, policy: Policy | undefined): number {
    // In one piece, and with all that it uses in variables: half of what a run takes is here.
    const i32 = this.#i32;
    const u8 = this.#u8;
    const u16 = this.#u16;
    const owners = this.#owners;
    const stands = this.at;
    const { places } = this;
    const core = this.#core;
    const tree = this.#tree.words;
    const logEnd = this.#logEnd;
    const { enabled, nextHead, nextAddress, nextSize, nextVisible } = core;
    const words = core.policyWords;
    const ready = this.#ready;
    const actors = this.#cpus * ACTORS_PER_CPU;
    const limit = i32[STEP_LIMIT]!;
    let isQuick = this.#look();
    const watched = this.#watched;
    let records = i32[RECORDS]!;
    let record = this.#logStart + records * OP_WORDS;
    let step = i32[STEP]!;
    let switches = i32[SWITCHES]!;
    let unasked = i32[UNASKED]!;
    let flags = i32[STEP_FLAGS]!;
    let low = i32[ENABLED_LOW]!;
    let high = i32[ENABLED_HIGH]!;
    let actor = chosen;
    // Who can go, as far as that is known.
    let isCollected = false;
    let count = 0;
    let allLow = 0;
    let allHigh = 0;
    let result = UNDECIDED;
    let { visible } = this;
    for (;;) {
      const cpu = cpuOf(actor);
      let node = stands[cpu]!;
      if (node === 0) {
        if ((nextHead[actor]! & 0xff) !== OpType.START) {
          result = CHOSEN;
          break;
        }
        node = tree[cpu]!;
        if (node === 0) return UNKNOWN;
        if (i32[this.#blocks + cpu * BLOCK_WORDS + CpuWord.FLOW_PENDING] === 0) return UNKNOWN;
      }
      if (record >= logEnd) return UNKNOWN;

      // The step.
      const head = tree[node + NodeWord.HEAD]!;
      const address = tree[node + NodeWord.ADDRESS]!;
      const size = tree[node + NodeWord.SIZE]!;
      let written = tree[node + NodeWord.WRITTEN]!;
      let read = 0;
      let next = tree[node + NodeWord.NEXT]!;
      let place = node;
      let hasWritten = false;
      switch (head & 0xff) {
        case OpType.LOAD:
        case OpType.STORE:
        case OpType.RMW:
          if (size >= 4) read = i32[address >>> 2]!;
          else read = size === 2 ? u16[address >>> 1]! : u8[address]!;
          if (size > 4) {
            next = this.#wide(node, next);
            if (next === 0) return UNKNOWN;
            hasWritten = (head & 0xff) === OpType.STORE;
            if (hasWritten && tree[node + NodeWord.READ] === 0) read = 0;
          } else if ((head & 0xff) !== OpType.STORE) {
            while (next !== 0 && tree[next] !== read) next = tree[next + EdgeWord.OTHER]!;
            if (next === 0) return UNKNOWN;
            if ((head & 0xff) === OpType.RMW) {
              place = next;
              written = tree[next + EdgeWord.WRITTEN]!;
              if (written !== read) {
                i32[address >>> 2] = written;
                hasWritten = true;
              }
            }
            next = tree[next + EdgeWord.NEXT]!;
          } else {
            if (size === 4) i32[address >>> 2] = written;
            else if (size === 2) u16[address >>> 1] = written;
            else u8[address] = written;
            hasWritten = true;
          }
          break;
        case OpType.ACQUIRE:
          if (written !== 0) {
            i32[address >>> 2] = written;
            hasWritten = true;
          }
          break;
        case OpType.START:
          i32[this.#blocks + cpu * BLOCK_WORDS + CpuWord.FLOW_PENDING] = 0;
          this.actors[this.actorCount++] = actor;
          if (flags !== 0) visible--;
          break;
        case OpType.IPI:
          read = tree[node + NodeWord.READ]!;
          if (!this.#raise(read, address, written)) return UNKNOWN;
          isQuick = false;
          break;
        default:
          read = tree[node + NodeWord.READ]!;
      }
      if (hasWritten) {
        if ((watched & ((address & 3) + size <= 4 ? watchBit(address >>> 2) : -1)) !== 0)
          core.wake(address, size);
      }
      if (flags !== 0) visible++;
      i32[record + OpWord.HEAD] = head | (flags << 11);
      i32[record + OpWord.ADDRESS] = address;
      i32[record + OpWord.SIZE] = size;
      i32[record + OpWord.READ] = read;
      i32[record + OpWord.WRITTEN] = written;
      i32[record + OpWord.SITE] = tree[node + NodeWord.SITE]!;
      i32[record + OpWord.ENABLED_LOW] = low;
      i32[record + OpWord.ENABLED_HIGH] = high;
      places[records++] = place;
      record += OP_WORDS;

      // To in front of the next one, or to the end.
      let kind = tree[next]!;
      while (next !== 0 && kind > Kind.STEP && kind <= Kind.TALLY) {
        const word = tree[next + NodeWord.ADDRESS]!;
        const then = tree[next + NodeWord.NEXT]!;
        if (kind === Kind.LEAVE) {
          i32[word >>> 2] = tree[next + NodeWord.WRITTEN]!;
          next = then;
        } else if (kind === Kind.LOOK) {
          const value = i32[word >>> 2]!;
          let edge = then;
          while (edge !== 0 && tree[edge] !== value) edge = tree[edge + EdgeWord.OTHER]!;
          if (edge === 0) return UNKNOWN;
          next = tree[edge + EdgeWord.NEXT]!;
        } else if (kind === Kind.TALLY) {
          i32[word >>> 2]! += tree[next + NodeWord.WRITTEN]!;
          next = then;
        } else {
          if (record >= logEnd) return UNKNOWN;
          i32[record + OpWord.HEAD] = tree[next + NodeWord.HEAD]!;
          i32[record + OpWord.ADDRESS] = word;
          i32[record + OpWord.SIZE] = tree[next + NodeWord.SIZE]!;
          i32[record + OpWord.READ] = tree[next + NodeWord.READ]!;
          i32[record + OpWord.WRITTEN] = tree[next + NodeWord.WRITTEN]!;
          i32[record + OpWord.SITE] = tree[next + NodeWord.SITE]!;
          i32[record + OpWord.ENABLED_LOW] = 0;
          i32[record + OpWord.ENABLED_HIGH] = 0;
          places[records++] = next;
          record += OP_WORDS;
          next = then;
        }
        kind = tree[next]!;
      }
      if (next === 0) return UNKNOWN;
      stands[cpu] = 0;
      if (kind !== Kind.STEP) {
        result = next;
        break;
      }

      // In front of it: says so, as the code would.
      const nextStep = tree[next + NodeWord.HEAD]!;
      const target = tree[next + NodeWord.ADDRESS]!;
      const type = nextStep & 0xff;
      let isVisible = false;
      if (type !== OpType.FENCE) {
        const owner = owners[target >>> 2];
        isVisible = owner === SHARED;
        // That would make known what is not known yet.
        if (!isVisible && owner !== actor + 1 && owner !== undefined) return UNKNOWN;
        if (tree[next + NodeWord.SIZE]! > 4) {
          const whose = this.#whose(next, actor);
          if (whose === UNKNOWN) return UNKNOWN;
          isVisible = whose === SHARED;
        } else if (type === OpType.IPI) isVisible = true;
      }
      if (type === OpType.ACQUIRE) {
        isCollected = false;
        if (i32[target >>> 2] !== 0) {
          if (record >= logEnd) return UNKNOWN;
          this.#contend(record, next, actor);
          places[records++] = 0;
          record += OP_WORDS;
        }
      }
      nextHead[actor] = publishedHead(nextStep);
      nextAddress[actor] = target;
      nextSize[actor] = tree[next + NodeWord.SIZE]!;
      nextVisible[actor] = isVisible ? 1 : 0;
      stands[cpu] = next;
      if (!isQuick || policy === undefined || step >= limit || (hasWritten && i32[RECHECKS] !== 0)) break;

      // Who goes next.
      if (!isVisible) {
        if (unasked + 1 >= UNASKED_MAX || (type === OpType.ACQUIRE && i32[target >>> 2] !== 0)) break;
        unasked++;
        step++;
        low = actor < 32 ? 1 << actor : 0;
        high = actor >= 32 && actor < 64 ? 1 << (actor - 32) : 0;
        flags = 0;
        continue;
      }
      if (!isCollected) {
        isCollected = true;
        count = 0;
        allLow = 0;
        allHigh = 0;
        for (let one: Actor = 0; one < actors; one += ACTORS_PER_CPU) {
          if (ready[cpuOf(one)] === 0) continue;
          if ((nextHead[one]! & 0xff) === OpType.ACQUIRE) {
            // Who stands at a lock may go or not as others take it and give it back.
            isCollected = false;
            if (i32[nextAddress[one]! >>> 2] !== 0) continue;
          }
          enabled[count++] = one;
          if (one < 32) allLow |= 1 << one;
          else if (one < 64) allHigh |= 1 << (one - 32);
        }
        core.count = count;
      }
      if (count === 0) break;
      unasked = 0;
      low = allLow;
      high = allHigh;
      core.step = step;
      core.current = actor;
      const isAsked = count > 1 || policy.always === true;
      const one = isAsked ? policy.choose(words, core) : enabled[0]!;
      if (one === NOBODY) {
        i32[RUN_END] = RunEnd.COVERED;
        break;
      }
      step++;
      if (one !== actor) switches++;
      actor = one;
      if (nextVisible[actor] === 0) {
        flags = 0;
        continue;
      }
      flags = OpFlag.VISIBLE;
      policy.executed?.(words, core, actor, nextHead[actor]!, nextAddress[actor]!, nextSize[actor]!);
    }
    this.visible = visible;
    i32[RECORDS] = records;
    i32[STEP] = step;
    i32[SWITCHES] = switches;
    i32[UNASKED] = unasked;
    i32[STEP_FLAGS] = flags;
    i32[ENABLED_LOW] = low;
    i32[ENABLED_HIGH] = high;
    i32[LAST_ACTOR] = actor;
    return result;
  }

  /**
   * Who could go if nothing were locked, and which words somebody waits for.
   * @returns whether nobody has more than a flow to go with
   */
  #look(): boolean {
    const i32 = this.#i32;
    let isPlain = true;
    let watched = 0;
    for (let cpu = 0, base = this.#blocks; cpu < this.#cpus; cpu++, base += BLOCK_WORDS) {
      const status = i32[base + CpuWord.STATUS]!;
      watched |= i32[base + CpuWord.WATCH_FILTER]!;
      this.#ready[cpu] = status === Status.READY ? 1 : 0;
      if (status === Status.OFF) continue;
      const others = i32[base + CpuWord.PENDING]! & PENDING_MASKABLE;
      if ((others | i32[base + CpuWord.BUFFERED]! | i32[base + CpuWord.FLOW]!) !== 0) isPlain = false;
    }
    this.#watched = watched;
    return isPlain;
  }

  /** Stores or loads more than a word. Answers what comes then, or 0. @param then what comes after a store, or the first edge */
  #wide(node: number, then: number): number {
    const tree = this.#tree.words;
    const address = tree[node + NodeWord.ADDRESS]!;
    const stored = this.#tree.stores[node >>> 2]!;
    this.isPlain = false;
    if (stored !== 0) {
      this.#u8.set(this.#tree.bytesOf(stored), address);
      return then;
    }
    const number = this.#tree.numberOf(this.#u8, address, tree[node + NodeWord.SIZE]!);
    const edge = number === 0 ? 0 : this.#tree.edge(then, number);
    return edge === 0 ? 0 : tree[edge + EdgeWord.NEXT]!;
  }

  /** In front of a step, where it was not a step that came before: says so, as the code would. False: that is not known. */
  stand(node: number, actor: Actor): boolean {
    const tree = this.#tree.words;
    const head = tree[node + NodeWord.HEAD]!;
    const address = tree[node + NodeWord.ADDRESS]!;
    const type = head & 0xff;
    let isVisible = false;
    const size = tree[node + NodeWord.SIZE]!;
    if (type !== OpType.FENCE) {
      const whose = this.#whose(node, actor);
      if (whose === UNKNOWN) return false;
      isVisible = whose === SHARED;
    }
    if (type === OpType.ACQUIRE && this.#i32[address >>> 2] !== 0) {
      const record = this.#logStart + this.#i32[RECORDS]! * OP_WORDS;
      if (record >= this.#logEnd) return false;
      this.#contend(record, node, actor);
      this.#i32[RECORDS]! += 1;
    }
    this.#core.publish(actor, publishedHead(head), address, size, isVisible || type === OpType.IPI);
    this.at[cpuOf(actor)] = node;
    return true;
  }

  /** SHARED, or the actor itself, if that is known of all that a step touches; or UNKNOWN. */
  #whose(node: number, actor: Actor): number {
    const tree = this.#tree.words;
    const address = tree[node + NodeWord.ADDRESS]!;
    const last = (address + tree[node + NodeWord.SIZE]! - 1) >>> 2;
    let whose = actor;
    for (let word = address >>> 2; word <= last; word++) {
      const owner = this.#owners[word];
      if (owner === SHARED) whose = SHARED;
      else if (owner !== actor + 1 && owner !== undefined) return UNKNOWN;
    }
    return whose;
  }

  /** An interrupt is sent. False: that would do more than be pending. */
  #raise(cpu: number, address: number, pending: number): boolean {
    const i32 = this.#i32;
    if (i32[this.#blocks + cpu * BLOCK_WORDS + CpuWord.STATUS] === Status.OFF) return false;
    this.isPlain = false;
    i32[address >>> 2]! |= pending;
    this.#core.wake(address, 4);
    return true;
  }

  /** Whoever comes to a lock that is taken says so. */
  #contend(record: number, node: number, actor: Actor): void {
    const tree = this.#tree.words;
    const i32 = this.#i32;
    const flags = opFlags(tree[node + NodeWord.HEAD]!) & CONTEXT;
    i32[record + OpWord.HEAD] = opHead(CONTENDED, 0, OpFlag.CONTINUES | flags, actor);
    i32[record + OpWord.ADDRESS] = tree[node + NodeWord.ADDRESS]!;
    i32[record + OpWord.SIZE] = LockOperation.CONTENDED;
    i32[record + OpWord.READ] = 0;
    i32[record + OpWord.WRITTEN] = 0;
    i32[record + OpWord.SITE] = tree[node + NodeWord.SITE]!;
    i32[record + OpWord.ENABLED_LOW] = 0;
    i32[record + OpWord.ENABLED_HIGH] = 0;
  }
}

/** What a record's step publishes: what it is, and whether it waits for stores. */
function publishedHead(head: number): number {
  const type = head & 0xff;
  const drains =
    type === OpType.RMW || type === OpType.ACQUIRE || type === OpType.FENCE || type === OpType.IPI;
  return (head & 0x7ff) | (drains ? NEEDS_DRAIN : 0);
}
