/**
 * What code that has been compiled into resumable functions (fibers/pass.ts) shares with whoever runs it.
 *
 * Every function `f` that may have to wait has a twin, the generator function `f.$`. A twin calls twins; where one of them
 * has to wait, it and its callers yield, innermost first, and each leaves its callee here so that the driver can go on
 * with the innermost alone.
 */

/** A suspended call. */
export type Resumable = Generator<undefined, unknown, unknown>;

/** One object for the whole thread: only one CPU runs at a time. */
export const resumable: {
  /** An operation could not be done yet: it had no effect, and who called it yields and then does it again. */
  parked: boolean;
  /** Calls that have just been suspended, innermost first. */
  readonly held: Resumable[];
} = { parked: false, held: [] };

/** Turns of a loop without a step, after which it is taken for endless: seconds, where a turn does anything at all. */
const TURNS_MAX = 10_000_000;
export const turns: {
  /** since the last step */
  made: number;
  /** since `watch` was called last */
  total: number;
  /** Called every so often: a loop may fill the host's heap. */
  watch: (() => void) | undefined;
} = { made: 0, total: 0, watch: undefined };
const TURNS_WATCHED = 1024;

/** A loop that goes round for ever and touches no shared memory: no step comes at which its CPU could be stopped. */
export class EndlessLoop extends Error {
  constructor() {
    super(`a loop has gone round ${TURNS_MAX.toLocaleString('en')} times without touching shared memory`);
    this.name = 'EndlessLoop';
  }
}

/** One more turn of a loop in compiled code. @throws EndlessLoop */
export function turn(): void {
  if (++turns.total === TURNS_WATCHED) {
    turns.total = 0;
    turns.watch?.();
  }
  if (++turns.made <= TURNS_MAX) return;
  turns.made = 0;
  throw new EndlessLoop();
}

/** A step was made: whatever loop there is does something. */
export function progress(): void {
  turns.made = 0;
}

/** Keeps a suspended call for the driver. */
export function hold(call: Resumable): void {
  resumable.held.push(call);
}

/** What is called is no function: the error that the call would have been. */
export function notCallable(called: string): never {
  const error = new TypeError(`${called} is not a function`);
  Error.captureStackTrace(error, notCallable);
  throw error;
}

/** A function and its twin, as one value. */
export function both<F extends object>(plain: F, twin: unknown): F {
  (plain as { $?: unknown }).$ = twin;
  return plain;
}

/** The twin of a function, or undefined if it never waits. */
export function twinOf(
  plain: (...args: never[]) => unknown,
): ((...args: unknown[]) => Resumable) | undefined {
  const { $: twin, whole } = plain as {
    $?: (...args: unknown[]) => Resumable;
    /** Its twin while calls of it are plain (plain-calls.ts). */
    whole?: (...args: unknown[]) => Resumable;
  };
  return whole ?? twin;
}

type Callable = ((...args: unknown[]) => unknown) & { $?: (...args: unknown[]) => Resumable };

/** A function's twin, if it has one, or else the function itself: one operation, done when it is this CPU's turn. */
function* runFor(f: Callable, self: unknown, given: readonly unknown[]): Resumable {
  const { $: twin } = f;
  if (twin === undefined) {
    let result = f.apply(self, given as unknown[]);
    if (!resumable.parked) return result;
    yield;
    result = f.apply(self, given as unknown[]);
    if (resumable.parked) yield;
    return result;
  }
  const call = twin.apply(self, given as unknown[]);
  const { done, value } = call.next();
  if (done === true) return value;
  hold(call);
  return yield;
}

/** What the host's methods of functions do, for functions that can be suspended. */
export const functions = {
  call: both(
    (f: Callable, self: unknown, ...given: readonly unknown[]): unknown => f.call(self, ...given),
    (f: Callable, self: unknown, ...given: readonly unknown[]) => runFor(f, self, given),
  ),
  apply: both(
    (f: Callable, self?: unknown, given?: readonly unknown[]): unknown =>
      f.apply(self, (given ?? []) as unknown[]),
    (f: Callable, self?: unknown, given?: readonly unknown[]) => runFor(f, self, given ?? []),
  ),
  bind(f: Callable, self?: unknown, ...given: readonly unknown[]): unknown {
    const bound = f.bind(self, ...given);
    return f.$ === undefined ? bound : both(bound, f.$.bind(self, ...given));
  },
};
