/**
 * CPUs that share one thread: each is a fiber, a stack of suspended calls (base/resumable.ts), and a driver lets one go on
 * at a time. Nobody preempts: a fiber goes on until its CPU sleeps on a word of the machine's memory, or an operation is
 * somebody else's turn.
 */
import type { CpuThread } from '#cpu-worker/fiber-cpu';
import { noteSuspended, plainCalls } from '#base/plain-calls';
import { type Resumable, resumable } from '#base/resumable';
import { attachBus } from '#memory/bus';
import { type FiberBus, NotResumableError } from '#memory/fiber-bus';
import { ContextWord } from '#memory/layout';
import { sleep } from '#memory/sleep';
import { attach_arch } from '#smp/arch';

/** How a fiber came to stand still. */
export const Stand = {
  /** its CPU sleeps on a word of memory */
  ASLEEP: 0,
  /** in front of a step that is somebody else's turn: the bus says whose */
  PARKED: 1,
  /** its last call has returned */
  DONE: 2,
  /** its last call has thrown */
  THREW: 3,
} as const;
export type Stand = (typeof Stand)[keyof typeof Stand];

export class Fiber {
  readonly bus: FiberBus;
  readonly thread: CpuThread;
  /** Suspended calls, outermost first. */
  readonly stack: Resumable[] = [];
  stand: Stand = Stand.DONE;
  /** THREW: what. */
  error: unknown;
  /** The task of its CPU's flow while that is on the stack, 0 = it is not. */
  flow = 0;
  /** What the flow's task threw is being dealt with. */
  isFailing = false;
  /** ASLEEP: on what. */
  words: Int32Array;
  index = 0;
  value = 0;

  constructor(bus: FiberBus, thread: CpuThread) {
    this.bus = bus;
    this.thread = thread;
    this.words = bus.i32;
  }

  /** Whether what it sleeps on has changed. */
  get isReady(): boolean {
    return this.stand === Stand.ASLEEP && this.words[this.index] !== this.value;
  }

  /** Whether memory says that it is another CPU than it knows of. */
  get isAway(): boolean {
    const { bus } = this;
    return bus.i32[bus.contextIndex + ContextWord.CPU] !== bus.cpu;
  }

  /** Nothing is suspended any more: what was is forgotten, and runs no further. */
  clear(): void {
    while (this.stack.length > 0) this.stack.pop();
    this.stand = Stand.DONE;
    this.flow = 0;
    this.isFailing = false;
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

/** Generators' own methods: each kind of generator has a shape of its own, and there are too many to look them up by. */
const generator = Object.getPrototypeOf(sleepOn.prototype) as Resumable;
// oxlint-disable-next-line typescript/unbound-method -- called with what they are to go on with
const { next: goOn, throw: goOnThrowing } = generator;

/** From here on this thread is that CPU. */
export function attach(fiber: Fiber | undefined): void {
  if (running === fiber) return;
  running = fiber;
  if (fiber === undefined) return;
  attachBus(fiber.bus);
  attach_arch(fiber.thread);
}

/** Evaluates `look` as the CPU of another fiber, in the middle of this one. */
export function lookAs(fiber: Fiber, look: (fiber: Fiber) => void): void {
  const asking = running;
  attach(fiber);
  look(fiber);
  attach(asking);
}

/** Lets a fiber go on until it stands still. It is attached, and has something on its stack. */
export function go(fiber: Fiber): void {
  const { stack } = fiber;
  const { held } = resumable;
  let value: unknown;
  let hasThrown = false;
  for (;;) {
    const top = stack[stack.length - 1]!;
    let result: IteratorResult<undefined, unknown>;
    try {
      result = hasThrown ? goOnThrowing.call(top, value) : goOn.call(top, value);
      if (result.done === true && resumable.parked) throw new NotResumableError();
    } catch (thrown) {
      if (plainCalls.failed) throw thrown;
      stack.pop();
      // Here and below one by one: to set a length costs a call of the host, at every change of CPU.
      while (held.length > 0) held.pop();
      resumable.parked = false;
      value = thrown;
      hasThrown = true;
      if (stack.length > 0) continue;
      fiber.stand = Stand.THREW;
      fiber.error = thrown;
      return;
    }
    hasThrown = false;
    if (result.done === true) {
      stack.pop();
      value = result.value;
      if (stack.length > 0) continue;
      fiber.stand = Stand.DONE;
      return;
    }
    if (plainCalls.watching) for (const call of held) noteSuspended(call);
    while (held.length > 0) stack.push(held.pop()!);
    value = undefined;
    if (!resumable.parked) {
      fiber.stand = Stand.ASLEEP;
      return;
    }
    resumable.parked = false;
    if (!fiber.bus.hasFaulted) {
      fiber.stand = Stand.PARKED;
      return;
    }
    stack.push(fiber.bus.takeFault());
  }
}
