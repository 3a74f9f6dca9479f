/**
 * Miscellaneous character devices: one major, a minor for each driver.
 *
 * @linux drivers/char/misc.c, as of 2.6.24
 * Leaves out: the device class in sysfs.
 */
import { EBUSY, EINVAL, ENODEV } from '#base/errno';
import { vmlinux } from '#memory/image';
import { INIT_LIST_HEAD, list_add, list_del, list_empty, list_head } from '#memory/list';
import { NULL, type Ptr, type StructView, array, char, ptr, struct, u32 } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { should_fail } from '#smp/fault_inject';
import { mutex, mutex_lock, mutex_unlock } from '#smp/mutex';
import { proc_devices, register_chrdev } from './char_dev.ts';
import { file, file_operations, fops_get, fops_put } from './file.ts';
import { request_module } from './module.ts';
import { LIST_HEAD } from './static-list.ts';

export { proc_devices };

export const MISC_MAJOR = 10;
export const KVM_MINOR = 232;
export const MISC_DYNAMIC_MINOR = 255;

/** Minors that are given out on request. */
const DYNAMIC_MINORS = 64;

/** `list` and `minor` are guarded by misc_mtx while it is registered; the rest is immutable then. */
export const miscdevice = struct('miscdevice', { minor: u32, name: char(20), fops: ptr, list: list_head });
export type miscdevice = StructView<typeof miscdevice>;

/** Guards misc_list and misc_minors. Held across a device's own open. */
export const misc_mtx = vmlinux.DEFINE('misc_mtx', mutex);
/** Registered devices, newest first. */
export const misc_list = LIST_HEAD('misc_list');
/** Dynamic minors in use. */
const misc_minors = vmlinux.DEFINE('misc_minors', array(u32, DYNAMIC_MINORS / 32));

/** Boot. */
export const misc_init = kernel_function('misc_init', (): number => register_chrdev(MISC_MAJOR, 'misc'));

/** Must hold misc_mtx. NULL if nobody has the minor. */
function find_minor(minor: number): Ptr {
  for (let at = misc_list.next; at !== misc_list.addr;) {
    const device = miscdevice.container(at, 'list');
    if (device.minor === minor) return device.addr;
    at = device.list.next;
  }
  return NULL;
}

/** Must hold misc_mtx. The highest free dynamic minor, -1 if there is none. */
function free_dynamic_minor(): number {
  for (let minor = DYNAMIC_MINORS - 1; minor >= 0; minor--) {
    if ((misc_minors.get(minor >>> 5) & (1 << (minor & 31))) === 0) return minor;
  }
  return -1;
}

/** Must hold misc_mtx. */
function misc_register_locked(misc: miscdevice): number {
  if (find_minor(misc.minor) !== NULL) return -EBUSY;
  if (misc.minor === MISC_DYNAMIC_MINOR) {
    const minor = free_dynamic_minor();
    if (minor < 0) return -EBUSY;
    misc.minor = minor;
  }
  const { minor } = misc;
  if (minor < DYNAMIC_MINORS) {
    misc_minors.set(minor >>> 5, (misc_minors.get(minor >>> 5) | (1 << (minor & 31))) >>> 0);
  }
  // device_create: what can fail here is memory for the node in sysfs.
  const error = should_fail('misc_register', misc.name);
  if (error !== 0) return error;
  list_add(misc.list, misc_list);
  return 0;
}

/** From its return on, the device can be opened. 0, -EBUSY (minor taken), or what making the node failed with. */
export const misc_register = kernel_function('misc_register', (misc: miscdevice): number => {
  INIT_LIST_HEAD(misc.list);
  mutex_lock(misc_mtx);
  const error = misc_register_locked(misc);
  mutex_unlock(misc_mtx);
  return error;
});

/** Files that are open stay so. 0, or -EINVAL if it was not registered. */
export const misc_deregister = kernel_function('misc_deregister', (misc: miscdevice): number => {
  if (list_empty(misc.list)) return -EINVAL;
  mutex_lock(misc_mtx);
  list_del(misc.list);
  const { minor } = misc;
  if (minor < DYNAMIC_MINORS) {
    misc_minors.set(minor >>> 5, (misc_minors.get(minor >>> 5) & ~(1 << (minor & 31))) >>> 0);
  }
  mutex_unlock(misc_mtx);
  return 0;
});

/** Must hold misc_mtx. Operations of the device with this minor, and a reference on their module; NULL for none. */
function get_fops(minor: number): Ptr {
  const device = find_minor(minor);
  return device === NULL ? NULL : fops_get(miscdevice.at(device).fops);
}

/** Gives an opened file the operations of the device with this minor. 0, -ENODEV, or what its own open says. */
export const misc_open = kernel_function('misc_open', (minor: number, filp: Ptr): number => {
  mutex_lock(misc_mtx);
  let fops = get_fops(minor);
  if (fops === NULL) {
    mutex_unlock(misc_mtx);
    request_module(`char-major-${MISC_MAJOR}-${minor}`);
    mutex_lock(misc_mtx);
    fops = get_fops(minor);
  }
  let error = -ENODEV;
  if (fops !== NULL) {
    file.at(filp).f_op = fops;
    const { open } = file_operations.at(fops);
    error = open === NULL ? 0 : (call_pointer(open, NULL, filp) as number);
    if (error !== 0) {
      file.at(filp).f_op = NULL;
      fops_put(fops);
    }
  }
  mutex_unlock(misc_mtx);
  return error;
});

/** Minor of the registered device with this name, -1 for none. */
export function misc_minor_by_name(name: string): number {
  mutex_lock(misc_mtx);
  let minor = -1;
  for (let at = misc_list.next; at !== misc_list.addr;) {
    const device = miscdevice.container(at, 'list');
    if (device.name === name) minor = device.minor;
    at = device.list.next;
  }
  mutex_unlock(misc_mtx);
  return minor;
}

/** Text of /proc/misc. */
export const proc_misc = kernel_function('proc_misc', (): string => {
  mutex_lock(misc_mtx);
  let text = '';
  for (let at = misc_list.next; at !== misc_list.addr;) {
    const device = miscdevice.container(at, 'list');
    text += `${String(device.minor).padStart(3)} ${device.name}\n`;
    at = device.list.next;
  }
  mutex_unlock(misc_mtx);
  return text;
});
