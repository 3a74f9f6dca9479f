/**
 * Inodes and mounts, as far as files without a name need them.
 *
 * @linux fs/inode.c, fs/namespace.c, fs/super.c, as of 2.6.24
 * Leaves out: what an inode is for. It has a state and a count, and a mount has a count.
 */
import { atomic_dec_and_test, atomic_inc, atomic_set, atomic_t } from '#memory/atomic';
import { vmlinux } from '#memory/image';
import { NULL, type Ptr, char, ptr, struct, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { spin_lock, spin_unlock, spinlock_t } from '#smp/spinlock';
import type { file_system_type } from './filesystems.ts';
import { GFP_KERNEL, kfree, kzalloc } from './slab.ts';

/** i_state is guarded by inode_lock; the rest is immutable while it lives. */
export const inode = struct('inode', { i_state: u32, i_count: atomic_t, i_mode: u32, i_mnt: ptr });

export const vfsmount = struct('vfsmount', { mnt_count: atomic_t, mnt_type: ptr, mnt_devname: char(24) });

export const I_DIRTY = 7;
const I_FREEING = 32;

/** Guards i_state of every inode. */
const inode_lock = vmlinux.DEFINE('inode_lock', spinlock_t);

/** A new inode with one reference; NULL when there is no memory. */
export const new_inode = kernel_function('new_inode', (mnt: Ptr): Ptr => {
  const ino = kzalloc(inode.size, GFP_KERNEL);
  if (ino === NULL) return NULL;
  atomic_set(inode.at(ino).i_count, 1);
  inode.at(ino).i_mnt = mnt;
  return ino;
});

/** Takes a reference on an inode that is not on its way out. */
export const igrab = kernel_function('igrab', (ino: Ptr): Ptr => {
  spin_lock(inode_lock);
  const view = inode.at(ino);
  const alive = (view.i_state & I_FREEING) === 0;
  if (alive) atomic_inc(view.i_count);
  spin_unlock(inode_lock);
  return alive ? ino : NULL;
});

export const iput = kernel_function('iput', (ino: Ptr): void => {
  if (ino === NULL || !atomic_dec_and_test(inode.at(ino).i_count)) return;
  spin_lock(inode_lock);
  inode.at(ino).i_state = I_FREEING;
  spin_unlock(inode_lock);
  kfree(ino);
});

export function mntget(mnt: Ptr): Ptr {
  if (mnt !== NULL) atomic_inc(vfsmount.at(mnt).mnt_count);
  return mnt;
}

export const mntput = kernel_function('mntput', (mnt: Ptr): void => {
  if (mnt !== NULL && atomic_dec_and_test(vfsmount.at(mnt).mnt_count)) kfree(mnt);
});

/** A mount of its own, that no path leads to; NULL when there is no memory. */
export const kern_mount = kernel_function('kern_mount', (type: file_system_type): Ptr => {
  const mnt = kzalloc(vfsmount.size, GFP_KERNEL);
  if (mnt === NULL) return NULL;
  const view = vfsmount.at(mnt);
  atomic_set(view.mnt_count, 1);
  view.mnt_type = type.addr;
  view.mnt_devname = type.name;
  return mnt;
});
