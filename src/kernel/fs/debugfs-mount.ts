/**
 * debugfs as a file system that can be mounted.
 *
 * @linux fs/debugfs/inode.c (debug_get_sb), as of 2.6.24
 * What is in it is in ../debugfs.ts: it is there whether anybody has mounted it or not.
 */
import { vmlinux } from '#memory/image';
import { NULL } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import { debugfs_lookup, dentry, dput } from '../debugfs.ts';
import { file_system_type } from '../filesystems.ts';
import type { dirent, path_inode } from './fs_types.ts';
import { sysfs_fs_type } from './sysfs.ts';

const debugfs_path_lookup = kernel_function('debugfs_path_lookup', (path: string): path_inode | number => {
  const entry = debugfs_lookup(path);
  if (entry < 0) return entry;
  const { i_mode, i_fop, i_private } = dentry.at(entry);
  dput(entry);
  return { i_mode, i_fop, i_private, i_rdev: 0, i_size: 0 };
});

/** Newest first, as the list is. */
const debugfs_readdir = kernel_function('dcache_readdir', (path: string): dirent[] | number => {
  const entry = debugfs_lookup(path);
  if (entry < 0) return entry;
  const dir = dentry.at(entry);
  const entries: dirent[] = [];
  mutex_lock(dir.i_mutex);
  for (let at = dir.d_subdirs.next; at !== dir.d_subdirs.addr && at !== NULL;) {
    const child = dentry.container(at, 'd_child');
    entries.push({ name: child.d_name, i_mode: child.i_mode });
    at = child.d_child.next;
  }
  mutex_unlock(dir.i_mutex);
  dput(entry);
  return entries;
});

export const debug_fs_type = vmlinux.DEFINE('debug_fs_type', file_system_type, {
  name: 'debugfs',
  next: sysfs_fs_type.addr,
  lookup: debugfs_path_lookup.addr,
  readdir: debugfs_readdir.addr,
});
