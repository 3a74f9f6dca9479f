/** Call stacks: each context keeps its own in memory, so that anybody can read anybody's. */
import { CALL_DEPTH_MAX } from '#base/limits';
import { bus } from './bus.ts';
import { CONTEXT_BYTES, CPU_BLOCK_BYTES, ContextWord, CpuWord } from './layout.ts';
import { type FieldTable, type StructType, type View } from './struct.ts';
import { symbolName } from './symbols.ts';

/** Names of the functions on a CPU's stack, innermost first. */
export function stackOf(cpu: number): string[] {
  const { layout } = bus;
  if (cpu < 0) return [];
  const block = layout.cpuBlocks + cpu * CPU_BLOCK_BYTES;
  const context = layout.contexts + bus.loadLocal32(block + CpuWord.CONTEXT * 4) * CONTEXT_BYTES;
  const depth = Math.min(bus.loadLocal32(context + ContextWord.DEPTH * 4), CALL_DEPTH_MAX);
  const names: string[] = [];
  for (let call = depth - 1; call >= 0; call--) {
    const address = bus.loadLocal32(context + (ContextWord.CALLS + call * 2) * 4);
    names.push(symbolName(address) ?? `0x${address.toString(16)}`);
  }
  return names;
}

/**
 * An automatic variable: a structure on the kernel stack, gone when the calling kernel function returns. For what
 * other CPUs may see through a pointer; values only this function sees are TypeScript locals. Not zeroed.
 */
export function stack_alloc<F extends FieldTable>(type: StructType<F>): View<F> {
  return type.at(bus.allocateStack(type.size, Math.max(type.align, 4)));
}
