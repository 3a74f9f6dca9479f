/**
 * Opening a file by its path.
 *
 * @linux fs/open.c, as of 2.6.24
 * Leaves out: what O_CREAT and its like ask for.
 *
 * Once user space has mounted something, a path leads where the mounts say (fs/namei.ts). A machine without user space, such as a
 * scenario's, finds device nodes in /dev, debugfs in /sys/kernel/debug, and procfs in /proc.
 */
import { ENOENT } from '#base/errno';
import { NULL, type Ptr } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { debugfs_lookup, dentry, dput } from './debugfs.ts';
import { fd_install, file, get_unused_fd, open_with, put_unused_fd } from './file.ts';
import { device_minor } from './fs/dev.ts';
import { has_namespace } from './fs/mount.ts';
import { path_open } from './fs/namei.ts';
import { proc_lookup } from './fs/proc.ts';
import { open_device } from './misc-file.ts';

/** Where debugfs is mounted. */
export const DEBUGFS_MOUNT = '/sys/kernel/debug/';

function open_debugfs(path: string): number {
  const entry = debugfs_lookup(path.slice(DEBUGFS_MOUNT.length));
  if (entry < 0) return entry;
  const { i_fop, i_private } = dentry.at(entry);
  const result = i_fop === NULL ? -ENOENT : open_with(path, i_fop, i_private);
  dput(entry);
  return result;
}

function open_proc(path: string): number {
  const inode = proc_lookup(path.slice('/proc/'.length));
  if (typeof inode === 'number') return inode;
  return inode.i_fop === NULL ? -ENOENT : open_with(path, inode.i_fop, inode.i_private);
}

/** An open file, or a negative errno. */
export const do_filp_open = kernel_function('do_filp_open', (path: string, flags: number): number => {
  if (has_namespace()) return path_open(path, flags);
  if (path.startsWith('/proc/')) return open_proc(path);
  if (path.startsWith(DEBUGFS_MOUNT)) return open_debugfs(path);
  if (!path.startsWith('/dev/')) return -ENOENT;
  const minor = device_minor(path.slice('/dev/'.length));
  return minor < 0 ? -ENOENT : open_device(path, minor);
});

/**
 * @param flags O_RDONLY, O_WRONLY or O_RDWR
 * @param path what the first argument would point to
 * @returns a descriptor, -ENOENT (no such path), -ENODEV (a node without its device), -EACCES (an attribute that is only read),
 *   -EISDIR (a directory, to be written), -EROFS, -ENFILE, -EMFILE, or what the device's own open says
 */
export const sys_open = kernel_function(
  'sys_open',
  (_filename: Ptr, flags: number, _mode: number, path: string): number => {
    const fd = get_unused_fd();
    if (fd < 0) return fd;
    const filp = do_filp_open(path, flags);
    if (filp < 0) {
      put_unused_fd(fd);
      return filp;
    }
    // Zero is what a new file has there.
    if (flags !== 0) file.at(filp).f_flags = flags;
    fd_install(fd, filp);
    return fd;
  },
);
