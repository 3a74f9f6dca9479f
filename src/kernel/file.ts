/**
 * Open files and file descriptors.
 *
 * @linux include/linux/fs.h, fs/file_table.c, fs/open.c, fs/ioctl.c, fs/read_write.c, as of 2.6.24
 * Leaves out: inodes and dentries of files (operations get NULL for an inode), RCU lookup (fget takes file_lock instead),
 * a table for each process (there is one), seeking, the big kernel lock around `ioctl`.
 *
 * User memory is pages of the heap: whoever makes a system call passes their address.
 */
import { EBADF, EFAULT, EINVAL, EMFILE, ENFILE, ENODEV, ENOTTY } from '#base/errno';
import { atomic_dec_and_test, atomic_inc, atomic_read, atomic_set, atomic_t } from '#memory/atomic';
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { NULL, type Ptr, type StructView, array, char, memcpy, ptr, struct, u32 } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { spin_lock, spin_unlock, spinlock_t } from '#smp/spinlock';
import { iput, mntput } from './inode.ts';
import { module_put, try_module_get } from './module.ts';
import { virt_addr_valid } from './page_alloc.ts';
import {
  GFP_KERNEL,
  SLAB_HWCACHE_ALIGN,
  SLAB_PANIC,
  kmem_cache_create,
  kmem_cache_free,
  kmem_cache_zalloc,
} from './slab.ts';

/**
 * Function pointers, and the module that has them. Immutable, but for kvm_chardev_ops.owner (spec KI-12).
 * A read function takes the file and answers the whole text, a write function takes all that is written at once: no pieces.
 */
export const file_operations = struct('file_operations', {
  owner: ptr,
  /** (inode, file) => 0 or negative errno */
  open: ptr,
  /** (inode, file) => number */
  release: ptr,
  /** (file) => string, or negative errno */
  read: ptr,
  /** (file, text) => bytes taken, or negative errno */
  write: ptr,
  /** (file, cmd, arg) => number */
  unlocked_ioctl: ptr,
  compat_ioctl: ptr,
  /** (file, page offset) => address of a page, or negative errno */
  mmap: ptr,
});
export type file_operations = StructView<typeof file_operations>;

/** Owned by who holds a reference; f_op changes only while it is being opened. */
export const file = struct('file', {
  f_count: atomic_t,
  f_op: ptr,
  private_data: ptr,
  /** of a file on a pseudo file system: what it holds references on */
  f_inode: ptr,
  f_vfsmnt: ptr,
  /** bytes read so far */
  f_pos: u32,
  /** what it was opened as; of a directory, its path below the mount */
  f_name: char(40),
  /** what it was opened for: O_RDONLY (0), O_WRONLY, O_RDWR; immutable once it is open */
  f_flags: u32,
});
export type file = StructView<typeof file>;

const NR_OPEN = 128;
/** Descriptors 0 to 2: every process comes with these, to a console that is not modelled. */
const STANDARD_STREAMS = 0b111;

const files_struct = struct('files_struct', {
  file_lock: spinlock_t,
  /** 1 = the descriptor is taken, perhaps without a file yet; guarded by file_lock */
  open_fds: array(u32, NR_OPEN / 32),
  /** guarded by file_lock */
  fd: array(ptr, NR_OPEN),
});

/** All processes share it: a host call names a descriptor, whatever task it runs in. */
export const init_files = vmlinux.DEFINE('init_files', files_struct);

const filp_cachep = vmlinux.DEFINE('filp_cachep', ptr);

/** Boot. @linux fs/dcache.c (vfs_caches_init), as of 2.6.24 */
export const files_init = kernel_function('files_init', (): void => {
  filp_cachep.value = kmem_cache_create('filp', file.size, 0, SLAB_HWCACHE_ALIGN | SLAB_PANIC, NULL);
  init_files.open_fds.set(0, STANDARD_STREAMS);
});

/** A file without operations, with one reference; NULL when there is no memory. */
export const get_empty_filp = kernel_function('get_empty_filp', (): Ptr => {
  const filp = kmem_cache_zalloc(filp_cachep.value, GFP_KERNEL);
  if (filp !== NULL) atomic_set(file.at(filp).f_count, 1);
  return filp;
});

/** Gives back a file that was never opened. */
export const put_filp = kernel_function('put_filp', (filp: Ptr): void => {
  if (atomic_dec_and_test(file.at(filp).f_count)) kmem_cache_free(filp_cachep.value, filp);
});

