/**
 * What flows come to that is no step of theirs (known-flows.ts): waits, interrupts that are taken in front of a step or in a
 * wait, the ends of handlers and of flows. Each does to memory and to the log what the bus does where code runs.
 */
import { WATCH_MAX } from '#base/limits';
import { type Actor, Flow, cpuOf, flowOf } from '#base/strategy';
import type { FiberBus } from '#memory/fiber-bus';
import { CPU_BLOCK_BYTES, CpuWord, PENDING_MASKABLE, Status, watchBit } from '#memory/layout';
import type { SchedulerCore } from '#memory/scheduler-core';
import { SHARED, searchRegion } from '#memory/search';
import { HANDLER_LOOKS } from '#memory/trail';
import { AccessKind } from '#trace/events';
import { OpType } from '#trace/operations';
import { EdgeWord, type FlowTree, Kind, NodeWord } from './flow-tree.ts';
import type { KnownSteps } from './known-steps.ts';

const BLOCK_WORDS = CPU_BLOCK_BYTES / 4;

/** What an interrupt has come in front of: a step, a wait, or neither: the CPU is idle. */
interface Below {
  readonly step: number;
  readonly wait: number;
  readonly flow: number;
}

export class KnownRests {
  /** A condition was looked at that read what has not been read there before: nothing of the run counts. */
  hasFailed = false;
  readonly #i32: Int32Array;
  readonly #owners: Uint16Array;
  readonly #tree: FlowTree;
  readonly #core: SchedulerCore;
  readonly #steps: KnownSteps;
  readonly #beIdle: (cpu: number) => boolean;
  readonly #cpus: number;
  readonly #blocks: number;
  /** By CPU: the wait that it stands at, or 0; if it holds, what comes then; and AccessKind of each look at a watched word. */
  readonly #wait: Int32Array;
  readonly #then: Int32Array;
  readonly #kinds: Uint8Array;
  readonly #below: readonly Below[][];

  /** @param beIdle nothing is left on a CPU's stack, and it goes to its idle loop; false if it cannot */
  constructor(tree: FlowTree, bus: FiberBus, steps: KnownSteps, beIdle: (cpu: number) => boolean) {
    const { layout, core } = bus;
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    this.#tree = tree;
    this.#core = core;
    this.#steps = steps;
    this.#beIdle = beIdle;
    this.#i32 = bus.i32;
    // wall: typed-array: who has used which word: the scheduler's own, and no memory of the kernel's
    this.#owners = new Uint16Array(bus.buffer, layout.search + region.owners, layout.heapEnd >>> 2);
    this.#cpus = layout.nrPossible;
    this.#blocks = layout.cpuBlocks >>> 2;
    // wall: typed-array: where flows stand, and no memory of the machine's
    this.#wait = new Int32Array(this.#cpus);
    // wall: typed-array: the same
    this.#then = new Int32Array(this.#cpus);
    // wall: typed-array: the same
    this.#kinds = new Uint8Array(this.#cpus * WATCH_MAX);
    this.#below = Array.from({ length: this.#cpus }, () => []);
  }

  begin(): void {
    this.hasFailed = false;
    // One by one: to fill so few, or to set a length, costs a call of the host.
    for (let cpu = 0; cpu < this.#cpus; cpu++) {
      this.#wait[cpu] = 0;
      const below = this.#below[cpu]!;
      while (below.length > 0) below.pop();
    }
  }

  /** A CPU comes to a node that is not known to be a step. False: no tree knows how it goes on. */
  arrive(from: number, actor: Actor): boolean {
    const tree = this.#tree.words;
    if (tree[from] !== Kind.OVER) this.#steps.isPlain = false;
    const cpu = cpuOf(actor);
    for (let node = from; node !== 0;) {
      switch (tree[node]!) {
        case Kind.STEP:
          return this.#stand(node, actor);
        case Kind.WAIT:
          this.#wait[cpu] = node;
          return this.#lookAt(cpu);
        case Kind.OVER:
          return this.#beIdle(cpu);
        case Kind.RETURN:
          return this.#return(cpu);
        case Kind.LOOK:
          node = this.#afterLook(node);
          break;
        default:
          if (!this.#leave(node)) return false;
          node = tree[node + NodeWord.NEXT]!;
      }
    }
    return false;
  }

  /** What comes after a look at memory of the CPU's own, or 0. */
  #afterLook(node: number): number {
    const tree = this.#tree.words;
    const value = this.#i32[tree[node + NodeWord.ADDRESS]! >>> 2]!;
    const edge = this.#tree.edge(tree[node + NodeWord.NEXT]!, value);
    return edge === 0 ? 0 : tree[edge + EdgeWord.NEXT]!;
  }

