/**
 * Suspend to memory and back (spec 5.4).
 *
 * @linux kernel/power/main.c, drivers/base/power/{suspend,resume}.c, as of 2.6.24
 * Leaves out: freezing of tasks, power management notifiers, devices other than system devices, standby and hibernation.
 *
 * Lock order: pm_mutex > cpu_add_remove_lock.
 */
import { EBUSY, ENODEV } from '#base/errno';
import { vmlinux } from '#memory/image';
import { NULL, type Ptr, ptr } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { disable_nonboot_cpus, enable_nonboot_cpus } from '#smp/cpu';
import { irqs_disabled, local_irq_disable, local_irq_enable } from '#smp/irqflags';
import { mutex, mutex_trylock, mutex_unlock } from '#smp/mutex';
import { BUG_ON, KERN_ERR, printk } from '#smp/printk';
import { acpi_pm_ops, platform_suspend_ops } from './acpi_sleep.ts';
import { PMSG_SUSPEND, sysdev_resume, sysdev_suspend } from './sysdev.ts';

/** One suspend at a time. */
export const pm_mutex = vmlinux.DEFINE('pm_mutex', mutex);
/** Guarded by pm_mutex. NULL: this platform cannot sleep. Linux's ACPI driver sets it as it starts; here it is set from the start. */
const suspend_ops = vmlinux.DEFINE('suspend_ops', ptr, acpi_pm_ops.addr);

/** @param ops address of platform_suspend_ops */
export const suspend_set_ops = kernel_function('suspend_set_ops', (ops: Ptr): void => {
  suspend_ops.value = ops;
});

/** The machine sleeps in here. One CPU is left. */
const suspend_enter = kernel_function('suspend_enter', (state: number): number => {
  local_irq_disable();
  BUG_ON(!irqs_disabled(), 'suspend_enter: interrupts are on');
  let error = sysdev_suspend(PMSG_SUSPEND);
  if (error !== 0) {
    printk(KERN_ERR, 'Some devices failed to power down');
  } else {
    error = call_pointer(platform_suspend_ops.at(suspend_ops.value).enter, state) as number;
    sysdev_resume();
  }
  local_irq_enable();
  BUG_ON(irqs_disabled(), 'suspend_enter: interrupts are off');
  return error;
});

/** Other CPUs down, sleep, other CPUs up: also when one of them would not go. */
export const suspend_devices_and_enter = kernel_function(
  'suspend_devices_and_enter',
  (state: number): number => {
    let error = disable_nonboot_cpus();
    if (error === 0) error = suspend_enter(state);
    enable_nonboot_cpus();
    return error;
  },
);

/** @returns 0 after waking up, -ENODEV if the platform cannot sleep, -EBUSY if somebody else is at it, or what refused */
export const pm_suspend = kernel_function('pm_suspend', (state: number): number => {
  if (suspend_ops.value === NULL) return -ENODEV;
  if (!mutex_trylock(pm_mutex)) return -EBUSY;
  const error = suspend_devices_and_enter(state);
  mutex_unlock(pm_mutex);
  return error;
});

export { pm_suspend as kernel_suspend };
export { PM_SUSPEND_MEM, platform_suspend_ops } from './acpi_sleep.ts';
