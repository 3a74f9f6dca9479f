/**
 * Preemption notifiers for kernels that have none. Linux 2.6.24 has them, so both functions are empty (spec 5.6).
 *
 * @linux kernel/preempt.c of the external module, as of kvm-54
 * Leaves out: the emulation itself, which patches the debug exception and puts a hardware breakpoint on schedule().
 */
import { kernel_function } from '#memory/symbols';

export const preempt_notifier_sys_init = kernel_function('preempt_notifier_sys_init', (): void => {});

export const preempt_notifier_sys_exit = kernel_function('preempt_notifier_sys_exit', (): void => {});
