/** Per-CPU variables with preemption off. @linux include/linux/percpu.h, include/linux/smp.h, as of 2.6.24 */
import type { PerCpu } from '#memory/image';
import { __get_cpu_var } from '#memory/percpu';
import type { AnyField, ViewOf } from '#memory/struct';
import { preempt_disable } from './irqflags.ts';
import { preempt_enable } from './sched.ts';
import { smp_processor_id } from './smp_processor_id.ts';

export { __get_cpu_var, per_cpu, per_cpu_ptr } from '#memory/percpu';

/** Preemption off, and this CPU's copy. Interrupts stay as they are. */
export function get_cpu_var<T extends AnyField>(variable: PerCpu<T>): ViewOf<T> {
  preempt_disable();
  return __get_cpu_var(variable);
}

/** The other half of get_cpu_var. */
export function put_cpu_var<T extends AnyField>(_variable: PerCpu<T>): void {
  preempt_enable();
}

/** Preemption off, and this CPU's number. */
export function get_cpu(): number {
  preempt_disable();
  return smp_processor_id();
}

export function put_cpu(): void {
  preempt_enable();
}
