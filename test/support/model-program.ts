/**
 * Programs for the model machine: what each CPU runs, as generator functions that yield what they want done to memory.
 *
 *     function* (m) {
 *       const seen = yield m.load(X);
 *       yield m.store(X, seen + 1);
 *     }
 *
 * Words are 4 bytes, at addresses that 4 divides; values are signed 32-bit. Parts of words, and copies, have operations of their own.
 */
import { assert } from '#base/assert';
import { AccessKind } from '#trace/events';
import { OpType, STARTUP_SIGNALS } from '#trace/operations';

/** For the address of a request: this CPU's pending word. */
export const OWN_PENDING = -4;
/** For words of a wait: how many tasks ask for another CPU. */
export const ORPHANS = -8;

/** What starts a CPU that is off: both together, or the first of them and the rest. */
export type Startup = 'both' | 'init' | 'sipi';
const STARTUP_BITS: Readonly<Record<Startup, number>> = { both: STARTUP_SIGNALS, init: 0x200, sipi: 0x400 };

type Change = (before: number) => number;
/** Gets the words it waits on, in their order; the array is the machine's and good for this one look. And where it is looked at. */
type Condition = (values: readonly number[], cpu: number) => boolean;

/** One operation that a flow wants. Made anew for each, so that a flow may keep one and yield it again. */
export interface ModelRequest {
  /** OpType; 0 for `fail`, which is none. */
  readonly type: number;
  readonly kind: number;
  readonly address: number;
  readonly value: number;
  readonly change: Change | undefined;
  readonly words: readonly number[] | undefined;
  /** Bytes, if they are not 4; for a copy, where from. */
  readonly size?: number;
  readonly source?: number;
  /** A wait of a flow that asks for another CPU: over, too, when it gets one. */
  readonly isOffer?: boolean;
  /** A wait for flows that ask for a CPU: looks at what each of them wants as well. */
  readonly isWide?: boolean;
  readonly condition: Condition | undefined;
}

function request(
  type: number,
  kind: number,
  address: number,
  value: number,
  change?: Change,
  words?: readonly number[],
  condition?: Condition,
): ModelRequest {
  return { type, kind, address, value, change, words, condition };
}

/** What flows get as `m`. Each method only says what is wanted: nothing happens until the answer is yielded for. */
export class ModelOps {
  /** What `fail` was told first in this run. */
  failure: string | undefined;

  /** Answers the word. */
  load(address: number, kind: number = AccessKind.PLAIN): ModelRequest {
    return request(OpType.LOAD, kind, address, 0);
  }

  store(address: number, value: number, kind: number = AccessKind.PLAIN): ModelRequest {
    return request(OpType.STORE, kind, address, value);
  }

  /** Of 1 or 2 bytes, at an address that they divide. */
  loadPart(address: number, size: 1 | 2): ModelRequest {
    return { ...request(OpType.LOAD, AccessKind.PLAIN, address, 0), size };
  }

  storePart(address: number, size: 1 | 2, value: number): ModelRequest {
    return { ...request(OpType.STORE, AccessKind.PLAIN, address, value), size };
  }

  /** Reads so many bytes as one step, whatever their number: waits for the store buffer. Answers the first word. */
  loadBytes(address: number, size: number): ModelRequest {
    return { ...request(OpType.LOAD, AccessKind.PLAIN, address, 0), size, source: address };
  }

  /** As memset and memcpy: one step, which waits for the store buffer. */
  fill(address: number, byte: number, size: number): ModelRequest {
    return { ...request(OpType.STORE, AccessKind.PLAIN, address, byte), size, source: address };
  }

  copy(address: number, source: number, size: number): ModelRequest {
    return { ...request(OpType.RMW, AccessKind.PLAIN, address, 0), size, source };
  }

  /** Answers the word before. */
  rmw(address: number, change: Change): ModelRequest {
    return request(OpType.RMW, AccessKind.RMW, address, 0, change);
  }

  fence(): ModelRequest {
    return request(OpType.FENCE, AccessKind.PLAIN, 0, 0);
  }

  /** Possible only while the word is 0, which it makes `value`. */
  acquire(lock: number, value = 1): ModelRequest {
    return request(OpType.ACQUIRE, AccessKind.RMW, lock, value);
  }

