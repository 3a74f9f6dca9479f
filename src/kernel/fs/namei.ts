/**
 * From a path to an open file.
 *
 * @linux fs/namei.c, fs/open.c, as of 2.6.24
 * Leaves out: users (everybody is root), links, creating and removing: what these file systems hold comes from the kernel.
 */
import { EACCES, EISDIR, ENAMETOOLONG, ENOENT, EROFS } from '#base/errno';
import { NULL } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { O_ACCMODE, O_RDONLY, file, open_with } from '../file.ts';
import { mntput } from '../inode.ts';
import { open_device } from '../misc-file.ts';
import { S_IFCHR, S_IFMT, clean_path, is_dir, type path_inode } from './fs_types.ts';
import { MS_RDONLY, lookup_in, lookup_mnt, mount, mount_type, path_in } from './mount.ts';
import { dir_operations } from './readdir.ts';

/** Longest path of a directory below its mount that a file keeps. */
const F_NAME_MAX = 39;

/** Whether the file lets itself be opened for that: who is root is refused only what there is no function for. */
function may_open(inode: path_inode, mnt: mount, flags: number): number {
  const writes = (flags & O_ACCMODE) !== O_RDONLY;
  if (is_dir(inode)) return writes ? -EISDIR : 0;
  const is_device = (inode.i_mode & S_IFMT) === S_IFCHR;
  if (writes && !is_device && (mnt.mnt_flags & MS_RDONLY) !== 0) return -EROFS;
  if (writes && !is_device && mount_type(mnt).name === 'sysfs' && (inode.i_mode & 0o222) === 0)
    return -EACCES;
  return 0;
}

/** Opens what a path leads to. The file keeps the mount busy. An open file, or a negative errno. */
export const path_open = kernel_function(
  '__path_lookup_intent_open',
  (name: string, flags: number): number => {
    const path = clean_path(name);
    const covering = lookup_mnt(path);
    if (covering === NULL) return -ENOENT;
    const mnt = mount.at(covering);
    const inode = lookup_in(mnt, path);
    let result = typeof inode === 'number' ? inode : may_open(inode, mnt, flags);
    if (typeof inode !== 'number' && result === 0) result = open_inode(inode, path, path_in(mnt, path));
    if (result < 0) mntput(covering);
    else file.at(result).f_vfsmnt = covering;
    return result;
  },
);

function open_inode(inode: path_inode, path: string, below: string): number {
  if (is_dir(inode)) {
    if (below.length > F_NAME_MAX) return -ENAMETOOLONG;
    return open_with(below, dir_operations.addr, NULL);
  }
  if ((inode.i_mode & S_IFMT) === S_IFCHR) return open_device(path, inode.i_private);
  return inode.i_fop === NULL ? -ENOENT : open_with(path, inode.i_fop, inode.i_private);
}
