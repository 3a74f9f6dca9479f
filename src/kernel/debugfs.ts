/**
 * debugfs: directories and files for whoever debugs the kernel.
 *
 * @linux fs/debugfs/inode.c, fs/libfs.c (simple attributes), as of 2.6.24
 * Leaves out: mounting, inodes (a dentry holds what one would), links, writing.
 *
 * Errors are NULL, whatever they are: a caller cannot tell "exists" from "no memory", and a NULL parent means the root.
 * Both together are the second loader's hazard (spec 2.1).
 */
import { ENOENT } from '#base/errno';
import { atomic_dec_and_test, atomic_inc, atomic_set, atomic_t } from '#memory/atomic';
import { vmlinux } from '#memory/image';
import { INIT_LIST_HEAD, list_add, list_del, list_empty, list_head } from '#memory/list';
import { NULL, type Ptr, type StructView, addressOf, char, ptr, struct, u32 } from '#memory/struct';
import { type KernelFunction, call_pointer, kernel_function } from '#memory/symbols';
import { mutex, mutex_lock, mutex_unlock } from '#smp/mutex';
import { KERN_ERR, printk } from '#smp/printk';
import { file, file_operations } from './file.ts';
import {
  GFP_KERNEL,
  SLAB_PANIC,
  SLAB_RECLAIM_ACCOUNT,
  kmem_cache_create,
  kmem_cache_free,
  kmem_cache_zalloc,
} from './slab.ts';

export const S_IFDIR = 0o40000;
export const S_IFREG = 0o100000;

/** Guarded by the parent's i_mutex, but for the count. */
export const dentry = struct('dentry', {
  /** references: the directory's own, and those of who looked it up */
  d_count: atomic_t,
  d_parent: ptr,
  d_name: char(32),
  /** file type and permissions; 0 = negative: nothing of that name */
  i_mode: u32,
  i_fop: ptr,
  i_private: ptr,
  /** entries of a directory, newest first; guarded by i_mutex */
  d_subdirs: list_head,
  d_child: list_head,
  i_mutex: mutex,
});
export type dentry = StructView<typeof dentry>;

const dentry_cache = vmlinux.DEFINE('dentry_cache', ptr);
/** Its own parent. */
export const debugfs_root = vmlinux.DEFINE('debugfs_root', dentry);

/** Boot. */
export const debugfs_init = kernel_function('debugfs_init', (): number => {
  dentry_cache.value = kmem_cache_create('dentry', dentry.size, 0, SLAB_RECLAIM_ACCOUNT | SLAB_PANIC, NULL);
  INIT_LIST_HEAD(debugfs_root.d_subdirs);
  atomic_set(debugfs_root.d_count, 1);
  debugfs_root.d_parent = debugfs_root.addr;
  debugfs_root.i_mode = S_IFDIR | 0o755;
  return 0;
});

/** Must hold parent.i_mutex. NULL if there is no such entry. */
function lookup(parent: dentry, name: string): Ptr {
  const entries = parent.d_subdirs;
  for (let at = entries.next; at !== entries.addr;) {
    const entry = dentry.container(at, 'd_child');
    if (entry.d_name === name) return entry.addr;
    at = entry.d_child.next;
  }
  return NULL;
}

/** The new entry; NULL if the name is taken or memory is used up. */
function debugfs_create_by_name(name: string, mode: number, parent: Ptr, data: Ptr, fops: Ptr): Ptr {
  const dir = dentry.at(parent === NULL ? debugfs_root.addr : parent);
  mutex_lock(dir.i_mutex);
  let made = NULL;
  if (lookup(dir, name) === NULL) {
    made = kmem_cache_zalloc(dentry_cache.value, GFP_KERNEL);
    if (made !== NULL) {
      const entry = dentry.at(made);
      atomic_set(entry.d_count, 1);
      entry.d_parent = dir.addr;
      entry.d_name = name;
      entry.i_mode = mode;
      entry.i_fop = fops;
      entry.i_private = data;
      INIT_LIST_HEAD(entry.d_subdirs);
      list_add(entry.d_child, dir.d_subdirs);
    }
  }
  mutex_unlock(dir.i_mutex);
  return made;
}