  release(lock: number): ModelRequest {
    return request(OpType.STORE, AccessKind.RELEASE, lock, 0);
  }

  /** Possible only while the condition on these words holds. Answers the first of them. */
  await(
    words: readonly number[] | number,
    condition: Condition,
    kind: number = AccessKind.ONCE,
  ): ModelRequest {
    const all = typeof words === 'number' ? [words] : words;
    assert(all.length > 0, 'ModelOps.await: a wait looks at no word');
    return request(OpType.AWAIT, kind, all[0]!, 0, undefined, all, condition);
  }

  /** As `await`, and gives up when `time` has passed. Time passes only while nobody can go on. Answers 1 if the condition held, or 0. */
  awaitFor(time: number, words: readonly number[] | number, condition: Condition): ModelRequest {
    return { ...this.await(words, condition), value: time };
  }

  /** Raises what starts a CPU. At one that has started it stays pending, and is no interrupt. */
  startup(cpu: number, what: Startup = 'both'): ModelRequest {
    return request(OpType.IPI, AccessKind.RMW, cpu, -STARTUP_BITS[what]);
  }

  /** Asks for another CPU, one of those in the mask. Interrupts have to be off; `standBy` comes next. */
  offer(wants: number): ModelRequest {
    return request(OpType.OFFER, AccessKind.RMW, ORPHANS, wants);
  }

  /** Waits for another CPU, or for a reason to stay. Answers 1 on another CPU, else 0. */
  standBy(words: readonly number[] | number, stay: Condition): ModelRequest {
    return { ...this.await(words, stay), isOffer: true };
  }

  /** Waits until some flow asks for a CPU; with `fits`, for this one. */
  orphans(fits = true): ModelRequest {
    return {
      ...this.await(ORPHANS, ([count = 0, ...wants], cpu) =>
        fits ? wants.some((mask) => ((mask >>> cpu) & 1) === 1) : count > 0,
      ),
      isWide: fits,
    };
  }

  /** Changes places with the first flow that asks for this CPU. Interrupts have to be off. Answers 1 if there was one. */
  take(): ModelRequest {
    return request(OpType.TAKE, AccessKind.RMW, ORPHANS, 0);
  }

  /** Drops the interrupts that are pending on this CPU. */
  drop(): ModelRequest {
    return request(OpType.IRQ_DROP, AccessKind.RMW, OWN_PENDING, 0, (before) => before & STARTUP_SIGNALS);
  }

  /** Raises an interrupt. `line` counts the interrupts that the program names for that CPU. */
  ipi(cpu: number, line = 0): ModelRequest {
    return request(OpType.IPI, AccessKind.RMW, cpu, line);
  }

  /** Turns this CPU's interrupts on, which is no step, or off. */
  irqs(on: boolean): ModelRequest {
    return request(OpType.IRQ_FLAG, AccessKind.PLAIN, 0, on ? 1 : 0);
  }

  /** Ends the run with a finding of kind 'check'. No step; works with and without `yield`. */
  fail(text: string): ModelRequest {
    this.failure ??= text;
    return request(0, 0, 0, 0);
  }
}

export type FlowBody = (m: ModelOps) => Generator<ModelRequest, void, number>;

export interface ModelMemory {
  load(address: number): number;
}

export interface ModelInterrupt {
  readonly cpu: number;
  /** Runs on that CPU with interrupts off; may turn them on, and then one more may come. */
  readonly handler: FlowBody;
  /** Runs on that CPU when the handler has ended, on top of the main flow, as a thread that preempts it; not within another one. */
  readonly preempts?: FlowBody;
  /** Raised from the start (the default); false: only an `ipi` raises it. */
  readonly pending?: boolean;
}

export interface ModelProgram {
  /** By CPU, at most 16. */
  readonly flows: readonly FlowBody[];
  readonly interrupts?: readonly ModelInterrupt[];
  /** CPUs that are off until they are started, and again when their flow has ended. They begin with interrupts off. */
  readonly off?: readonly number[];
  /** No interrupt is taken by a CPU whose flow has not begun. Default false. */
  readonly shut?: boolean;
  /** Words that are not 0 at the start: address, value. */
  readonly initial?: readonly (readonly [number, number])[];
  /** Looks at memory when everything has ended; what it answers is the title of a finding of kind 'check'. */
  readonly check?: (memory: ModelMemory) => string | undefined;
}
