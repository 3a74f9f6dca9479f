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
const turns = { made: 0 };

/** A loop that goes round for ever and touches no shared memory: no step comes at which its CPU could be stopped. */
export class EndlessLoop extends Error {
  constructor() {
    super(`a loop has gone round ${TURNS_MAX.toLocaleString('en')} times without touching shared memory`);
    this.name = 'EndlessLoop';
  }
}

/** One more turn of a loop in compiled code. @throws EndlessLoop */
export function turn(): void {
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

/** A function and its twin, as one value. */
export function both<F extends object>(plain: F, twin: unknown): F {
  (plain as { $?: unknown }).$ = twin;
  return plain;
}

/** The twin of a function, or undefined if it never waits. */
export function twinOf(
  plain: (...args: never[]) => unknown,
): ((...args: unknown[]) => Resumable) | undefined {
  return (plain as { $?: (...args: unknown[]) => Resumable }).$;
}
