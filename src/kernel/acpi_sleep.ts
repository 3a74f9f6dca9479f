/**
 * How this platform sleeps: ACPI's S3. What the boot processor forgets is kept in memory, and given back to it.
 *
 * @linux drivers/acpi/sleep/main.c, arch/x86/kernel/suspend_64.c, arch/x86/kernel/acpi/wakeup_64.S, as of 2.6.24
 * Leaves out: segments, descriptor tables, debug registers, the FPU, MTRRs, and every state but S3.
 */
import { EINVAL } from '#base/errno';
import { vmlinux } from '#memory/image';
import { ptr, struct, u32, u64 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { arch } from '#smp/arch';
import { is_i386 } from '#smp/subarch';
import { rdmsrl, wrmsrl } from './msr.ts';
import { do_general_protection } from './traps.ts';

export const PM_SUSPEND_MEM = 3;

/** The platform's part. `enter(state)` comes back when the machine wakes up, on the CPU that slept; 0 or negative errno. */
export const platform_suspend_ops = struct('platform_suspend_ops', { enter: ptr });

const MSR_EFER = 0xc0000080;

/** Written before the processor sleeps and read after: nobody else runs between. */
const saved_context = vmlinux.DEFINE('saved_context', struct('saved_context', { efer: u64, cr4: u32 }));

const save_processor_state = kernel_function('save_processor_state', (): void => {
  if (!is_i386()) saved_context.efer = rdmsrl(MSR_EFER);
  saved_context.cr4 = arch.readCr4();
});

const restore_processor_state = kernel_function('restore_processor_state', (): void => {
  if (!is_i386()) wrmsrl(MSR_EFER, saved_context.efer);
  if (!arch.writeCr4(saved_context.cr4)) do_general_protection('mov to CR4');
});

/** Interrupts are off and one CPU is left. @returns 0 once the machine is awake again, -EINVAL for another state than S3 */
const acpi_pm_enter = kernel_function('acpi_pm_enter', (state: number): number => {
  if (state !== PM_SUSPEND_MEM) return -EINVAL;
  save_processor_state();
  arch.wbinvd();
  arch.sleep();
  restore_processor_state();
  return 0;
});

export const acpi_pm_ops = vmlinux.DEFINE('acpi_pm_ops', platform_suspend_ops, {
  enter: acpi_pm_enter.addr,
});
