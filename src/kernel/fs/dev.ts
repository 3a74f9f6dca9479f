/**
 * /dev: the nodes of the miscellaneous devices, and that of KVM always, as a static node.
 *
 * There is no devfs in 2.6.24, and no udev here: this stands for the tmpfs that user space fills with nodes. A node whose
 * device is not there can be looked at, and opening it is -ENODEV.
 */
import { ENOENT } from '#base/errno';
import { vmlinux } from '#memory/image';
import { NULL } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import { file_system_type } from '../filesystems.ts';
import { KVM_MINOR, MISC_MAJOR, misc_list, misc_minor_by_name, misc_mtx, miscdevice } from '../misc.ts';
import { debug_fs_type } from './debugfs-mount.ts';
import { S_IFCHR, type dirent, make_dir, path_components, type path_inode } from './fs_types.ts';

const NODE_MODE = S_IFCHR | 0o660;

/** Minor of the node /dev/NAME, -1 if there is no node. */
export function device_minor(name: string): number {
  return name === 'kvm' ? KVM_MINOR : misc_minor_by_name(name);
}

const dev_lookup = kernel_function('dev_lookup', (path: string): path_inode | number => {
  const names = path_components(path);
  if (names.length === 0) return make_dir();
  const minor = names.length === 1 ? device_minor(names[0]!) : -1;
  if (minor < 0) return -ENOENT;
  return { i_mode: NODE_MODE, i_fop: NULL, i_private: minor, i_rdev: (MISC_MAJOR << 8) | minor, i_size: 0 };
});

const dev_readdir = kernel_function('dev_readdir', (_path: string): dirent[] => {
  const entries: dirent[] = [];
  let has_kvm = false;
  mutex_lock(misc_mtx);
  for (let at = misc_list.next; at !== misc_list.addr;) {
    const { name, list } = miscdevice.container(at, 'list');
    if (name === 'kvm') has_kvm = true;
    entries.push({ name, i_mode: NODE_MODE });
    at = list.next;
  }
  mutex_unlock(misc_mtx);
  if (!has_kvm) entries.push({ name: 'kvm', i_mode: NODE_MODE });
  return entries;
});

export const dev_fs_type = vmlinux.DEFINE('dev_fs_type', file_system_type, {
  name: 'tmpfs',
  next: debug_fs_type.addr,
  lookup: dev_lookup.addr,
  readdir: dev_readdir.addr,
});
