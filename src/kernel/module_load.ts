/**
 * Loading and unloading modules.
 *
 * @linux kernel/module.c, as of 2.6.24
 * Leaves out: linking (a module's code is always there, its data at fixed addresses), the notifier chain,
 * synchronize_sched after a failed init function.
 * Differs: memory of an unloaded module is filled with 0x6b, where Linux unmaps it.
 *
 * Lock order: module_mutex > cpu_bitmask_lock > stopmachine_mutex. Init and exit functions run without module_mutex.
 */
import { EBUSY, EEXIST, ENOENT, EWOULDBLOCK } from '#base/errno';
import { atomic_read, atomic_set } from '#memory/atomic';
import { bus } from '#memory/bus';
import { NR_CPUS } from '#memory/cpumask';
import type { KernelObject } from '#memory/image';
import { INIT_LIST_HEAD, list_add, list_del, list_empty } from '#memory/list';
import { per_cpu_ptr } from '#memory/percpu';
import { stack_alloc } from '#memory/stack';
import { NULL, type Ptr, memcpy, memset, ptr, struct, u32 } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { EventType } from '#trace/events';
import { cpu_possible_map, first_cpu, next_cpu } from '#smp/cpumask';
import { raw_smp_processor_id } from '#smp/irqflags';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import { KERN_WARNING, printk } from '#smp/printk';
import { current_task, wait_event } from '#smp/sched';
import { stop_machine_run } from '#smp/stop_machine';
import {
  MODULE_STATE_COMING,
  MODULE_STATE_GOING,
  MODULE_STATE_LIVE,
  type ModuleImage,
  find_module,
  image_of,
  module,
  module_mutex,
  module_put,
  module_refcount,
  module_unload_free,
  modules,
  use_module,
} from './module.ts';
import { POISON_FREE } from './page.ts';

/** Flag of sys_delete_module: do not wait. */
export const O_NONBLOCK = 0o4000;

/** Gives a module's memory back. */
function module_free(object: KernelObject): void {
  const { dataStart, dataEnd } = object;
  memset(dataStart, POISON_FREE, dataEnd - dataStart);
  bus.emit(EventType.ALLOCATION, dataStart, dataEnd - dataStart, 0, 0);
}

/** A module's data as it was built: the core copied from its template, per-CPU data for every possible CPU. */
function copy_sections(object: KernelObject): void {
  const { dataStart, dataEnd, dataTemplate, perCpuStart, perCpuEnd, perCpuTemplate } = object;
  bus.emit(EventType.ALLOCATION, dataStart, dataEnd - dataStart, 0, 1);
  memcpy(dataStart, dataTemplate, dataEnd - dataStart);
  const bytes = perCpuEnd - perCpuStart;
  if (bytes === 0) return;
  for (let cpu = first_cpu(cpu_possible_map); cpu < NR_CPUS; cpu = next_cpu(cpu, cpu_possible_map)) {
    memcpy(per_cpu_ptr({ name: object.name, addr: perCpuStart, type: u32 }, cpu), perCpuTemplate, bytes);
  }
}

/** Must hold module_mutex. Makes the module ready to be linked; 0 or a negative errno. */
function load_module(image: ModuleImage): number {
  const { object } = image;
  if (find_module(object.name) !== NULL) return -EEXIST;
  copy_sections(object);
  const mod = module.at(image.this_module);
  mod.state = MODULE_STATE_COMING;
  mod.core_size = object.dataEnd - object.dataStart;
  INIT_LIST_HEAD(mod.modules_which_use_me);
  // Held while the init function runs.
  atomic_set(mod.ref.at(raw_smp_processor_id()), 1);
  mod.waiter = current_task().addr;
  for (const name of image.depends) {
    const used = find_module(name);
    const error = used === NULL ? -ENOENT : use_module(mod, module.at(used));
    if (error === 0) continue;
    printk(KERN_WARNING, `${object.name}: Unknown symbol of ${name}`);
    module_unload_free(mod);
    module_free(object);
    return error;
  }
  return 0;
}

/** The machine is stopped: readers of the list take no lock. */
const __link_module = kernel_function('__link_module', (mod: Ptr): number => {
  list_add(module.at(mod).list, modules);
  return 0;
});

const __unlink_module = kernel_function('__unlink_module', (mod: Ptr): number => {
  list_del(module.at(mod).list);
  return 0;
});

