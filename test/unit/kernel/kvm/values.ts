/** Pieces of simulated memory for a test. */
import { MSR_NUMBERS } from '#memory/firmware';
import { CpuWord } from '#memory/layout';
import { type Ptr, type Variable, s32, variableAt } from '#memory/struct';
import { GFP_KERNEL, kzalloc } from '#kernel/slab';
import type { Bench } from './bench.ts';

/** Zeroed memory, as a user's buffer. */
export function buffer(_bench: Bench, bytes: number): Ptr {
  return kzalloc(bytes, GFP_KERNEL);
}

export function int_on_bench(bench: Bench, value: number): Variable<number> {
  const variable = variableAt(s32, buffer(bench, 4));
  variable.value = value;
  return variable;
}

/** Takes an MSR away from CPU 0: reading it faults from now on. */
export function lose_msr(bench: Bench, msr: number): void {
  const slot = MSR_NUMBERS.indexOf(msr);
  const word = CpuWord.MSR_PRESENT + (slot >> 5);
  bench.registers.set(word, bench.registers.get(word) & ~(1 << (slot & 31)));
}
