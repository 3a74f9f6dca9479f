/**
 * The table of mounts, and who covers a path. Mounting itself is in namespace.ts.
 *
 * @linux include/linux/mount.h, fs/namespace.c (lookup_mnt), as of 2.6.24
 */
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { list_head } from '#memory/list';
import { NULL, type Ptr, type StructView, char, struct, u32 } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { mutex } from '#smp/mutex';
import { spin_lock, spin_unlock, spinlock_t } from '#smp/spinlock';
import { file_system_type } from '../filesystems.ts';
import { mntget, vfsmount } from '../inode.ts';
import { LIST_HEAD } from '../static-list.ts';
import type { path_inode } from './fs_types.ts';

export const MS_RDONLY = 1;
export const MS_REMOUNT = 32;

const MOUNTPOINT_BYTES = 96;

/** Linked and unlinked under namespace_sem and vfsmount_lock; the rest is immutable, but for the flags (vfsmount_lock). */
export const mount = struct('mount', {
  mnt: vfsmount,
  mnt_list: list_head,
  mnt_flags: u32,
  mnt_mountpoint: char(MOUNTPOINT_BYTES),
});
export type mount = StructView<typeof mount>;

/** One mount or unmount at a time. Lock order: namespace_sem > vfsmount_lock. */
export const namespace_sem = vmlinux.DEFINE('namespace_sem', mutex);
export const vfsmount_lock = vmlinux.DEFINE('vfsmount_lock', spinlock_t);
/** Mounts, the oldest first. */
export const mount_list = LIST_HEAD('mount_list');
/** Mounts ever made; guarded by namespace_sem. */
export const mounts_made = vmlinux.DEFINE('mounts_made', u32);

/**
 * Whether user space has mounted anything yet. Until it does, paths lead where every distribution mounts these file systems.
 * A look that is no operation: user space mounts before it does anything that could race.
 */
export function has_namespace(): boolean {
  return bus.loadLocal32(mounts_made.addr) !== 0;
}

/** Whether `path` is `point` or below it. Both without a slash at the end. */
export function is_below(path: string, point: string): boolean {
  return path === point || point === '' || path.startsWith(`${point}/`);
}

/** The mount that covers a clean path, with a reference; NULL if the path is in user space's root. */
export const lookup_mnt = kernel_function('lookup_mnt', (path: string): Ptr => {
  let found = NULL;
  let longest = -1;
  spin_lock(vfsmount_lock);
  for (let at = mount_list.next; at !== mount_list.addr;) {
    const mnt = mount.container(at, 'mnt_list');
    const point = mnt.mnt_mountpoint;
    // Of two at one place the later one hides the other.
    if (is_below(path, point) && point.length >= longest) {
      found = mnt.addr;
      longest = point.length;
    }
    at = mnt.mnt_list.next;
  }
  if (found !== NULL) mntget(found);
  spin_unlock(vfsmount_lock);
  return found;
});

export function mount_type(mnt: mount): StructView<typeof file_system_type> {
  return file_system_type.at(mnt.mnt.mnt_type);
}

/** The part of a clean path below the mount that covers it. */
export function path_in(mnt: mount, path: string): string {
  return path.slice(mnt.mnt_mountpoint.length);
}

/** What a clean path leads to below a mount that covers it; negative errno where there is nothing. */
export function lookup_in(mnt: mount, path: string): path_inode | number {
  return call_pointer(mount_type(mnt).lookup, path_in(mnt, path)) as path_inode | number;
}
