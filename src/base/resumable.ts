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