/** Reserves the lowest free descriptor, or -EMFILE. */
export const get_unused_fd = kernel_function('get_unused_fd', (): number => {
  const { open_fds, file_lock } = init_files;
  spin_lock(file_lock);
  let fd = -EMFILE;
  for (let word = 0; word < NR_OPEN / 32 && fd < 0; word++) {
    const bits = open_fds.get(word);
    if (bits === 0xffffffff) continue;
    const bit = 31 - Math.clz32(~bits & -~bits);
    open_fds.set(word, (bits | (1 << bit)) >>> 0);
    fd = word * 32 + bit;
  }
  spin_unlock(file_lock);
  return fd;
});

/** Must hold file_lock. */
function release_fd(fd: number): void {
  const { open_fds } = init_files;
  open_fds.set(fd >>> 5, (open_fds.get(fd >>> 5) & ~(1 << (fd & 31))) >>> 0);
}

export const put_unused_fd = kernel_function('put_unused_fd', (fd: number): void => {
  spin_lock(init_files.file_lock);
  release_fd(fd);
  spin_unlock(init_files.file_lock);
});

/** From here on the descriptor works: other tasks may use it, and close it. */
export const fd_install = kernel_function('fd_install', (fd: number, filp: Ptr): void => {
  spin_lock(init_files.file_lock);
  init_files.fd.set(fd, filp);
  spin_unlock(init_files.file_lock);
});

/** The file behind a descriptor, with a reference of its own; NULL if there is none. */
export const fget = kernel_function('fget', (fd: number): Ptr => {
  if (fd < 0 || fd >= NR_OPEN) return NULL;
  spin_lock(init_files.file_lock);
  const filp = init_files.fd.get(fd);
  if (filp !== NULL) atomic_inc(file.at(filp).f_count);
  spin_unlock(init_files.file_lock);
  return filp;
});

export function get_file(filp: Ptr): void {
  atomic_inc(file.at(filp).f_count);
}

export function file_count(filp: Ptr): number {
  return atomic_read(file.at(filp).f_count);
}

/** The operations with a reference on their module; NULL if it is on its way out. */
export function fops_get(fops: Ptr): Ptr {
  return fops !== NULL && try_module_get(file_operations.at(fops).owner) ? fops : NULL;
}

export function fops_put(fops: Ptr): void {
  if (fops !== NULL) module_put(file_operations.at(fops).owner);
}

/** The last reference is gone. */
const __fput = kernel_function('__fput', (filp: Ptr): void => {
  const { f_op, f_inode, f_vfsmnt } = file.at(filp);
  if (f_op !== NULL) {
    const { release } = file_operations.at(f_op);
    if (release !== NULL) call_pointer(release, NULL, filp);
    fops_put(f_op);
  }
  iput(f_inode);
  mntput(f_vfsmnt);
  kmem_cache_free(filp_cachep.value, filp);
});

/** Drops a reference; the last one releases the file. */
export const fput = kernel_function('fput', (filp: Ptr): void => {
  if (atomic_dec_and_test(file.at(filp).f_count)) __fput(filp);
});

/** A file with these operations, for which it takes a module reference, opened; answers it, or a negative errno. */
export function open_with(name: string, fops: Ptr, private_data: Ptr): number {
  const filp = get_empty_filp();
  if (filp === NULL) return -ENFILE;
  const view = file.at(filp);
  view.f_name = name;
  view.f_op = fops_get(fops);
  if (view.f_op === NULL) {
    put_filp(filp);
    return -ENODEV;
  }
  view.private_data = private_data;
  const { open } = file_operations.at(fops);
  const error = open === NULL ? 0 : (call_pointer(open, NULL, filp) as number);
  if (error === 0) return filp;
  fops_put(fops);
  put_filp(filp);
  return error;
}

/** @returns the ioctl's own result, -EBADF, or -ENOTTY where the file has no ioctls */
export const sys_ioctl = kernel_function('sys_ioctl', (fd: number, cmd: number, arg: number): number => {
  const filp = fget(fd);
  if (filp === NULL) return -EBADF;
  const { f_op } = file.at(filp);
  const ioctl = f_op === NULL ? NULL : file_operations.at(f_op).unlocked_ioctl;
  const result = ioctl === NULL ? -ENOTTY : (call_pointer(ioctl, filp, cmd, arg) as number);
  fput(filp);
  return result;
});

