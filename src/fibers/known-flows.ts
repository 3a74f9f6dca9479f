/**
 * What flows have been seen to do, as a tree for each: which step comes first, and for each value that it may read, what is
 * done then. A flow is a function of what it reads, so a run that stays within the trees needs no code of the flows at all:
 * whoever is chosen makes the step that its tree has next, in the same memory, under the same scheduler, into the same log.
 *
 * A tree is made from the log of runs of the code, and from what each CPU does there between its steps (memory/trail.ts).
 * What it cannot tell it does not have: waits, interrupts, accesses wider than a word, whatever is printed or found. A run
 * that comes to such a place, or to a value that has not been read there before, comes to nothing, and is made by code.
 */
import { type Actor, Flow, cpuOf, flowOf } from '#base/strategy';
import { machineWord } from '#memory/base-bus';
import type { FiberBus } from '#memory/fiber-bus';
import { CpuWord, MachineWord, RunEnd, SearchWord } from '#memory/layout';
import type { RunLog } from '#memory/run-log';
import { AT_REST, NEEDS_DRAIN } from '#memory/scheduler-core';
import { SHARED, searchRegion } from '#memory/search';
import { searchWord } from '#memory/search-words';
import { EventType, LockOperation } from '#trace/events';
import { OpFlag, OpType, opFlags, opHead } from '#trace/operations';
import { EdgeWord, type FlowTree, Kind, NodeWord } from './flow-tree.ts';

const CONTEXT = OpFlag.IRQS_OFF | OpFlag.HARDIRQ | OpFlag.PREEMPT_OFF;
const CONTENDED = OpType.EVENT + EventType.LOCK;

const RUN_END = machineWord(MachineWord.RUN_END);
const TASKS_OPEN = machineWord(MachineWord.TASKS_OPEN);
const STEP_FLAGS = searchWord(SearchWord.STEP_FLAGS);
const ENABLED_LOW = searchWord(SearchWord.ENABLED_LOW);
const ENABLED_HIGH = searchWord(SearchWord.ENABLED_HIGH);

export class KnownFlows {
  readonly #i32: Int32Array;
  readonly #u8: Uint8Array;
  readonly #u16: Uint16Array;
  readonly #owners: Uint16Array;
  readonly #log: RunLog;
  readonly #tree: FlowTree;
  /** Of a run: in front of which step each flow stands. */
  readonly #at: Int32Array;
  /** Flows that stand at a lock, and whether the one that went last has ended. */
  #locks = 0;
  #hasEnded = false;
  readonly #beIdle: (cpu: number) => boolean;

  /** @param beIdle the flow of a CPU has ended, and it goes to its idle loop; false if it cannot */
  constructor(tree: FlowTree, bus: FiberBus, beIdle: (cpu: number) => boolean) {
    const { layout } = bus;
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    this.#tree = tree;
    this.#i32 = bus.i32;
    this.#u8 = bus.u8;
    this.#u16 = bus.u16;
    // wall: typed-array: who has used which word: the scheduler's own, and no memory of the kernel's
    this.#owners = new Uint16Array(bus.buffer, layout.search + region.owners, layout.heapEnd >>> 2);
    this.#log = bus.core.log;
    // wall: typed-array: where flows stand, and no memory of the machine's
    this.#at = new Int32Array(layout.nrPossible);
    this.#beIdle = beIdle;
  }

  /**
   * Makes a run from its first choice on.
   * @returns true if it came to an end like others; false: it counts for nothing
   */
  run(bus: FiberBus): boolean {
    const { core } = bus;
    const at = this.#at;
    at.fill(0);
    this.#locks = 0;
    let isSteady = false;
    for (;;) {
      const actor = core.decide(isSteady);
      if (actor === AT_REST) break;
      if (flowOf(actor) !== Flow.MAIN) return false;
      const cpu = cpuOf(actor);
      let node = at[cpu]!;
      if (node === 0) {
        node = this.#tree.words[cpu]!;
        if (node === 0 || (core.nextHead[actor]! & 0xff) !== OpType.START) return false;
        if (this.#i32[bus.registersOf(cpu).base + CpuWord.FLOW_PENDING] === 0) return false;
      }
      const next = this.#make(node, actor, bus);
      if (next === 0 || !this.#goOn(next, actor, bus)) return false;
      // Who stands at a lock may go or not as others take it and give it back.
      isSteady = this.#locks === 0 && !this.#hasEnded;
    }
    const end = this.#i32[RUN_END]!;
    return end === RunEnd.QUIESCENT || end === RunEnd.COVERED;
  }

  /** Makes a step. Answers what comes then, or 0. */
  #make(node: number, actor: Actor, bus: FiberBus): number {
    const tree = this.#tree.words;
    const i32 = this.#i32;
    const head = tree[node + NodeWord.HEAD]!;
    const address = tree[node + NodeWord.ADDRESS]!;
    const size = tree[node + NodeWord.SIZE]!;
    let written = tree[node + NodeWord.WRITTEN]!;
    let read = 0;
    let next = tree[node + NodeWord.NEXT]!;
    switch (head & 0xff) {
      case OpType.LOAD: {
        read = this.#value(address, size);
        next = this.#tree.edge(next, read);
        if (next === 0) return 0;
        next = tree[next + EdgeWord.NEXT]!;
        break;
      }
      case OpType.STORE:
        read = this.#value(address, size);
        if (size === 4) i32[address >>> 2] = written;
        else if (size === 2) this.#u16[address >>> 1] = written;
        else this.#u8[address] = written;
        bus.written(address, size);
        bus.core.wake(address, size);
        break;
      case OpType.RMW: {
        read = i32[address >>> 2]!;
        next = this.#tree.edge(next, read);
        if (next === 0) return 0;
        written = tree[next + EdgeWord.WRITTEN]!;
        next = tree[next + EdgeWord.NEXT]!;
        this.#exchange(address, read, written, bus);
        break;
      }
      case OpType.ACQUIRE:
        this.#locks--;
        this.#exchange(address, 0, written, bus);
        break;
      case OpType.START:
        i32[bus.registersOf(cpuOf(actor)).base + CpuWord.FLOW_PENDING] = 0;
        break;
      default:
        read = tree[node + NodeWord.READ]!;
    }
    const isKept = this.#log.append(
      head | (i32[STEP_FLAGS]! << 11),
      address,
      size,
      read,
      written,
      tree[node + NodeWord.SITE]!,
      i32[ENABLED_LOW]!,
      i32[ENABLED_HIGH]!,
    );
    return isKept ? next : 0;
  }