/**
 * @param parent a directory, or NULL for the root
 * @param data what the operations find in the file's private_data
 * @param fops address of file_operations
 */
export const debugfs_create_file = kernel_function(
  'debugfs_create_file',
  (name: string, mode: number, parent: Ptr, data: Ptr, fops: Ptr): Ptr =>
    debugfs_create_by_name(name, S_IFREG | mode, parent, data, fops),
);

export const debugfs_create_dir = kernel_function('debugfs_create_dir', (name: string, parent: Ptr): Ptr =>
  debugfs_create_by_name(name, S_IFDIR | 0o755, parent, NULL, NULL),
);

/** Drops a reference of debugfs_lookup, or the directory's own. */
export const dput = kernel_function('dput', (entry: Ptr): void => {
  if (atomic_dec_and_test(dentry.at(entry).d_count)) kmem_cache_free(dentry_cache.value, entry);
});

/** Removes a file or an empty directory. NULL is fine; a directory that is not empty stays, and is complained of. */
export const debugfs_remove = kernel_function('debugfs_remove', (entry: Ptr): void => {
  if (entry === NULL) return;
  const view = dentry.at(entry);
  const parent = view.d_parent;
  if (parent === NULL) return;
  const dir = dentry.at(parent);
  mutex_lock(dir.i_mutex);
  const { i_mode } = view;
  if (i_mode !== 0) {
    if ((i_mode & S_IFDIR) !== 0 && !list_empty(view.d_subdirs)) {
      printk(KERN_ERR, `DebugFS rmdir on ${view.d_name} failed : directory not empty.`);
    } else {
      list_del(view.d_child);
      view.i_mode = 0;
      dput(entry);
    }
  }
  mutex_unlock(dir.i_mutex);
});

/** The entry at `path` below the root, with a reference for dput; or -ENOENT. */
export function debugfs_lookup(path: string): number {
  let at: Ptr = debugfs_root.addr;
  atomic_inc(debugfs_root.d_count);
  for (const name of path.split('/')) {
    if (name === '') continue;
    const dir = dentry.at(at);
    mutex_lock(dir.i_mutex);
    const found = lookup(dir, name);
    // Under the directory's mutex the entry cannot be removed before it is counted.
    if (found !== NULL) atomic_inc(dentry.at(found).d_count);
    mutex_unlock(dir.i_mutex);
    dput(at);
    if (found === NULL) return -ENOENT;
    at = found;
  }
  return at;
}

/** File operations whose file is one number, and where that comes from. */
export const simple_attribute = struct('simple_attribute', { fops: file_operations, get: ptr });

const simple_attr_read = kernel_function('simple_attr_read', (filp: Ptr): string => {
  const { f_op, private_data } = file.at(filp);
  const value = call_pointer(simple_attribute.container(f_op, 'fops').get, private_data) as bigint | number;
  return `${value}\n`;
});

/**
 * Start value of a simple_attribute: decimal and a newline.
 *
 *     const vcpu_stat_fops = kvm_ko.DEFINE('vcpu_stat_fops', simple_attribute, DEFINE_SIMPLE_ATTRIBUTE(vcpu_stat_get));
 *     debugfs_create_file('exits', 0o444, dir, offset, address_of_fops(vcpu_stat_fops));
 *
 * @param get takes the file's data, answers the number
 */
export function DEFINE_SIMPLE_ATTRIBUTE(get: KernelFunction<[Ptr], bigint | number>): {
  readonly fops: { readonly read: Ptr };
  readonly get: Ptr;
} {
  return { fops: { read: simple_attr_read.addr }, get: get.addr };
}

/** Address of the operations of a simple attribute, as debugfs_create_file takes it. */
export function address_of_fops(attribute: StructView<typeof simple_attribute>): Ptr {
  return addressOf(attribute, 'fops');
}
