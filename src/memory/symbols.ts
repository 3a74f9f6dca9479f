/**
 * Kernel functions are symbols: each has a name and an address that is the same on every CPU.
 *
 * The wrapper made here is the one place where calls are traced, the call stack is kept and a function can be replaced
 * (livepatch). Function pointers in memory (`csd->func`, notifier calls, operations tables) are these addresses.
 */
import { assert, broken } from '#base/assert';
import { keepTwin } from '#base/plain-calls';
import { bus } from './bus.ts';
import { hashText } from './hash.ts';
import { TEXT_BASE, TEXT_SHIFT, TEXT_STRIDE } from './layout.ts';
import type { Ptr } from './struct.ts';

/** A kernel function: call it, or take its address. */
export interface KernelFunction<A extends readonly unknown[], R> {
  (...args: A): R;
  readonly addr: Ptr;
  readonly symbol: string;
}

// oxlint-disable-next-line typescript/no-explicit-any -- a function of any signature
type Body = (...args: any[]) => any;

interface Wrapper<R> {
  (a: unknown, b: unknown, c: unknown, d: unknown, e: unknown, f: unknown): R;
  addr?: Ptr;
  symbol?: string;
}

const bodies: Body[] = [];
const originals: Body[] = [];
const names: string[] = [];
const byName = new Map<string, number>();

/**
 * Declares a kernel function under its own name. It takes at most six arguments.
 * @param name as kallsyms shows it; unique
 */
export function kernel_function<A extends readonly unknown[], R>(
  name: string,
  body: (...args: A) => R,
): KernelFunction<A, R> {
  if (byName.has(name)) broken(`kernel_function: ${name} is defined twice`);
  if (body.length > 6) broken(`kernel_function: ${name} takes more than six arguments`);
  const index = bodies.length;
  const address = TEXT_BASE + index * TEXT_STRIDE;
  bodies.push(body);
  originals.push(body);
  names.push(name);
  byName.set(name, index);
  const call: Wrapper<R> = (a, b, c, d, e, f) => {
    bus.enter(address, a, b, c);
    const result = bodies[index]!(a, b, c, d, e, f) as R;
    bus.leave(address, result);
    return result;
  };
  keepTwin(call);
  call.addr = address;
  call.symbol = name;
  return call as unknown as KernelFunction<A, R>;
}

/** Calls through a function pointer. A pointer that is no function is a fault at that address. */
export function call_pointer(address: Ptr, a?: unknown, b?: unknown, c?: unknown, d?: unknown): unknown {
  const index = symbolIndex(address);
  if (index < 0) {
    bus.badJump(address);
    return undefined;
  }
  bus.enter(address, a, b, c);
  const result: unknown = bodies[index]!(a, b, c, d);
  bus.leave(address, result);
  return result;
}

function symbolIndex(address: Ptr): number {
  const offset = address - TEXT_BASE;
  // Asked so that what is no number is no function either.
  if (!(offset >= 0 && offset < bodies.length * TEXT_STRIDE)) return -1;
  return (offset & (TEXT_STRIDE - 1)) === 0 ? offset >>> TEXT_SHIFT : -1;
}

/** Name of the function at an address, or undefined. */
export function symbolName(address: Ptr): string | undefined {
  const index = symbolIndex(address);
  return index < 0 ? undefined : names[index];
}

/** Names of functions as they are now, for reports that outlive what they are about. */
export function functionNames(): (address: Ptr) => string | undefined {
  const known = [...names];
  return (address) => known[(address - TEXT_BASE) / TEXT_STRIDE];
}

/** Address of a function by its name, or undefined. */
export function symbolAddress(name: string): Ptr | undefined {
  const index = byName.get(name);
  return index === undefined ? undefined : TEXT_BASE + index * TEXT_STRIDE;
}

/** All symbols in address order. */
export function symbolTable(): readonly string[] {
  return names;
}

/**
 * Livepatch: from now on, callers of `name` on this thread run `replacement`. Undo with `unpatchAll`.
 * @throws InvariantError for a name that is no kernel function
 */
export function patch(name: string, replacement: Body): void {
  const index = byName.get(name);
  assert(index !== undefined, `patch: no kernel function ${name}`);
  bodies[index] = replacement;
}

/**
 * What a kernel function was before it was patched. Calling it makes no entry in the call stack: the patched one is there.
 * @throws InvariantError for a name that is no kernel function
 */
export function unpatched(name: string): Body {
  const index = byName.get(name);
  assert(index !== undefined, `unpatched: no kernel function ${name}`);
  return originals[index]!;
}

/** Symbols there are: those a scenario declares come after. */
export function symbolCount(): number {
  return names.length;
}

/** Forgets the symbols from number `first` on: a scenario's, when it goes. */
export function forgetSymbols(first: number): void {
  if (first !== forgottenFrom) hashes.clear();
  forgottenFrom = first;
  for (const name of names.splice(first)) byName.delete(name);
  bodies.length = names.length;
  originals.length = names.length;
}

export function unpatchAll(): void {
  for (let index = 0; index < bodies.length; index++) bodies[index] = originals[index]!;
}

/** From which number on symbols come and go, once some have gone, and hashes by the names that stood there. */
let forgottenFrom = Infinity;
const hashes = new Map<string, number>();
const HASHES_MAX = 64;

/** Over all names: equal in two threads exactly if their symbol tables are. */
export function symbolHash(): number {
  if (forgottenFrom > names.length) return hashText(names.join('\n'));
  const others = names.slice(forgottenFrom).join('\n');
  let hash = hashes.get(others);
  if (hash !== undefined) return hash;
  if (hashes.size >= HASHES_MAX) hashes.clear();
  hashes.set(others, (hash = hashText(names.join('\n'))));
  return hash;
}
