/**
 * Reading a directory, and what `stat` says.
 *
 * @linux fs/readdir.c, fs/stat.c, include/linux/dirent.h, as of 2.6.24
 * Leaves out: inode numbers that mean anything (an entry's place stands there), times, owners, link counts.
 */
import { EBADF, EFAULT, EINVAL, EISDIR, ENOENT, ENOTDIR } from '#base/errno';
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { NULL, type Ptr, struct, u16, u32, u64, u8 } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { access_ok, fget, file, file_operations, fput } from '../file.ts';
import { mntput } from '../inode.ts';
import { type dirent, clean_path, make_dir } from './fs_types.ts';
import { lookup_in, lookup_mnt, mount, mount_type } from './mount.ts';

const generic_read_dir = kernel_function('generic_read_dir', (): number => -EISDIR);

/** Of an open directory: its own, so that reading its entries tells it from a file. */
export const dir_operations = vmlinux.DEFINE('dir_operations', file_operations, {
  read: generic_read_dir.addr,
});

/** An entry as user space gets it; its name follows, with a NUL. */
export const linux_dirent64 = struct('linux_dirent64', { d_ino: u64, d_off: u64, d_reclen: u16, d_type: u8 });
const NAME_OFFSET = linux_dirent64.offsetof('d_type') + 1;

const encoder = new TextEncoder();

/** Writes one entry; its length, 0 if it does not fit. */
function filldir(to: Ptr, room: number, entry: dirent, place: number): number {
  const name = encoder.encode(`${entry.name}\0`);
  const length = (NAME_OFFSET + name.length + 7) & ~7;
  if (length > room) return 0;
  const view = linux_dirent64.at(to);
  view.d_ino = BigInt(place + 1);
  view.d_off = BigInt(place + 1);
  view.d_reclen = length;
  // The type's number is the upper half of the mode's.
  view.d_type = entry.i_mode >>> 12;
  bus.storeBytes(to + NAME_OFFSET, name);
  return length;
}

/** Must hold a reference on the file. */
function vfs_readdir(filp: Ptr, buf: Ptr, count: number): number {
  const view = file.at(filp);
  if (view.f_op !== dir_operations.addr) return -ENOTDIR;
  if (!access_ok(buf, count)) return -EFAULT;
  const list = call_pointer(mount_type(mount.at(view.f_vfsmnt)).readdir, view.f_name) as dirent[] | number;
  if (typeof list === 'number') return list;
  let used = 0;
  let place = view.f_pos;
  while (place < list.length) {
    const length = filldir(buf + used, count - used, list[place]!, place);
    if (length === 0) break;
    used += length;
    place += 1;
  }
  if (used === 0 && place < list.length) return -EINVAL;
  view.f_pos = place;
  return used;
}

/** @returns bytes of whole entries, 0 at the end; -EBADF, -ENOTDIR, -EFAULT, -EINVAL where not one entry has room */
export const sys_getdents64 = kernel_function(
  'sys_getdents64',
  (fd: number, buf: Ptr, count: number): number => {
    const filp = fget(fd);
    if (filp === NULL) return -EBADF;
    const result = vfs_readdir(filp, buf, count);
    fput(filp);
    return result;
  },
);

/** What sys_newstat writes. */
export const kstat = struct('kstat', { mode: u32, rdev: u32, size: u32 });

/** @param path what the first argument would point to @returns 0, -ENOENT, -EFAULT */
export const sys_newstat = kernel_function(
  'sys_newstat',
  (_filename: Ptr, statbuf: Ptr, _unused: number, path: string): number => {
    const clean = clean_path(path);
    const covering = lookup_mnt(clean);
    if (covering === NULL && clean !== '') return -ENOENT;
    const inode = covering === NULL ? make_dir() : lookup_in(mount.at(covering), clean);
    if (covering !== NULL) mntput(covering);
    if (typeof inode === 'number') return inode;
    if (!access_ok(statbuf, kstat.size)) return -EFAULT;
    const view = kstat.at(statbuf);
    view.mode = inode.i_mode;
    view.rdev = inode.i_rdev;
    view.size = inode.i_size;
    return 0;
  },
);
