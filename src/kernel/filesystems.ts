/**
 * The table of file system types. @linux fs/filesystems.c, as of 2.6.24
 * Leaves out: reference counts. The types that are part of the kernel image are not in this list: fs/namespace.ts knows them.
 */
import { EBUSY, EINVAL } from '#base/errno';
import { vmlinux } from '#memory/image';
import { NULL, type Ptr, type StructView, addressOf, char, ptr, struct, variableAt } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { mutex, mutex_lock, mutex_unlock } from '#smp/mutex';

/** `next` is guarded by file_systems_lock; the rest is immutable. What has no functions here cannot be mounted by a path. */
export const file_system_type = struct('file_system_type', {
  name: char(24),
  next: ptr,
  /** (path below its root) => path_inode or negative errno */
  lookup: ptr,
  /** (path of a directory that lookup has found) => dirent[] */
  readdir: ptr,
});
export type file_system_type = StructView<typeof file_system_type>;

/** Guards the list. (A read-write spinlock in Linux.) */
const file_systems_lock = vmlinux.DEFINE('file_systems_lock', mutex);
export const file_systems = vmlinux.DEFINE('file_systems', ptr);

/** Must hold file_systems_lock. Address of the pointer that leads to the type of this name, or of the last one. */
function find_filesystem(name: string): Ptr {
  let place = variableAt(ptr, file_systems.addr);
  while (place.value !== NULL) {
    const type = file_system_type.at(place.value);
    if (type.name === name) break;
    place = variableAt(ptr, addressOf(type, 'next'));
  }
  return place.addr;
}

/** The registered type of this name, NULL if there is none. */
export function find_registered(name: string): Ptr {
  mutex_lock(file_systems_lock);
  const found = variableAt(ptr, find_filesystem(name)).value;
  mutex_unlock(file_systems_lock);
  return found;
}

/** Every registered type, oldest first. */
export function registered_types(): Ptr[] {
  const types: Ptr[] = [];
  mutex_lock(file_systems_lock);
  for (let at = file_systems.value; at !== NULL; at = file_system_type.at(at).next) types.push(at);
  mutex_unlock(file_systems_lock);
  return types;
}

/** 0, or -EBUSY if it, or one of its name, is registered. */
export const register_filesystem = kernel_function('register_filesystem', (fs: file_system_type): number => {
  if (fs.next !== NULL) return -EBUSY;
  mutex_lock(file_systems_lock);
  const place = variableAt(ptr, find_filesystem(fs.name));
  const taken = place.value !== NULL;
  if (!taken) place.value = fs.addr;
  mutex_unlock(file_systems_lock);
  return taken ? -EBUSY : 0;
});

/** 0, or -EINVAL if it is not registered. */
export const unregister_filesystem = kernel_function(
  'unregister_filesystem',
  (fs: file_system_type): number => {
    mutex_lock(file_systems_lock);
    let error = -EINVAL;
    for (let place = variableAt(ptr, file_systems.addr); place.value !== NULL;) {
      const type = file_system_type.at(place.value);
      if (type.addr === fs.addr) {
        place.value = fs.next;
        fs.next = NULL;
        error = 0;
        break;
      }
      place = variableAt(ptr, addressOf(type, 'next'));
    }
    mutex_unlock(file_systems_lock);
    return error;
  },
);
