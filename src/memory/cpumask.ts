/**
 * Sets of CPUs: NR_CPUS bits in memory. @linux include/linux/cpumask.h, as of 2.6.24
 *
 * In C a cpumask_t is a value; here it is always somewhere in memory, and functions take its view. Iteration asks the
 * mask anew at every step (spec 6.8): `for (let cpu = first_cpu(m); cpu < NR_CPUS; cpu = next_cpu(cpu, m))`.
 */
import { NR_CPUS } from '#base/limits';
import { clear_bit, set_bit, test_and_set_bit, test_bit } from './atomic.ts';
import { bus, load32, store32 } from './bus.ts';
import { CPUMASK_WORDS } from './layout.ts';
import { type StructView, array, struct, u32 } from './struct.ts';

export { NR_CPUS };

export const cpumask_t = struct('cpumask_t', { bits: array(u32, CPUMASK_WORDS) });
export type cpumask_t = StructView<typeof cpumask_t>;

/** Words that can hold a bit of a CPU this machine has. */
function wordsInUse(): number {
  return (bus.layout.nrPossible + 31) >>> 5;
}

/**
 * Atomic.
 * @plain
 */
export function cpu_set(cpu: number, mask: cpumask_t): void {
  set_bit(cpu, mask.addr);
}

/**
 * Atomic.
 * @plain
 */
export function cpu_clear(cpu: number, mask: cpumask_t): void {
  clear_bit(cpu, mask.addr);
}

/**
 * A marked read, as test_bit. Who walks a mask (first_cpu, next_cpu) reads it plainly.
 * @plain
 */
export function cpu_isset(cpu: number, mask: cpumask_t): boolean {
  return test_bit(cpu, mask.addr);
}

/**
 * Atomic; true if it was set before.
 * @plain
 */
export function cpu_test_and_set(cpu: number, mask: cpumask_t): boolean {
  return test_and_set_bit(cpu, mask.addr);
}

export function cpus_clear(mask: cpumask_t): void {
  const words = wordsInUse();
  for (let word = 0; word < words; word++) store32(mask.addr + word * 4, 0);
}

/** dst = src; word by word, as a copy of the structure would be. */
export function cpus_copy(destination: cpumask_t, source: cpumask_t): void {
  const words = wordsInUse();
  for (let word = 0; word < words; word++) {
    store32(destination.addr + word * 4, load32(source.addr + word * 4));
  }
}

/** dst = left & right. */
export function cpus_and(destination: cpumask_t, left: cpumask_t, right: cpumask_t): void {
  const words = wordsInUse();
  for (let at = 0; at < words * 4; at += 4) {
    store32(destination.addr + at, load32(left.addr + at) & load32(right.addr + at));
  }
}

export function cpus_equal(left: cpumask_t, right: cpumask_t): boolean {
  const words = wordsInUse();
  for (let at = 0; at < words * 4; at += 4) {
    if (load32(left.addr + at) !== load32(right.addr + at)) return false;
  }
  return true;
}

export function cpus_intersects(left: cpumask_t, right: cpumask_t): boolean {
  const words = wordsInUse();
  for (let at = 0; at < words * 4; at += 4) {
    if ((load32(left.addr + at) & load32(right.addr + at)) !== 0) return true;
  }
  return false;
}

function popcount32(value: number): number {
  let v = value - ((value >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

export function cpus_weight(mask: cpumask_t): number {
  const words = wordsInUse();
  let weight = 0;
  for (let word = 0; word < words; word++) weight += popcount32(load32(mask.addr + word * 4));
  return weight;
}

export function cpus_empty(mask: cpumask_t): boolean {
  return first_cpu(mask) === NR_CPUS;
}

/** Lowest CPU in the mask, NR_CPUS if there is none. */
export function first_cpu(mask: cpumask_t): number {
  return next_cpu(-1, mask);
}

/** Lowest CPU above `cpu` in the mask as it is now, NR_CPUS if there is none. */
export function next_cpu(cpu: number, mask: cpumask_t): number {
  const words = wordsInUse();
  let from = cpu + 1;
  for (let word = from >>> 5; word < words; word++) {
    const bits = load32(mask.addr + word * 4) & (-1 << (from & 31));
    if (bits !== 0) return word * 32 + (31 - Math.clz32(bits & -bits));
    from = (word + 1) * 32;
  }
  return NR_CPUS;
}
