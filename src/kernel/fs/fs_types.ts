/**
 * What a pseudo file system answers, and what files of one text have in common.
 *
 * @linux include/linux/stat.h, include/linux/fs.h, include/linux/dirent.h, as of 2.6.24
 * Leaves out: inodes and dentries that live on. A path is looked up anew each time, from what the kernel's own lists say at
 * that moment; times, owners and link counts are not kept.
 */
import { type Ptr, ptr, struct } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { file, file_operations } from '../file.ts';

export const S_IFMT = 0o170000;
export const S_IFCHR = 0o020000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;

/** What a path leads to. A value and not an object: nothing of it is kept. */
export interface path_inode {
  /** type and permissions */
  readonly i_mode: number;
  /** address of file_operations; NULL = it cannot be opened (a directory, or a device without a driver) */
  readonly i_fop: Ptr;
  /** what its file finds in private_data */
  readonly i_private: number;
  /** of a device: major << 8 | minor */
  readonly i_rdev: number;
  readonly i_size: number;
}

/** An entry of a directory. */
export interface dirent {
  readonly name: string;
  readonly i_mode: number;
}

export const DIR_MODE = S_IFDIR | 0o755;

export function make_dir(): path_inode {
  return { i_mode: DIR_MODE, i_fop: 0, i_private: 0, i_rdev: 0, i_size: 0 };
}

export function is_dir(inode: path_inode): boolean {
  return (inode.i_mode & S_IFMT) === S_IFDIR;
}

/** The names of a path, without empty ones; `.` and `..` are resolved by name, as there are no links to directories. */
export function path_components(path: string): string[] {
  const names: string[] = [];
  for (const name of path.split('/')) {
    if (name === '' || name === '.') continue;
    if (name === '..') names.pop();
    else names.push(name);
  }
  return names;
}

/** A path from the root without anything superfluous: `/sys/kernel`; the root is the empty string. */
export function clean_path(path: string): string {
  let clean = '';
  for (const name of path_components(path)) clean += `/${name}`;
  return clean;
}

/**
 * A file whose text a function makes when it is read, and that perhaps another one takes when it is written: an attribute of
 * sysfs, an entry of procfs. `show(private_data)` answers the text, or a negative errno; `store(private_data, text)` the
 * bytes taken, or a negative errno.
 */
export const text_file = struct('text_file', { fops: file_operations, show: ptr, store: ptr });

export const text_file_read = kernel_function('seq_read', (filp: Ptr): string | number => {
  const { f_op, private_data } = file.at(filp);
  return call_pointer(text_file.container(f_op, 'fops').show, private_data) as string | number;
});

export const text_file_write = kernel_function('sysfs_write_file', (filp: Ptr, text: string): number => {
  const { f_op, private_data } = file.at(filp);
  return call_pointer(text_file.container(f_op, 'fops').store, private_data, text) as number;
});

/** Operations of a file that is only read. */
export const READ_ONLY_FOPS = Object.freeze({ read: text_file_read.addr });
/** Of one that is written too. */
export const READ_WRITE_FOPS = Object.freeze({ read: text_file_read.addr, write: text_file_write.addr });

/** The inode of a file: its length is not known before it is read. */
export function make_file(mode: number, fops: Ptr, data: number, size: number): path_inode {
  return { i_mode: S_IFREG | mode, i_fop: fops, i_private: data, i_rdev: 0, i_size: size };
}