  /** LEAVE, TALLY, or MORE. False if the log is full. */
  #leave(node: number): boolean {
    const tree = this.#tree.words;
    const address = tree[node + NodeWord.ADDRESS]!;
    const size = tree[node + NodeWord.SIZE]!;
    const written = tree[node + NodeWord.WRITTEN]!;
    if (tree[node] === Kind.TALLY) {
      this.#i32[address >>> 2]! += written;
      return true;
    }
    if (tree[node] === Kind.LEAVE) {
      this.#i32[address >>> 2] = written;
      return true;
    }
    const read = tree[node + NodeWord.READ]!;
    const site = tree[node + NodeWord.SITE]!;
    return this.#core.log.append(tree[node + NodeWord.HEAD]!, address, size, read, written, site, 0, 0);
  }

  #stand(node: number, actor: Actor): boolean {
    if (!this.#steps.stand(node, actor)) return false;
    this.#i32[this.#base(cpuOf(actor)) + CpuWord.STATUS] = Status.READY;
    return true;
  }

  #base(cpu: number): number {
    return this.#blocks + cpu * BLOCK_WORDS;
  }

  // ---- waits ----

  /** Looks again at what a CPU waits for. False: that is no wait of a tree's. */
  look(cpu: number): boolean {
    if (this.#wait[cpu] === 0) return false;
    this.#lookAt(cpu);
    return true;
  }

  /** The CPU can go on if its condition holds; and notes on what that depends. */
  #lookAt(cpu: number): boolean {
    const i32 = this.#i32;
    const tree = this.#tree.words;
    const base = this.#base(cpu);
    const actor = cpu * 4 + i32[base + CpuWord.FLOW]!;
    this.#forget(base);
    let least = 0;
    let most = 0;
    let visible = false;
    let count = 0;
    let node = tree[this.#wait[cpu]! + NodeWord.NEXT]!;
    for (
      ;
      node !== 0 && tree[node] !== Kind.HOLDS && tree[node] !== Kind.FAILS;
      node = this.#afterLook(node)
    ) {
      if (tree[node] !== Kind.WATCH) continue;
      const address = tree[node + NodeWord.ADDRESS]!;
      i32[base + CpuWord.WATCH_LIST + count] = address >>> 2;
      i32[base + CpuWord.WATCH_FILTER]! |= watchBit(address >>> 2);
      this.#kinds[cpu * WATCH_MAX + count] = tree[node + NodeWord.HEAD]!;
      const owner = this.#owners[address >>> 2];
      visible ||= owner === SHARED;
      // That would make known what is not known yet.
      if (owner !== SHARED && owner !== actor + 1 && owner !== undefined) this.hasFailed = true;
      least = count === 0 ? address : Math.min(least, address);
      most = Math.max(most, address + 4);
      count++;
    }
    i32[base + CpuWord.WATCH_COUNT] = count;
    const holds = node !== 0 && tree[node] === Kind.HOLDS;
    if (node === 0) this.hasFailed = true;
    this.#then[cpu] = holds ? tree[node + NodeWord.NEXT]! : 0;
    i32[base + CpuWord.STATUS] = holds ? Status.READY : Status.BLOCKED;
    this.#core.publish(actor, OpType.AWAIT | (AccessKind.ONCE << 8), least, most - least, visible);
    return !this.hasFailed;
  }

  /** Who waited has been chosen. False: no tree knows how it goes on, or it is no wait of a tree's. */
  goOn(actor: Actor): boolean {
    const i32 = this.#i32;
    const cpu = cpuOf(actor);
    const wait = this.#wait[cpu]!;
    if (wait === 0 || (this.#core.nextHead[actor]! & 0xff) !== OpType.AWAIT) return false;
    const { log } = this.#core;
    const site = this.#tree.words[wait + NodeWord.SITE]!;
    const base = this.#base(cpu);
    const count = i32[base + CpuWord.WATCH_COUNT]!;
    if (count === 0) log.step(OpType.AWAIT, AccessKind.ONCE, actor, base, 0, 0, 0, 0, site);
    for (let index = 0; index < count; index++) {
      const word = i32[base + CpuWord.WATCH_LIST + index]!;
      const kind = this.#kinds[cpu * WATCH_MAX + index]!;
      if (index === 0) log.step(OpType.AWAIT, kind, actor, base, word * 4, 4, i32[word]!, 0, site);
      else log.more(OpType.AWAIT, kind, actor, base, word * 4, 4, i32[word]!, 0, site);
    }
    this.#forget(base);
    this.#wait[cpu] = 0;
    return this.arrive(this.#then[cpu]!, actor);
  }

  #forget(base: number): void {
    this.#i32[base + CpuWord.WATCH_COUNT] = 0;
    this.#i32[base + CpuWord.WATCH_FILTER] = 0;
  }

  // ---- interrupts ----

  /** A CPU takes an interrupt in front of whatever it stands at. False: no tree knows what its handler does. */
  takeInterrupt(actor: Actor): boolean {
    const i32 = this.#i32;
    const tree = this.#tree.words;
    const cpu = cpuOf(actor);
    const base = this.#base(cpu);
    const flow = i32[base + CpuWord.FLOW]!;
    const pending = i32[base + CpuWord.PENDING]! & PENDING_MASKABLE;
    const vector = pending & -pending;
    const [step, wait] = [this.#steps.at[cpu]!, this.#wait[cpu]!];
    const place = wait === 0 ? step : wait;
    let node = this.#handler(cpu, vector, (place === 0 ? 0 : this.#tree.calls[place >>> 2]!) * 4 + flow);
    for (let looks = 0; looks < HANDLER_LOOKS && node !== 0; looks++)
      node = tree[node] === Kind.LOOK ? this.#afterLook(node) : 0;
    if (node === 0) return false;

    this.#below[cpu]!.push({ step, wait, flow });
    this.#steps.at[cpu] = 0;
    this.#wait[cpu] = 0;
    this.#forget(base);
    i32[base + CpuWord.PENDING]! &= ~vector;
    i32[base + CpuWord.IRQS_ENABLED] = 0;
    i32[base + CpuWord.INTERRUPTS + (31 - Math.clz32(vector))]! += 1;
    i32[base + CpuWord.FLOW] = flowOf(actor);
    const word = base + CpuWord.PENDING;
    const site = place === 0 ? 0 : tree[place + NodeWord.SITE]!;
    this.#core.log.step(OpType.IRQ_ENTRY, AccessKind.RMW, actor, base, word * 4, 4, vector, i32[word]!, site);
    return this.arrive(node, actor);
  }

  /** Where the tree of a handler begins, by its vector and by what it comes in front of; or 0. */
  #handler(cpu: number, vector: number, below: number): number {
    const tree = this.#tree.words;
    let node = tree[this.#cpus + cpu]!;
    for (const key of [vector, below]) {
      const edge = node === 0 ? 0 : this.#tree.edge(tree[node + NodeWord.NEXT]!, key);
      node = edge === 0 ? 0 : tree[edge + EdgeWord.NEXT]!;
    }
    return node;
  }

  /** A handler is over: what it came in front of goes on. */
  #return(cpu: number): boolean {
    const { step, wait, flow } = this.#below[cpu]!.pop()!;
    const base = this.#base(cpu);
    this.#i32[base + CpuWord.FLOW] = flow;
    this.#steps.at[cpu] = step;
    this.#wait[cpu] = wait;
    if (wait !== 0) return this.#lookAt(cpu);
    if (step === 0) return flow === Flow.MAIN && this.#beIdle(cpu);
    this.#i32[base + CpuWord.STATUS] = Status.READY;
    return true;
  }
}
