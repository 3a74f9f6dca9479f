/**
 * /sys/module.
 *
 * @linux kernel/module.c (sysfs part), as of 2.6.24
 * Leaves out: parameters, sections, versions, drivers.
 */
import { PAGE_SIZE } from '#memory/layout';
import { ENODEV } from '#base/errno';
import { vmlinux } from '#memory/image';
import { type Ptr, addressOf } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import {
  MODULE_STATE_COMING,
  MODULE_STATE_GOING,
  find_module,
  module,
  module_mutex,
  module_refcount,
  module_users,
  modules,
} from '../module.ts';
import {
  DIR_MODE,
  READ_ONLY_FOPS,
  S_IFREG,
  type dirent,
  make_dir,
  make_file,
  type path_inode,
  text_file,
} from './fs_types.ts';

/** Must hold module_mutex. A file that was opened may outlive its module. */
function is_loaded(mod: Ptr): boolean {
  for (let at = modules.next; at !== modules.addr;) {
    const loaded = module.container(at, 'list');
    if (loaded.addr === mod) return true;
    at = loaded.list.next;
  }
  return false;
}

const show_refcnt = kernel_function('show_refcnt', (mod: Ptr): string | number => {
  mutex_lock(module_mutex);
  const text = is_loaded(mod) ? `${module_refcount(module.at(mod))}\n` : -ENODEV;
  mutex_unlock(module_mutex);
  return text;
});

const show_initstate = kernel_function('show_initstate', (mod: Ptr): string | number => {
  mutex_lock(module_mutex);
  let text: string | number = -ENODEV;
  if (is_loaded(mod)) {
    const { state } = module.at(mod);
    text = state === MODULE_STATE_COMING ? 'coming\n' : state === MODULE_STATE_GOING ? 'going\n' : 'live\n';
  }
  mutex_unlock(module_mutex);
  return text;
});

const attr_refcnt = vmlinux.DEFINE('attr_refcnt', text_file, {
  fops: READ_ONLY_FOPS,
  show: show_refcnt.addr,
});
const attr_initstate = vmlinux.DEFINE('attr_initstate', text_file, {
  fops: READ_ONLY_FOPS,
  show: show_initstate.addr,
});

/** A name as it is in the file system and in the list: `kvm_amd` of kvm-amd. */
function with_underscores(name: string): string {
  return name.replaceAll('-', '_');
}

/** Must hold module_mutex. NULL if no such module is loaded. */
function module_of_dir(name: string): Ptr {
  for (let at = modules.next; at !== modules.addr;) {
    const mod = module.container(at, 'list');
    if (with_underscores(mod.name) === name) return mod.addr;
    at = mod.list.next;
  }
  return find_module(name);
}

/** What is at `names` below /sys/module; undefined for nothing. */
export function module_sysfs_lookup(names: readonly string[]): path_inode | undefined {
  const [first, second, third] = names;
  if (first === undefined) return make_dir();
  mutex_lock(module_mutex);
  const mod = module_of_dir(first);
  let users: readonly string[] = [];
  if (mod !== 0) users = module_users(module.at(mod));
  mutex_unlock(module_mutex);
  if (mod === 0) return undefined;
  if (second === undefined) return make_dir();
  if (second === 'holders') {
    if (third === undefined) return make_dir();
    for (const user of users) if (with_underscores(user) === third && names.length === 3) return make_dir();
    return undefined;
  }
  if (third !== undefined) return undefined;
  if (second === 'refcnt') return make_file(0o444, addressOf(attr_refcnt, 'fops'), mod, PAGE_SIZE);
  if (second === 'initstate') return make_file(0o444, addressOf(attr_initstate, 'fops'), mod, PAGE_SIZE);
  return undefined;
}

/** The entries of a directory that module_sysfs_lookup has found. */
export function module_sysfs_readdir(names: readonly string[]): dirent[] {
  const [first] = names;
  const entries: dirent[] = [];
  if (names.length === 1) {
    entries.push({ name: 'holders', i_mode: DIR_MODE });
    for (const name of ['initstate', 'refcnt']) entries.push({ name, i_mode: S_IFREG | 0o444 });
    return entries;
  }
  mutex_lock(module_mutex);
  if (first === undefined) {
    for (let at = modules.next; at !== modules.addr;) {
      const mod = module.container(at, 'list');
      entries.push({ name: with_underscores(mod.name), i_mode: DIR_MODE });
      at = mod.list.next;
    }
  } else if (names.length === 2) {
    const mod = module_of_dir(first);
    if (mod !== 0)
      for (const user of module_users(module.at(mod)))
        entries.push({ name: with_underscores(user), i_mode: DIR_MODE });
  }
  mutex_unlock(module_mutex);
  return entries;
}
