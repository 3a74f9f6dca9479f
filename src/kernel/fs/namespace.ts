/**
 * Mounting: which file system is at which path.
 *
 * @linux fs/namespace.c, fs/filesystems.c (get_fs_type), as of 2.6.24
 * Leaves out: a namespace for each process, bind mounts, moving, propagation, expiry, lazy unmounting, and super blocks (each
 * of these file systems has one of everything anyway). The root is user space's own: the kernel knows nothing of what is in
 * it, so whoever mounts there has looked whether the directory exists.
 */
import { EBUSY, EINVAL, ENODEV, ENOENT, ENOMEM, ENOTDIR } from '#base/errno';
import { atomic_read, atomic_set } from '#memory/atomic';
import { INIT_LIST_HEAD, list_add_tail, list_del } from '#memory/list';
import { NULL, type Ptr } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import { spin_lock, spin_unlock } from '#smp/spinlock';
import { strncpy_from_user } from '../file.ts';
import { file_system_type, find_registered } from '../filesystems.ts';
import { mntput } from '../inode.ts';
import { GFP_KERNEL, kfree, kzalloc } from '../slab.ts';
import { clean_path, is_dir } from './fs_types.ts';
import {
  MS_RDONLY,
  MS_REMOUNT,
  is_below,
  lookup_in,
  lookup_mnt,
  mount,
  mount_list,
  mounts_made,
  namespace_sem,
  vfsmount_lock,
} from './mount.ts';
import { builtin_fs_types } from './proc.ts';

/** Longest name that is copied in from user space. */
const NAME_BYTES = 64;

/** NULL for a type that nobody has registered. */
export const get_fs_type = kernel_function('get_fs_type', (name: string): Ptr => {
  for (const type of builtin_fs_types()) if (file_system_type.at(type).name === name) return type;
  return find_registered(name);
});

/** 0 if something can be mounted there. */
function check_mountpoint(path: string): number {
  const covering = lookup_mnt(path);
  if (covering === NULL) return 0;
  const found = lookup_in(mount.at(covering), path);
  mntput(covering);
  if (typeof found === 'number') return found;
  return is_dir(found) ? 0 : -ENOTDIR;
}

/** Must hold namespace_sem. The latest mount at exactly this path, NULL for none. */
function mount_at(path: string): Ptr {
  let found = NULL;
  for (let at = mount_list.next; at !== mount_list.addr;) {
    const mnt = mount.container(at, 'mnt_list');
    if (mnt.mnt_mountpoint === path) found = mnt.addr;
    at = mnt.mnt_list.next;
  }
  return found;
}

/** Must hold namespace_sem. */
function do_remount(path: string, flags: number): number {
  const found = mount_at(path);
  if (found === NULL) return -EINVAL;
  spin_lock(vfsmount_lock);
  mount.at(found).mnt_flags = flags & MS_RDONLY;
  spin_unlock(vfsmount_lock);
  return 0;
}

/** Must hold namespace_sem. */
function do_new_mount(path: string, dev_name: string, type_name: string, flags: number): number {
  const type = get_fs_type(type_name);
  if (type === NULL || file_system_type.at(type).lookup === NULL) return -ENODEV;
  const error = check_mountpoint(path);
  if (error !== 0) return error;
  const there = mount_at(path);
  // The same file system at the same place once more.
  if (there !== NULL && mount.at(there).mnt.mnt_type === type) return -EBUSY;
  const address = kzalloc(mount.size, GFP_KERNEL);
  if (address === NULL) return -ENOMEM;
  const mnt = mount.at(address);
  atomic_set(mnt.mnt.mnt_count, 1);
  mnt.mnt.mnt_type = type;
  mnt.mnt.mnt_devname = dev_name;
  mnt.mnt_flags = flags & MS_RDONLY;
  mnt.mnt_mountpoint = path;
  INIT_LIST_HEAD(mnt.mnt_list);
  mounts_made.value += 1;
  spin_lock(vfsmount_lock);
  list_add_tail(mnt.mnt_list, mount_list);
  spin_unlock(vfsmount_lock);
  return 0;
}

/**
 * @param dir_name what the second argument of the system call would point to
 * @returns 0, -ENODEV (no such type, or one without a tree), -ENOENT, -ENOTDIR, -EBUSY (it is there already), -ENOMEM, -EFAULT;
 *   remounting where nothing is mounted: -EINVAL
 */
export const sys_mount = kernel_function(
  'sys_mount',
  (dev_name: Ptr, type: Ptr, flags: number, dir_name: string): number => {
    const type_name = strncpy_from_user(type, NAME_BYTES);
    if (typeof type_name === 'number') return type_name;
    const device = strncpy_from_user(dev_name, NAME_BYTES);
    if (typeof device === 'number') return device;
    const path = clean_path(dir_name);
    mutex_lock(namespace_sem);
    const result =
      (flags & MS_REMOUNT) !== 0 ? do_remount(path, flags) : do_new_mount(path, device, type_name, flags);
    mutex_unlock(namespace_sem);
    return result;
  },
);

/** Must hold namespace_sem. Whether something is mounted below this mount. */
function has_children(mnt: mount): boolean {
  const point = mnt.mnt_mountpoint;
  for (let at = mnt.mnt_list.next; at !== mount_list.addr;) {
    const other = mount.container(at, 'mnt_list');
    if (is_below(other.mnt_mountpoint, point)) return true;
    at = other.mnt_list.next;
  }
  return false;
}

/** Must hold namespace_sem. */
function do_umount(path: string): number {
  const found = mount_at(path);
  if (found === NULL) return path === '' ? -EBUSY : -EINVAL;
  const mnt = mount.at(found);
  spin_lock(vfsmount_lock);
  const busy = atomic_read(mnt.mnt.mnt_count) > 1 || has_children(mnt);
  if (!busy) list_del(mnt.mnt_list);
  spin_unlock(vfsmount_lock);
  if (busy) return -EBUSY;
  kfree(found);
  return 0;
}

/** @returns 0, -EINVAL (nothing is mounted there), -EBUSY (a file is open in it, or something is mounted below), -ENOENT */
export const sys_umount = kernel_function(
  'sys_umount',
  (_name: Ptr, _flags: number, _unused: number, name: string): number => {
    if (name === '') return -ENOENT;
    mutex_lock(namespace_sem);
    const result = do_umount(clean_path(name));
    mutex_unlock(namespace_sem);
    return result;
  },
);
