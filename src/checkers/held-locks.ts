/** Which locks each flow holds, in the order it took them. Kept over runs and reused: a clean run allocates nothing. */
import type { Actor } from '#base/strategy';

/** Locks a flow may hold at once. @linux MAX_LOCK_DEPTH */
export const LOCK_DEPTH_MAX = 48;

/** A held lock: its address, its class, the record that took it. */
const WORDS = 3;

/** The locks of a task, or of a flow that has no task. */
interface Context {
  readonly words: Float64Array;
  depth: number;
  /** Address of the task, 0 for none. */
  task: number;
}

export class HeldLocks {
  readonly #contexts: Context[] = [];
  #used = 0;
  /** By actor: contexts of the tasks that nest there, innermost last. */
  readonly #stacks: (Context[] | undefined)[] = [];
  /** Actors that have a stack in this run. */
  readonly #actors: Actor[] = [];
  /** Tasks that have left a CPU and not come back. */
  readonly #away: Context[] = [];

  reset(): void {
    if (this.#used === 0) return;
    for (const actor of this.#actors) this.#stacks[actor]!.length = 0;
    this.#actors.length = 0;
    this.#away.length = 0;
    this.#used = 0;
  }

  depth(actor: Actor): number {
    return this.#stacks[actor]?.at(-1)?.depth ?? 0;
  }

  lockAt(actor: Actor, at: number): number {
    return this.#current(actor).words[at * WORDS]!;
  }

  classAt(actor: Actor, at: number): number {
    return this.#current(actor).words[at * WORDS + 1]!;
  }

  recordAt(actor: Actor, at: number): number {
    return this.#current(actor).words[at * WORDS + 2]!;
  }

  /** Beyond LOCK_DEPTH_MAX locks are not followed any more, as in Linux, which turns itself off there. */
  take(actor: Actor, lock: number, lockClass: number, record: number): void {
    const context = this.#current(actor);
    if (context.depth === LOCK_DEPTH_MAX) return;
    const at = context.depth++ * WORDS;
    context.words[at] = lock;
    context.words[at + 1] = lockClass;
    context.words[at + 2] = record;
  }

  /** False if this flow does not hold the lock. Locks may be released in any order. */
  release(actor: Actor, lock: number): boolean {
    const { words, depth } = this.#current(actor);
    for (let at = depth - 1; at >= 0; at--) {
      if (words[at * WORDS] !== lock) continue;
      words.copyWithin(at * WORDS, (at + 1) * WORDS, depth * WORDS);
      this.#current(actor).depth = depth - 1;
      return true;
    }
    return false;
  }

  /** The record that took a lock some other flow holds; -1 if nobody does. */
  holderOf(lock: number): number {
    for (let index = 0; index < this.#used; index++) {
      const { words, depth } = this.#contexts[index]!;
      for (let at = 0; at < depth; at++) if (words[at * WORDS] === lock) return words[at * WORDS + 2]!;
    }
    return -1;
  }

  /** The flow is over: what it held is told. */
  forget(actor: Actor): void {
    const stack = this.#stacks[actor];
    if (stack === undefined) return;
    for (const context of stack) context.depth = 0;
  }

  /** A task begins on this CPU, or goes on with what it held elsewhere. */
  taskArrives(actor: Actor, task: number): void {
    const here = this.#stackOf(actor);
    const away = this.#away.findIndex((context) => context.task === task);
    here.push(away < 0 ? this.#context(task) : this.#away.splice(away, 1)[0]!);
  }

  taskLeaves(actor: Actor, task: number, ended: boolean): void {
    const stack = this.#stackOf(actor);
    const context = stack.at(-1)!;
    // The log may begin while a task runs: then what it has done so far is in the flow's own context.
    if (context.task !== task && context.task !== 0) return;
    stack.pop();
    context.task = task;
    if (ended) context.depth = 0;
    else this.#away.push(context);
  }

  eachTaskAway(say: (record: number, lock: number, lockClass: number) => void): void {
    for (const { words, depth } of this.#away) {
      for (let at = 0; at < depth; at++)
        say(words[at * WORDS + 2]!, words[at * WORDS]!, words[at * WORDS + 1]!);
    }
  }

  #current(actor: Actor): Context {
    const stack = this.#stackOf(actor);
    return stack[stack.length - 1]!;
  }

  #stackOf(actor: Actor): Context[] {
    const stack = (this.#stacks[actor] ??= []);
    if (stack.length === 0) {
      this.#actors.push(actor);
      stack.push(this.#context(0));
    }
    return stack;
  }

  #context(task: number): Context {
    const index = this.#used++;
    const context = (this.#contexts[index] ??= {
      words: new Float64Array(LOCK_DEPTH_MAX * WORDS),
      depth: 0,
      task,
    });
    context.depth = 0;
    context.task = task;
    return context;
  }
}
