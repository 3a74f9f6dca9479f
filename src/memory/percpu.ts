/** Per-CPU variables: one copy per possible CPU, at the template's address plus `__per_cpu_offset[cpu]` (spec 6.9). */
import { NR_CPUS } from '#base/limits';
import { bus, currentCpu } from './bus.ts';
import { type PerCpu, vmlinux } from './image.ts';
import { type AnyField, type Ptr, type ViewOf, array, ptr, viewAt } from './struct.ts';

/** Offset of each CPU's area from the template; filled by setup_per_cpu_areas, immutable after boot. */
export const __per_cpu_offset = vmlinux.DEFINE('__per_cpu_offset', array(ptr, NR_CPUS));

/** Hides from the compiler that the pointer leaves its object. In TypeScript there is nothing to hide it from. */
export function RELOC_HIDE(address: Ptr, offset: number): Ptr {
  return address + offset;
}

/** Address of a CPU's copy. The offsets never change after boot, so reading one is not a scheduling point. */
export function per_cpu_ptr<T extends AnyField>(variable: PerCpu<T>, cpu: number): Ptr {
  return RELOC_HIDE(variable.addr, bus.loadLocal32(__per_cpu_offset.addr + cpu * ptr.size));
}

/** A CPU's copy, also of a CPU that is offline. */
export function per_cpu<T extends AnyField>(variable: PerCpu<T>, cpu: number): ViewOf<T> {
  return viewAt(variable.type, per_cpu_ptr(variable, cpu));
}

/** This CPU's copy. The caller must not be able to migrate: preemption or interrupts off. */
export function __get_cpu_var<T extends AnyField>(variable: PerCpu<T>): ViewOf<T> {
  return per_cpu(variable, currentCpu());
}
