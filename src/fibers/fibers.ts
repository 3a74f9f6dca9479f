/**
 * CPUs that share one thread: each is a fiber, a stack of suspended calls (base/resumable.ts), and the driver here lets one
 * go on at a time. Nobody preempts: a fiber goes on until its CPU sleeps on a word of the machine's memory, or an operation
 * is somebody else's turn.
 */
import { CpuThread, type CpuTask, serveMachine } from '#cpu-worker/fiber-cpu';
import { type Resumable, resumable, twinOf } from '#base/resumable';
import { attachBus, withBus } from '#memory/bus';
import { FiberBus, type FiberGroup } from '#memory/fiber-bus';
import { ContextWord, CpuWord, geometry } from '#memory/layout';
import { sleep } from '#memory/sleep';
import type { LoadedScenario } from '#scenario/program';
import { policyByNumber } from '#scheduler/policies';
import { attach_arch } from '#smp/arch';

class Fiber {
  readonly bus: FiberBus;
  readonly thread: CpuThread;
  /** Suspended calls, outermost first. Empty when its CPU's life is over. */
  readonly stack: Resumable[] = [];
  /** What it sleeps on. */
  words: Int32Array;
  index = 0;
  value = -1;
  readonly settle: (error?: unknown) => void;

  constructor(bus: FiberBus, thread: CpuThread, settle: (error?: unknown) => void) {
    this.bus = bus;
    this.thread = thread;
    this.words = bus.i32;
    this.settle = settle;
  }

  /** Whether memory says that it is another CPU than it knows of. */
  get isAway(): boolean {
    const { bus } = this;
    return bus.i32[bus.contextIndex + ContextWord.CPU] !== bus.cpu;
  }

  /** Whether what it sleeps on has changed. */
  get isReady(): boolean {
    return this.stack.length > 0 && this.words[this.index] !== this.value;
  }
}

/** The fiber that runs. */
let running: Fiber | undefined;

/** The twin of `sleep`: a suspended CPU, instead of a blocked thread. */
function* sleepOn(words: Int32Array, index: number, value: number): Resumable {
  const fiber = running!;
  while (words[index] === value) {
    fiber.words = words;
    fiber.index = index;
    fiber.value = value;
    yield;
  }
  return undefined;
}
(sleep as { $?: typeof sleepOn }).$ = sleepOn;

/** The fibers of one machine. */
class Group implements FiberGroup {
  /** By context: a thread's context is its for ever, whichever CPU it is. */
  readonly fibers: Fiber[] = [];
  next: Fiber | undefined;

  of(cpu: number): Fiber {
    return this.fibers[this.fibers[0]!.bus.registersOf(cpu).get(CpuWord.CONTEXT)]!;
  }

  wake(cpu: number): void {
    this.next = this.of(cpu);
  }

  look(cpu: number): void {
    const asking = running!;
    attach(this.of(cpu));
    this.of(cpu).bus.lookOnBehalf();
    attach(asking);
  }

  /** Two may sleep on one word where CPUs are exchanged: who has to become another one is the one it is meant for. */
  #anyReady(): Fiber | undefined {
    const ready = this.fibers.filter(({ isReady }) => isReady);
    return ready.find(({ isAway }) => isAway) ?? ready[0];
  }

  /** Lets CPUs go on until every one of them sleeps. */
  advance(): void {
    for (;;) {
      const named = this.next;
      this.next = undefined;
      const fiber = named?.isReady === true ? named : this.#anyReady();
      if (fiber === undefined) return;
      attach(fiber);
      go(fiber);
    }
  }
}

function attach(fiber: Fiber): void {
  if (running === fiber) return;
  running = fiber;
  attachBus(fiber.bus);
  attach_arch(fiber.thread);
}

/** Lets a fiber go on until it sleeps or is over. */
function go(fiber: Fiber): void {
  const { stack } = fiber;
  let value: unknown;
  let error: unknown;
  let hasThrown = false;
  for (;;) {
    const top = stack[stack.length - 1]!;
    let result: IteratorResult<undefined, unknown>;
    try {
      result = hasThrown ? top.throw(error) : top.next(value);
    } catch (thrown) {
      stack.pop();
      resumable.held.length = 0;
      resumable.parked = false;
      if (stack.length === 0) {
        fiber.settle(thrown);
        return;
      }
      hasThrown = true;
      error = thrown;
      continue;
    }
    hasThrown = false;
    if (result.done === true) {
      stack.pop();
      value = result.value;
      if (stack.length > 0) continue;
      fiber.settle();
      return;
    }
    const { held } = resumable;
    for (let index = held.length - 1; index >= 0; index--) stack.push(held[index]!);
    held.length = 0;
    value = undefined;
    if (!resumable.parked) return;
    resumable.parked = false;
    stack.push(fiber.bus.unpark());
  }
}

/** A pool of CPUs that are no threads: see machine/pool.ts. */
export class FiberPool {
  readonly #groups = new Map<SharedArrayBuffer, Group>();
  readonly threads = [];

  get size(): number {
    return 0;
  }

  start(task: CpuTask, signal: AbortSignal, loaded?: LoadedScenario): Promise<void> {
    let group = this.#groups.get(task.buffer);
    if (group === undefined) this.#groups.set(task.buffer, (group = new Group()));
    const made = group;
    return new Promise((resolve, reject) => {
      const layout = geometry(task.geometry);
      const thread = new CpuThread(layout);
      const bus = new FiberBus(task.buffer, layout, task.cpu, thread, policyByNumber, made);
      thread.attach(bus);
      const over = (error?: unknown): void => {
        fiber.stack.length = 0;
        if (made.fibers.every(({ stack }) => stack.length === 0)) this.#groups.delete(task.buffer);
        if (error === undefined) resolve();
        else reject(error as Error);
      };
      const fiber = new Fiber(bus, thread, over);
      fiber.stack.push(twinOf(serveMachine)!(bus, thread, loaded));
      made.fibers[task.cpu] = fiber;
      signal.addEventListener('abort', () => {
        over(new Error('its machine was ended'));
      });
    });
  }

  /** Lets the CPUs of every machine go on until all of them sleep. */
  advance(): void {
    for (const group of this.#groups.values()) {
      const [first] = group.fibers;
      if (first === undefined) continue;
      withBus(first.bus, () => {
        running = undefined;
        group.advance();
      });
      running = undefined;
    }
  }

  close(): Promise<void> {
    this.#groups.clear();
    return Promise.resolve();
  }
}