/**
 * Pages that a file lends: what kvm_run is read and written through. The operation answers a page, not a mapping.
 * @returns the page's address, -EBADF, -ENODEV where the file has no pages, or what the operation says
 */
export const sys_mmap = kernel_function('sys_mmap', (fd: number, pgoff: number): number => {
  const filp = fget(fd);
  if (filp === NULL) return -EBADF;
  const { f_op } = file.at(filp);
  const mmap = f_op === NULL ? NULL : file_operations.at(f_op).mmap;
  const result = mmap === NULL ? -ENODEV : (call_pointer(mmap, filp, pgoff) as number);
  fput(filp);
  return result;
});

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const O_ACCMODE = 3;
export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;

/** An attribute gets no more than a page at once. */
const WRITE_MAX = 4096;

/** The text of an open file from f_pos on goes to user memory. */
function vfs_read(filp: Ptr, buf: Ptr, count: number): number {
  const view = file.at(filp);
  const { f_op } = view;
  const read = f_op === NULL ? NULL : file_operations.at(f_op).read;
  if (read === NULL) return -EINVAL;
  const text = call_pointer(read, filp) as string | number;
  if (typeof text === 'number') return text;
  const { f_pos } = view;
  const bytes = encoder.encode(text).subarray(f_pos, f_pos + count);
  if (!access_ok(buf, bytes.length)) return -EFAULT;
  if (bytes.length > 0) {
    bus.storeBytes(buf, bytes);
    view.f_pos = f_pos + bytes.length;
  }
  return bytes.length;
}

/**
 * Reads on from where the last read ended.
 * @returns bytes read, 0 at the end, -EBADF (not open, or not for reading), -EINVAL where the file cannot be read, -EISDIR, -EFAULT for
 *   a bad buffer, or what the file says
 */
export const sys_read = kernel_function('sys_read', (fd: number, buf: Ptr, count: number): number => {
  const filp = fget(fd);
  if (filp === NULL) return -EBADF;
  const result = vfs_read(filp, buf, count);
  fput(filp);
  return result;
});

/** A text of user memory goes to an open file. */
function vfs_write(filp: Ptr, buf: Ptr, count: number): number {
  const { f_op, f_flags } = file.at(filp);
  if ((f_flags & O_ACCMODE) === O_RDONLY) return -EBADF;
  const write = f_op === NULL ? NULL : file_operations.at(f_op).write;
  if (write === NULL) return -EINVAL;
  if (!access_ok(buf, count)) return -EFAULT;
  const text = decoder.decode(bus.loadBytes(buf, Math.min(count, WRITE_MAX)));
  return call_pointer(write, filp, text) as number;
}

/**
 * @returns bytes taken, -EBADF (not open, or not for writing), -EINVAL where the file cannot be written, -EFAULT for a bad buffer, or
 *   what the file says
 */
export const sys_write = kernel_function('sys_write', (fd: number, buf: Ptr, count: number): number => {
  const filp = fget(fd);
  if (filp === NULL) return -EBADF;
  const result = vfs_write(filp, buf, count);
  fput(filp);
  return result;
});

/** A name in user memory, or -EFAULT. */
export function strncpy_from_user(address: Ptr, size: number): string | number {
  if (!access_ok(address, size)) return -EFAULT;
  const bytes = bus.loadBytes(address, size);
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** True if user memory of that size may be at that address. */
export function access_ok(address: Ptr, length: number): boolean {
  return length === 0 || (virt_addr_valid(address) && virt_addr_valid(address + length - 1));
}

/** Answers the bytes it could not copy: 0, or all of them. @linux arch/x86/lib/usercopy_64.c, as of 2.6.24 */
export function copy_to_user(to: Ptr, from: Ptr, n: number): number {
  if (!access_ok(to, n)) return n;
  if (n > 0) memcpy(to, from, n);
  return 0;
}

/** As copy_to_user, the other way. */
export function copy_from_user(to: Ptr, from: Ptr, n: number): number {
  if (!access_ok(from, n)) return n;
  if (n > 0) memcpy(to, from, n);
  return 0;
}

export const sys_close = kernel_function('sys_close', (fd: number): number => {
  if (fd < 0 || fd >= NR_OPEN) return -EBADF;
  spin_lock(init_files.file_lock);
  const filp = init_files.fd.get(fd);
  if (filp !== NULL) {
    init_files.fd.set(fd, NULL);
    release_fd(fd);
  }
  spin_unlock(init_files.file_lock);
  if (filp === NULL) return -EBADF;
  fput(filp);
  return 0;
});
