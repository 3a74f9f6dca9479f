/**
 * System devices: what is suspended last and resumed first, on the one CPU that is left, with interrupts off.
 *
 * @linux drivers/base/sys.c, include/linux/sysdev.h, as of 2.6.24
 * Leaves out: sysfs files, drivers of a class other than the class itself.
 */
import { EEXIST, EINVAL } from '#base/errno';
import { vmlinux } from '#memory/image';
import { INIT_LIST_HEAD, list_add_tail, list_del, list_head } from '#memory/list';
import { NULL, type Ptr, type StructView, char, ptr, struct, u32 } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { should_fail } from '#smp/fault_inject';
import { KERN_ERR, dump_stack, printk } from '#smp/printk';
import { spin_lock, spin_unlock, spinlock_t } from '#smp/spinlock';
import { LIST_HEAD } from './static-list.ts';

/** `entry` and `devices` are guarded by sysdev_list_lock; the rest is immutable while it is registered. */
export const sysdev_class = struct('sysdev_class', {
  name: char(20),
  /** (dev) => number */
  shutdown: ptr,
  /** (dev, state) => 0 or negative errno */
  suspend: ptr,
  /** (dev) => number */
  resume: ptr,
  /** in system_subsys, oldest first */
  entry: list_head,
  /** registered devices, oldest first */
  devices: list_head,
});
export type sysdev_class = StructView<typeof sysdev_class>;

/** `entry` is guarded by sysdev_list_lock. */
export const sys_device = struct('sys_device', { id: u32, cls: ptr, entry: list_head });
export type sys_device = StructView<typeof sys_device>;

/** Guards the lists while they change. Suspend and resume walk them without it: nobody else runs then. */
export const sysdev_list_lock = vmlinux.DEFINE('sysdev_list_lock', spinlock_t);
export const system_subsys = LIST_HEAD('system_subsys');

/** Argument of suspend functions. */
export const PMSG_SUSPEND = 2;

function complain(name: string): number {
  printk(
    KERN_ERR,
    `kobject_add failed for ${name} with -EEXIST, don't try to register things with the same name in the same directory.`,
  );
  dump_stack();
  return -EEXIST;
}

/** Must hold sysdev_list_lock. */
function class_exists(name: string): boolean {
  for (let at = system_subsys.next; at !== system_subsys.addr;) {
    const cls = sysdev_class.container(at, 'entry');
    if (cls.name === name) return true;
    at = cls.entry.next;
  }
  return false;
}

/** 0, -EEXIST, or what making its directory failed with. */
export const sysdev_class_register = kernel_function('sysdev_class_register', (cls: sysdev_class): number => {
  const { name } = cls;
  const error = should_fail('sysdev_class_register', name);
  if (error !== 0) return error;
  INIT_LIST_HEAD(cls.devices);
  spin_lock(sysdev_list_lock);
  const exists = class_exists(name);
  if (!exists) list_add_tail(cls.entry, system_subsys);
  spin_unlock(sysdev_list_lock);
  return exists ? complain(name) : 0;
});

export const sysdev_class_unregister = kernel_function(
  'sysdev_class_unregister',
  (cls: sysdev_class): void => {
    spin_lock(sysdev_list_lock);
    list_del(cls.entry);
    spin_unlock(sysdev_list_lock);
  },
);

/** Must hold sysdev_list_lock. */
function device_exists(cls: sysdev_class, id: number): boolean {
  for (let at = cls.devices.next; at !== cls.devices.addr;) {
    const device = sys_device.container(at, 'entry');
    if (device.id === id) return true;
    at = device.entry.next;
  }
  return false;
}

/** 0, -EINVAL without a class, -EEXIST, or what making its directory failed with. */
export const sysdev_register = kernel_function('sysdev_register', (sysdev: sys_device): number => {
  if (sysdev.cls === NULL) return -EINVAL;
  const cls = sysdev_class.at(sysdev.cls);
  const name = `${cls.name}${sysdev.id}`;
  const error = should_fail('sysdev_register', name);
  if (error !== 0) return error;
  spin_lock(sysdev_list_lock);
  const exists = device_exists(cls, sysdev.id);
  if (!exists) list_add_tail(sysdev.entry, cls.devices);
  spin_unlock(sysdev_list_lock);
  return exists ? complain(name) : 0;
});

export const sysdev_unregister = kernel_function('sysdev_unregister', (sysdev: sys_device): void => {
  spin_lock(sysdev_list_lock);
  list_del(sysdev.entry);
  spin_unlock(sysdev_list_lock);
});

function __sysdev_resume(device: sys_device): void {
  const { resume } = sysdev_class.at(device.cls);
  if (resume !== NULL) call_pointer(resume, device.addr);
}

/** Resumes the devices of a class up to, and without, `end`. */
function resume_devices(cls: sysdev_class, end: Ptr): void {
  for (let at = cls.devices.next; at !== cls.devices.addr;) {
    const device = sys_device.container(at, 'entry');
    if (device.addr === end) return;
    __sysdev_resume(device);
    at = device.entry.next;
  }
}

/** Suspends a class's devices; the device that would not, or NULL. */
function suspend_devices(cls: sysdev_class, state: number): { readonly failed: Ptr; readonly error: number } {
  const { suspend } = cls;
  for (let at = cls.devices.next; at !== cls.devices.addr;) {
    const device = sys_device.container(at, 'entry');
    const error = suspend === NULL ? 0 : (call_pointer(suspend, device.addr, state) as number);
    if (error !== 0) {
      printk(KERN_ERR, `Class suspend failed for ${cls.name}${device.id}`);
      return { failed: device.addr, error };
    }
    at = device.entry.next;
  }
  return { failed: NULL, error: 0 };
}

/**
 * Classes in reverse order of registration, devices of a class in order. A device that fails ends it: what was suspended
 * is resumed, and the error answered. Interrupts are off, one CPU is left.
 */
export const sysdev_suspend = kernel_function('sysdev_suspend', (state: number): number => {
  for (let at = system_subsys.prev; at !== system_subsys.addr;) {
    const cls = sysdev_class.container(at, 'entry');
    const { failed, error } = suspend_devices(cls, state);
    if (error !== 0) {
      resume_devices(cls, failed);
      for (let later = cls.entry.next; later !== system_subsys.addr;) {
        const other = sysdev_class.container(later, 'entry');
        resume_devices(other, NULL);
        later = other.entry.next;
      }
      return error;
    }
    at = cls.entry.prev;
  }
  return 0;
});

/** In order of registration. Interrupts are off. */
export const sysdev_resume = kernel_function('sysdev_resume', (): number => {
  for (let at = system_subsys.next; at !== system_subsys.addr;) {
    const cls = sysdev_class.container(at, 'entry');
    resume_devices(cls, NULL);
    at = cls.entry.next;
  }
  return 0;
});

function shutdown_devices(cls: sysdev_class): void {
  const { shutdown } = cls;
  if (shutdown === NULL) return;
  for (let at = cls.devices.next; at !== cls.devices.addr;) {
    const device = sys_device.container(at, 'entry');
    call_pointer(shutdown, device.addr);
    at = device.entry.next;
  }
}

/** Classes in reverse order of registration. */
export const sysdev_shutdown = kernel_function('sysdev_shutdown', (): void => {
  for (let at = system_subsys.prev; at !== system_subsys.addr;) {
    const cls = sysdev_class.container(at, 'entry');
    shutdown_devices(cls);
    at = cls.entry.prev;
  }
});
