/**
 * Opening a file by its path.
 *
 * @linux fs/open.c, as of 2.6.24
 * Leaves out: directories, permissions, flags. There are device nodes, debugfs, and a few files of /proc.
 */
import { ENFILE, ENOENT } from '#base/errno';
import { vmlinux } from '#memory/image';
import { NULL, type Ptr, addressOf, ptr, struct } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { debugfs_lookup, dentry, dput } from './debugfs.ts';
import {
  fd_install,
  file,
  file_operations,
  get_empty_filp,
  get_unused_fd,
  open_with,
  put_filp,
  put_unused_fd,
} from './file.ts';
import { KVM_MINOR, misc_minor_by_name, misc_open, proc_devices, proc_misc } from './misc.ts';
import { proc_modules } from './proc-modules.ts';

/** Where debugfs is mounted. */
export const DEBUGFS_MOUNT = '/sys/kernel/debug/';

/** A file of /proc: its operations, and what makes its text. */
const proc_file = struct('proc_file', { fops: file_operations, show: ptr });

const proc_read = kernel_function('proc_file_read', (filp: Ptr): string => {
  const { show } = proc_file.container(file.at(filp).f_op, 'fops');
  return call_pointer(show) as string;
});

const proc_devices_file = vmlinux.DEFINE('proc_devices_file', proc_file, {
  fops: { read: proc_read.addr },
  show: proc_devices.addr,
});
const proc_misc_file = vmlinux.DEFINE('proc_misc_file', proc_file, {
  fops: { read: proc_read.addr },
  show: proc_misc.addr,
});
const proc_modules_file = vmlinux.DEFINE('proc_modules_file', proc_file, {
  fops: { read: proc_read.addr },
  show: proc_modules.addr,
});

/** Minor of the node at /dev/NAME, -1 if there is no node. That of kvm is always there; the others come with their device. */
function device_minor(name: string): number {
  return name === 'kvm' ? KVM_MINOR : misc_minor_by_name(name);
}

/** An open file for a miscellaneous device, or a negative errno. */
function open_device(path: string, minor: number): number {
  const filp = get_empty_filp();
  if (filp === NULL) return -ENFILE;
  file.at(filp).f_name = path;
  const error = misc_open(minor, filp);
  if (error === 0) return filp;
  put_filp(filp);
  return error;
}

function open_debugfs(path: string): number {
  const entry = debugfs_lookup(path.slice(DEBUGFS_MOUNT.length));
  if (entry < 0) return entry;
  const { i_fop, i_private } = dentry.at(entry);
  const result = i_fop === NULL ? -ENOENT : open_with(path, i_fop, i_private);
  dput(entry);
  return result;
}

/** An open file, or a negative errno. */
export const do_filp_open = kernel_function('do_filp_open', (path: string): number => {
  if (path === '/proc/devices') return open_with(path, addressOf(proc_devices_file, 'fops'), NULL);
  if (path === '/proc/misc') return open_with(path, addressOf(proc_misc_file, 'fops'), NULL);
  if (path === '/proc/modules') return open_with(path, addressOf(proc_modules_file, 'fops'), NULL);
  if (path.startsWith(DEBUGFS_MOUNT)) return open_debugfs(path);
  if (!path.startsWith('/dev/')) return -ENOENT;
  const minor = device_minor(path.slice('/dev/'.length));
  return minor < 0 ? -ENOENT : open_device(path, minor);
});

/**
 * @param path what the first argument would point to
 * @returns a descriptor, -ENOENT (no such path), -ENODEV (a node without its device), -ENFILE, -EMFILE, or what the device's own
 *   open says
 */
export const sys_open = kernel_function(
  'sys_open',
  (_filename: Ptr, _flags: number, _mode: number, path: string): number => {
    const fd = get_unused_fd();
    if (fd < 0) return fd;
    const filp = do_filp_open(path);
    if (filp < 0) {
      put_unused_fd(fd);
      return filp;
    }
    fd_install(fd, filp);
    return fd;
  },
);