/** Must hold module_mutex. */
const free_module = kernel_function('free_module', (mod: Ptr): void => {
  const view = module.at(mod);
  const image = image_of(view.name);
  stop_machine_run(__unlink_module, mod, NR_CPUS);
  module_unload_free(view);
  if (image !== undefined) module_free(image.object);
});

/**
 * Loads a module and runs its init function.
 * @param name stands for the image that the first two arguments would lead to
 * @returns 0, -ENOENT (no such module, or one it needs is not there), -EEXIST (loaded already), or what its init said
 */
export const sys_init_module = kernel_function(
  'sys_init_module',
  (_umod: Ptr, _len: number, _uargs: Ptr, name: string): number => {
    const image = image_of(name);
    if (image === undefined) return -ENOENT;
    mutex_lock(module_mutex);
    const error = load_module(image);
    if (error < 0) {
      mutex_unlock(module_mutex);
      return error;
    }
    const mod = module.at(image.this_module);
    // Not looked at, as in 2.6.24: if the machine could not be stopped, the module runs without being in the list.
    stop_machine_run(__link_module, mod.addr, NR_CPUS);
    mutex_unlock(module_mutex);

    const { init } = mod;
    const result = init === NULL ? 0 : (call_pointer(init) as number);
    if (result < 0) {
      mod.state = MODULE_STATE_GOING;
      module_put(mod.addr);
      mutex_lock(module_mutex);
      free_module(mod.addr);
      mutex_unlock(module_mutex);
      return result;
    }
    mutex_lock(module_mutex);
    mod.state = MODULE_STATE_LIVE;
    module_put(mod.addr);
    mutex_unlock(module_mutex);
    return 0;
  },
);

/** On the stack of sys_delete_module. */
const stopref = struct('stopref', { mod: ptr, flags: u32 });

/** The machine is stopped, so the counts stand still. */
const __try_stop_module = kernel_function('__try_stop_module', (data: Ptr): number => {
  const sref = stopref.at(data);
  const mod = module.at(sref.mod);
  if ((sref.flags & O_NONBLOCK) !== 0 && module_refcount(mod) !== 0) return -EWOULDBLOCK;
  // From here on nobody gets a new reference. Pairs with the test in try_module_get.
  mod.state = MODULE_STATE_GOING;
  return 0;
});

/** Drops module_mutex while it sleeps. */
function wait_for_zero_refcount(mod: module): void {
  mutex_unlock(module_mutex);
  for (;;) {
    // The wake-ups before the count: a module_put in between is then seen as a wake-up.
    const seen = atomic_read(mod.wakeups);
    if (module_refcount(mod) === 0) break;
    wait_event(mod.wakeups.addr, () => atomic_read(mod.wakeups) !== seen);
  }
  mutex_lock(module_mutex);
}

/** The part under module_mutex, which it gives back and takes again around the exit function. */
function delete_module_locked(name: string, flags: number): number {
  const found = find_module(name);
  if (found === NULL) return -ENOENT;
  const mod = module.at(found);
  if (!list_empty(mod.modules_which_use_me)) return -EWOULDBLOCK;
  if (mod.state !== MODULE_STATE_LIVE) return -EBUSY;
  if (mod.init !== NULL && mod.exit === NULL) return -EBUSY; // permanent
  mod.waiter = current_task().addr;

  const sref = stack_alloc(stopref);
  sref.mod = found;
  sref.flags = flags;
  const error = stop_machine_run(__try_stop_module, sref.addr, NR_CPUS);
  if (error !== 0) return error;
  if (module_refcount(mod) !== 0) wait_for_zero_refcount(mod);

  const { exit } = mod;
  if (exit !== NULL) {
    mutex_unlock(module_mutex);
    call_pointer(exit);
    mutex_lock(module_mutex);
  }
  free_module(found);
  return 0;
}

/**
 * Unloads a module, waiting for its references to go unless told not to.
 * @param flags O_NONBLOCK
 * @param name what the first argument would point to
 * @returns 0, -ENOENT, -EWOULDBLOCK (used by other modules, or referenced and O_NONBLOCK), -EBUSY (coming, going, or
 *   without an exit function)
 */
export const sys_delete_module = kernel_function(
  'sys_delete_module',
  (_name_user: Ptr, flags: number, _unused: number, name: string): number => {
    mutex_lock(module_mutex);
    const result = delete_module_locked(name, flags);
    mutex_unlock(module_mutex);
    return result;
  },
);
