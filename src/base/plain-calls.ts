/**
 * Calls of twins that run as the plain function after all.
 *
 * Most kernel functions touch, in one scenario, nothing that anybody else uses: nobody is ever chosen in the middle of
 * them, and a generator for each call is for nothing. Which they are is not known before, but seen: for some runs every
 * call is a twin's, and whichever was suspended keeps its twin. From then on the twins of all others run the plain form.
 *
 * If somebody else is chosen in the middle of a plain call, its CPU cannot be suspended. Then the run is given up: it is
 * made again from its start, where every call is a twin's, and what was suspended is noted. A run is a function of its
 * plan, so it is the same run, and comes to the end that it would have come to.
 */
import { type Resumable, resumable } from './resumable.ts';

type Plain = ((...args: unknown[]) => unknown) & {
  $?: Twin;
  whole?: Twin | undefined;
};
type Twin = (...args: unknown[]) => Resumable;

/** Runs in which every call is a twin's, before any is not. */
const RUNS_WATCHED = 16;

/** A run was given up in the middle of a plain call. Made once: it carries nothing. */
class GivenUp extends Error {}
const GIVEN_UP = new GivenUp('a CPU could not be suspended in a plain call');

/** What twins are to do, and how it went. One for the thread: only one CPU runs at a time. */
export const plainCalls: {
  /** Twins of functions that have never been suspended run the plain form. */
  allowed: boolean;
  /** One is running. */
  running: boolean;
  /** The run has been given up. */
  failed: boolean;
  /** Calls that are suspended are noted. */
  watching: boolean;
} = { allowed: false, running: false, failed: false, watching: false };

/** Those that have never been suspended, by what all generators of a twin have in common: their functions. */
const functionOf = new Map<object, Plain>();
let watched = 0;

/** Gives a function its twin, for good: one that may turn out never to be suspended. It takes at most six arguments. */
export function lasting<F extends object>(plain: F, twin: unknown): F {
  (plain as unknown as Plain).$ = twin as Twin;
  keepTwin(plain);
  return plain;
}

/** The same for a function that has its twin already, if it has one. */
export function keepTwin(plain: object): void {
  const { $: twin } = plain as Plain;
  // Those of a scenario come later, and go again.
  if (twin !== undefined && watched < RUNS_WATCHED)
    functionOf.set((twin as unknown as { prototype: object }).prototype, plain as Plain);
}

/** Somebody else was chosen in the middle of a plain call, or what it did can be done by twins alone. */
export function giveUp(): never {
  plainCalls.failed = true;
  resumable.parked = true;
  throw GIVEN_UP;
}

/** What a plain call answers in place of a generator: it has returned. */
function* ended(): Resumable {
  yield;
  return undefined;
}
const answer = ended().return(undefined) as { value: unknown; done: true };
const returned = { next: (): typeof answer => answer } as unknown as Resumable;

/** The twin of a function that is never suspended. */
function plainly(plain: Plain, twin: Twin): Twin {
  return function (this: unknown, a, b, c, d, e, f) {
    if (!plainCalls.allowed) return twin.call(this, a, b, c, d, e, f);
    plainCalls.running = true;
    try {
      answer.value = plain.call(this, a, b, c, d, e, f);
    } catch {
      // What it threw may be right: then it is thrown again where it can be dealt with.
      keepWhole(plain);
      giveUp();
    }
    plainCalls.running = false;
    return returned;
  };
}

/** A call was suspended: its function keeps its twin. */
export function noteSuspended(call: Resumable): void {
  const kind = Object.getPrototypeOf(call) as object;
  const plain = functionOf.get(kind);
  if (plain === undefined) return;
  functionOf.delete(kind);
  keepWhole(plain);
}

function keepWhole(plain: Plain): void {
  if (plain.whole === undefined) return;
  plain.$ = plain.whole;
  plain.whole = undefined;
}

/**
 * A run begins.
 * @param again the one before it has been given up
 * @param isFinal nothing of it can be taken back: what happens is recorded
 */
export function beginPlainCalls(again: boolean, isFinal: boolean): void {
  plainCalls.watching = again || watched < RUNS_WATCHED;
  plainCalls.allowed = !plainCalls.watching && !isFinal;
  plainCalls.running = false;
  plainCalls.failed = false;
}

/** It is over, or given up. */
export function endPlainCalls(): void {
  const { watching } = plainCalls;
  plainCalls.allowed = false;
  plainCalls.running = false;
  plainCalls.failed = false;
  plainCalls.watching = false;
  if (!watching || watched === RUNS_WATCHED) return;
  watched++;
  if (watched === RUNS_WATCHED) for (const plain of functionOf.values()) runPlainly(plain);
}

function runPlainly(plain: Plain): void {
  const twin = plain.$!;
  plain.whole = twin;
  plain.$ = plainly(plain, twin);
}
