/**
 * sysfs: its tree, as far as there is something to say.
 *
 * @linux fs/sysfs/{dir,file,mount}.c, drivers/base/{sys,class}.c, kernel/ksysfs.c, as of 2.6.24
 * Leaves out: dirents and kobjects (the tree follows from the lists of CPUs, system devices, miscellaneous devices and modules
 * at the moment of looking), symbolic links, uevents, poll.
 */
import { PAGE_SIZE } from '#memory/layout';
import { ENOENT } from '#base/errno';
import { vmlinux } from '#memory/image';
import { addressOf } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { spin_lock, spin_unlock } from '#smp/spinlock';
import { file_system_type } from '../filesystems.ts';
import { misc_list, misc_mtx, miscdevice } from '../misc.ts';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import { sys_device, sysdev_class, sysdev_list_lock, system_subsys } from '../sysdev.ts';
import { cpu_sysfs_lookup, cpu_sysfs_readdir } from './cpu-sysfs.ts';
import {
  DIR_MODE,
  READ_ONLY_FOPS,
  S_IFREG,
  type dirent,
  make_dir,
  make_file,
  path_components,
  type path_inode,
  text_file,
} from './fs_types.ts';
import { module_sysfs_lookup, module_sysfs_readdir } from './module-sysfs.ts';

const MISC_MAJOR = 10;

/** Directories that are always there, with the directories in them. */
const FIXED = Object.freeze([
  { path: '', names: ['block', 'bus', 'class', 'devices', 'firmware', 'fs', 'kernel', 'module', 'power'] },
  { path: 'block', names: [] },
  { path: 'bus', names: [] },
  { path: 'class', names: ['misc'] },
  { path: 'devices', names: ['system'] },
  { path: 'firmware', names: [] },
  { path: 'fs', names: [] },
  // Where debugfs is to be mounted: debugfs_init makes it.
  { path: 'kernel', names: ['debug'] },
  { path: 'kernel/debug', names: [] },
  { path: 'power', names: [] },
]);

const show_dev = kernel_function('misc_dev_show', (minor: number): string => `${MISC_MAJOR}:${minor}\n`);
const attr_dev = vmlinux.DEFINE('attr_dev', text_file, { fops: READ_ONLY_FOPS, show: show_dev.addr });

/** Names of the registered system devices of a class, or of all classes where `class_name` is empty. */
function sysdev_names(class_name: string): string[] {
  const names: string[] = [];
  spin_lock(sysdev_list_lock);
  for (let at = system_subsys.next; at !== system_subsys.addr;) {
    const cls = sysdev_class.container(at, 'entry');
    at = cls.entry.next;
    if (class_name === '') names.push(cls.name);
    if (cls.name !== class_name) continue;
    for (let link = cls.devices.next; link !== cls.devices.addr;) {
      const device = sys_device.container(link, 'entry');
      names.push(`${class_name}${device.id}`);
      link = device.entry.next;
    }
  }
  spin_unlock(sysdev_list_lock);
  return names;
}

/** Names of the miscellaneous devices. */
function misc_names(): string[] {
  const names: string[] = [];
  mutex_lock(misc_mtx);
  for (let at = misc_list.next; at !== misc_list.addr;) {
    const device = miscdevice.container(at, 'list');
    names.push(device.name);
    at = device.list.next;
  }
  mutex_unlock(misc_mtx);
  return names;
}

/** -1 if there is no such device. */
function minor_of(name: string): number {
  let minor = -1;
  mutex_lock(misc_mtx);
  for (let at = misc_list.next; at !== misc_list.addr;) {
    const device = miscdevice.container(at, 'list');
    if (device.name === name) minor = device.minor;
    at = device.list.next;
  }
  mutex_unlock(misc_mtx);
  return minor;
}

function fixed_names(path: string): readonly string[] | undefined {
  for (const dir of FIXED) if (dir.path === path) return dir.names;
  return undefined;
}

/** /sys/devices/system/CLASS and /sys/devices/system/CLASS/CLASSn. */
function sysdev_lookup(names: readonly string[]): path_inode | undefined {
  const [cls, device] = names;
  if (cls === undefined) return make_dir();
  if (names.length > 2 || !sysdev_names('').includes(cls)) return undefined;
  return device === undefined || sysdev_names(cls).includes(device) ? make_dir() : undefined;
}

/** /sys/class/misc/NAME and its file. */
function misc_lookup(names: readonly string[]): path_inode | undefined {
  const [name, file] = names;
  if (name === undefined) return make_dir();
  const minor = minor_of(name);
  if (minor < 0) return undefined;
  if (file === undefined) return make_dir();
  return file === 'dev' && names.length === 2
    ? make_file(0o444, addressOf(attr_dev, 'fops'), minor, PAGE_SIZE)
    : undefined;
}

function is_system(names: readonly string[]): boolean {
  return names[0] === 'devices' && names[1] === 'system';
}

/** What is at a path below the root, or -ENOENT. */
export const sysfs_lookup = kernel_function('sysfs_lookup', (path: string): path_inode | number => {
  const names = path_components(path);
  let found: path_inode | undefined;
  if (is_system(names) && names[2] === 'cpu') found = cpu_sysfs_lookup(names.slice(3));
  else if (is_system(names)) found = sysdev_lookup(names.slice(2));
  else if (names[0] === 'module') found = module_sysfs_lookup(names.slice(1));
  else if (names[0] === 'class' && names[1] === 'misc') found = misc_lookup(names.slice(2));
  else if (fixed_names(names.join('/')) !== undefined) found = make_dir();
  return found ?? -ENOENT;
});

function dirs(names: readonly string[]): dirent[] {
  const entries: dirent[] = [];
  for (const name of names) entries.push({ name, i_mode: DIR_MODE });
  return entries;
}

/** The entries of a directory that sysfs_lookup has found. */
export const sysfs_readdir = kernel_function('sysfs_readdir', (path: string): dirent[] => {
  const names = path_components(path);
  if (is_system(names)) {
    if (names[2] === 'cpu') return cpu_sysfs_readdir(names.slice(3));
    if (names.length === 2) return dirs(['cpu', ...sysdev_names('')]);
    return names.length === 3 ? dirs(sysdev_names(names[2]!)) : [];
  }
  if (names[0] === 'module') return module_sysfs_readdir(names.slice(1));
  if (names[0] === 'class' && names[1] === 'misc') {
    if (names.length === 2) return dirs(misc_names());
    return [{ name: 'dev', i_mode: S_IFREG | 0o444 }];
  }
  return dirs(fixed_names(names.join('/')) ?? []);
});

export const sysfs_fs_type = vmlinux.DEFINE('sysfs_fs_type', file_system_type, {
  name: 'sysfs',
  lookup: sysfs_lookup.addr,
  readdir: sysfs_readdir.addr,
});
