/**
 * Exceptions in kernel code that has no fixup: an oops each.
 * @linux arch/x86/kernel/traps_64.c, as of 2.6.24
 * Leaves out: fixup tables (rdmsr_safe and its like ask first instead), exceptions of user code.
 */
import { type KernelFunction, kernel_function } from '#memory/symbols';
import { die } from '#smp/printk';

/** #GP. @param detail what the processor refused */
export function do_general_protection(detail: string): never {
  return die('general protection fault: 0000', detail);
}

/** #UD. A symbol, because this is where later kernels look for a fixup. @param detail the instruction */
export const do_invalid_op: KernelFunction<[string], void> = kernel_function(
  'do_invalid_op',
  (detail: string): void => {
    die('invalid opcode: 0000', detail);
  },
);
