/**
 * The lock that keeps the online map as it is. @linux kernel/cpu.c (lock_cpu_hotplug), as of 2.6.24 (spec 7.1)
 */
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { CpuWord } from '#memory/layout';
import { NULL, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { mutex, mutex_lock, mutex_unlock } from './mutex.ts';
import { KERN_ERR, WARN_ON, printk } from './printk.ts';

/** Held only while a CPU's bit in the online map may change. What lock_cpu_hotplug takes. */
export const cpu_bitmask_lock = vmlinux.DEFINE('cpu_bitmask_lock', mutex);

/** Task that holds cpu_bitmask_lock through lock_cpu_hotplug, and how often. Written by the holder only. */
const recursive = vmlinux.DEFINE('recursive', u32);
const recursive_depth = vmlinux.DEFINE('recursive_depth', u32);
/** Complaints about recursion so far. */
const warnings = vmlinux.DEFINE('warnings', u32);
const WARNINGS_MAX = 10;

/** Keeps the online map as it is. Recursive for its holder, who is told off for it. */
export const lock_cpu_hotplug = kernel_function('lock_cpu_hotplug', (): void => {
  if (recursive.value === bus.registers.get(CpuWord.CURRENT_TASK) && recursive.value !== NULL) {
    if (warnings.value < WARNINGS_MAX) {
      printk(KERN_ERR, 'Lukewarm IQ detected in hotplug locking');
      WARN_ON(true, 'lock_cpu_hotplug');
      warnings.value += 1;
    }
    recursive_depth.value += 1;
    return;
  }
  mutex_lock(cpu_bitmask_lock);
  recursive.value = bus.registers.get(CpuWord.CURRENT_TASK);
});

export const unlock_cpu_hotplug = kernel_function('unlock_cpu_hotplug', (): void => {
  WARN_ON(recursive.value !== bus.registers.get(CpuWord.CURRENT_TASK), 'unlock_cpu_hotplug: not the holder');
  if (recursive_depth.value !== 0) {
    recursive_depth.value -= 1;
    return;
  }
  recursive.value = NULL;
  mutex_unlock(cpu_bitmask_lock);
});