  /** From behind a step to in front of the next one, or to the end. False if that is not known. */
  #goOn(from: number, actor: Actor, bus: FiberBus): boolean {
    const tree = this.#tree.words;
    const i32 = this.#i32;
    this.#hasEnded = false;
    for (let node = from; node !== 0;) {
      const address = tree[node + NodeWord.ADDRESS]!;
      switch (tree[node]!) {
        case Kind.STEP:
          return this.#stand(node, actor, bus);
        case Kind.MORE: {
          const isKept = this.#log.append(
            tree[node + NodeWord.HEAD]!,
            address,
            tree[node + NodeWord.SIZE]!,
            tree[node + NodeWord.READ]!,
            tree[node + NodeWord.WRITTEN]!,
            tree[node + NodeWord.SITE]!,
            0,
            0,
          );
          if (!isKept) return false;
          node = tree[node + NodeWord.NEXT]!;
          break;
        }
        case Kind.LOOK: {
          const edge = this.#tree.edge(tree[node + NodeWord.NEXT]!, i32[address >>> 2]!);
          if (edge === 0) return false;
          node = tree[edge + EdgeWord.NEXT]!;
          break;
        }
        case Kind.LEAVE:
          i32[address >>> 2] = tree[node + NodeWord.WRITTEN]!;
          // Registers go back to their start whether written or not.
          if (tree[node + NodeWord.SIZE] !== 0) bus.written(address, 4);
          node = tree[node + NodeWord.NEXT]!;
          break;
        default:
          i32[TASKS_OPEN]! -= 1;
          this.#hasEnded = true;
          return this.#beIdle(cpuOf(actor));
      }
    }
    return false;
  }

  /** In front of a step: says so, as the code would. */
  #stand(node: number, actor: Actor, bus: FiberBus): boolean {
    const tree = this.#tree.words;
    const i32 = this.#i32;
    const { core } = bus;
    const head = tree[node + NodeWord.HEAD]!;
    const address = tree[node + NodeWord.ADDRESS]!;
    const size = tree[node + NodeWord.SIZE]!;
    const type = head & 0xff;
    if (type === OpType.ACQUIRE) {
      this.#locks++;
      if (i32[address >>> 2] !== 0 && !this.#contend(node, actor)) return false;
    }
    let isVisible = false;
    if (type !== OpType.FENCE) {
      const owner = this.#owners[address >>> 2];
      isVisible = owner === SHARED;
      // That would make known what is not known yet.
      if (!isVisible && owner !== actor + 1 && owner !== undefined) return false;
    }
    core.publish(actor, publishedHead(head), address, size, isVisible);
    this.#at[cpuOf(actor)] = node;
    return true;
  }

  /** Whoever comes to a lock that is taken says so. */
  #contend(node: number, actor: Actor): boolean {
    const tree = this.#tree.words;
    const flags = opFlags(tree[node + NodeWord.HEAD]!) & CONTEXT;
    const head = opHead(CONTENDED, 0, OpFlag.CONTINUES | flags, actor);
    const address = tree[node + NodeWord.ADDRESS]!;
    return this.#log.append(head, address, LockOperation.CONTENDED, 0, 0, tree[node + NodeWord.SITE]!, 0, 0);
  }

  #value(address: number, size: number): number {
    if (size === 4) return this.#i32[address >>> 2]!;
    return size === 2 ? this.#u16[address >>> 1]! : this.#u8[address]!;
  }

  #exchange(address: number, before: number, after: number, bus: FiberBus): void {
    if (before === after) return;
    this.#i32[address >>> 2] = after;
    bus.written(address, 4);
    bus.core.wake(address, 4);
  }
}

/** What a record's step publishes: what it is, and whether it waits for stores. */
function publishedHead(head: number): number {
  const type = head & 0xff;
  const drains = type === OpType.RMW || type === OpType.ACQUIRE || type === OpType.FENCE;
  return (head & 0x7ff) | (drains ? NEEDS_DRAIN : 0);
}
