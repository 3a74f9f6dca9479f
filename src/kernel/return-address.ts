/**
 * Who called: what `__builtin_return_address` is to the allocators, so that each object remembers its allocator.
 *
 * Reads this context's own call stack (memory/stack.ts), which is memory of one CPU: no scheduling point.
 */
import { bus } from '#memory/bus';
import { CONTEXT_BYTES, ContextWord, CpuWord } from '#memory/layout';
import { NULL, type Ptr } from '#memory/struct';

/**
 * Address of a kernel function on the stack; NULL below its bottom.
 * @param level 0 = who called the running kernel function; inline helpers do not count
 */
export function return_address(level: number): Ptr {
  const { layout, registers } = bus;
  const context = layout.contexts + registers.get(CpuWord.CONTEXT) * CONTEXT_BYTES;
  const call = bus.loadLocal32(context + ContextWord.DEPTH * 4) - 2 - level;
  return call < 0 ? NULL : bus.loadLocal32(context + (ContextWord.CALLS + call * 2) * 4);
}
