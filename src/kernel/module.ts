/**
 * Modules: what one is, who refers to it, and which use which. Loading and unloading are in module_load.ts.
 *
 * @linux include/linux/module.h, kernel/module.c, as of 2.6.24
 * Leaves out: parameters, versions, taint, sysfs, forced unloading.
 */
import { ENOENT } from '#base/errno';
import { atomic_dec, atomic_inc, atomic_read, atomic_t } from '#memory/atomic';
import { NR_CPUS } from '#memory/cpumask';
import { type KernelObject, vmlinux } from '#memory/image';
import { list_add, list_del, list_head } from '#memory/list';
import { NULL, type Ptr, type StructView, array, char, ptr, struct, u32 } from '#memory/struct';
import { type KernelFunction, kernel_function } from '#memory/symbols';
import { cpu_possible_map, first_cpu, next_cpu } from '#smp/cpumask';
import { mutex } from '#smp/mutex';
import { get_cpu, put_cpu } from '#smp/percpu';
import { KERN_WARNING, printk } from '#smp/printk';
import { GFP_ATOMIC } from './gfp.ts';
import { kfree, kmalloc } from './slab.ts';
import { LIST_HEAD } from './static-list.ts';

export const MODULE_STATE_LIVE = 0;
export const MODULE_STATE_COMING = 1;
export const MODULE_STATE_GOING = 2;

/** Lies in its own module's data, so it goes and comes with it. */
export const module = struct('module', {
  /** MODULE_STATE_*: guarded by module_mutex; GOING is set while the machine is stopped. Read without the lock, on purpose */
  state: u32,
  /** in `modules`; linked and unlinked while the machine is stopped */
  list: list_head,
  name: char(24),
  init: ptr,
  exit: ptr,
  /** who use us: module_use; guarded by module_mutex */
  modules_which_use_me: list_head,
  /** the task that waits for references to go: guarded by module_mutex */
  waiter: ptr,
  /** wake-ups of the waiter; any CPU adds */
  wakeups: atomic_t,
  /** bytes of the module's data */
  core_size: u32,
  /** references, one count for each CPU: owned by that CPU, the sum is what matters and only a stopped machine can know it */
  ref: array(atomic_t, NR_CPUS),
});
export type module = StructView<typeof module>;

const module_use = struct('module_use', { list: list_head, module_which_uses: ptr });

/** Guards `modules`, all module states, and who uses whom. */
export const module_mutex = vmlinux.DEFINE('module_mutex', mutex);
/** Loaded modules, newest first. */
export const modules = LIST_HEAD('modules');

/** What `insmod` finds on disk. */
export interface ModuleImage {
  readonly object: KernelObject;
  /** Names of the modules whose symbols it needs. */
  readonly depends: readonly string[];
  readonly this_module: Ptr;
}

/** The file system's /lib/modules: code and not state, filled by imports, the same in every thread, never changed after. */
// wall: heap-state: code, filled by imports and never changed after
const module_images: ModuleImage[] = [];

/**
 * Declares a loadable module: its `struct module` becomes part of its data.
 * @returns THIS_MODULE
 */
export function declare_module(
  object: KernelObject,
  module_ops: {
    readonly init?: KernelFunction<[], number>;
    readonly exit?: KernelFunction<[], void>;
    readonly depends?: readonly string[];
  },
): module {
  const this_module = object.DEFINE(`__this_module(${object.name})`, module, {
    name: object.name,
    init: module_ops.init?.addr ?? NULL,
    exit: module_ops.exit?.addr ?? NULL,
  });
  module_images.push({ object, depends: module_ops.depends ?? [], this_module: this_module.addr });
  return this_module;
}

/** Undefined if there is no such module. */
export function image_of(name: string): ModuleImage | undefined {
  for (const image of module_images) if (image.object.name === name) return image;
  return undefined;
}

/** Must hold module_mutex. NULL if it is not loaded. */
export function find_module(name: string): Ptr {
  for (let at = modules.next; at !== modules.addr;) {
    const mod = module.container(at, 'list');
    if (mod.name === name) return mod.addr;
    at = mod.list.next;
  }
  return NULL;
}

/** A module that is being loaded counts as alive: /dev/kvm may be opened before kvm_init is through (spec 1.4). */
export function module_is_live(mod: module): boolean {
  return mod.state !== MODULE_STATE_GOING;
}

/** Takes a reference for somebody who holds one already. NULL is built-in code. */
export function __module_get(mod: Ptr): void {
  if (mod === NULL) return;
  const cpu = get_cpu();
  atomic_inc(module.at(mod).ref.at(cpu));
  put_cpu();
}

/**
 * Takes a reference unless the module is on its way out. NULL is built-in code, always there.
 * The test and the increment are one piece for stop-machine, which waits until preemption is on: no lock needed.
 */
export const try_module_get = kernel_function('try_module_get', (mod: Ptr): boolean => {
  if (mod === NULL) return true;
  const cpu = get_cpu();
  const alive = module_is_live(module.at(mod));
  if (alive) atomic_inc(module.at(mod).ref.at(cpu));
  put_cpu();
  return alive;
});

/** Drops a reference, on whatever CPU. */
export const module_put = kernel_function('module_put', (mod: Ptr): void => {
  if (mod === NULL) return;
  const cpu = get_cpu();
  const view = module.at(mod);
  atomic_dec(view.ref.at(cpu));
  // wake_up_process(waiter): pairs with the look at the count in wait_for_zero_refcount.
  if (!module_is_live(view)) atomic_inc(view.wakeups);
  put_cpu();
});

/** References in all. Racy on purpose, unless the machine is stopped. */
export function module_refcount(mod: module): number {
  let total = 0;
  for (let cpu = first_cpu(cpu_possible_map); cpu < NR_CPUS; cpu = next_cpu(cpu, cpu_possible_map)) {
    total += atomic_read(mod.ref.at(cpu));
  }
  return total;
}

/** Must hold module_mutex. 0 if `user` now holds `used`; else a module that is not ready, or no memory. */
export function use_module(user: module, used: module): number {
  if (used.state === MODULE_STATE_COMING || !try_module_get(used.addr)) return -ENOENT;
  const use = kmalloc(module_use.size, GFP_ATOMIC);
  if (use === NULL) {
    printk(KERN_WARNING, `${user.name}: out of memory loading`);
    module_put(used.addr);
    return -ENOENT;
  }
  const entry = module_use.at(use);
  entry.module_which_uses = user.addr;
  list_add(entry.list, used.modules_which_use_me);
  return 0;
}

/** Must hold module_mutex, or be the host at rest. Names of the modules that use `mod`. */
export function module_users(mod: module): string[] {
  const names: string[] = [];
  const users = mod.modules_which_use_me;
  for (let link = users.next; link !== users.addr;) {
    const entry = module_use.container(link, 'list');
    names.push(module.at(entry.module_which_uses).name);
    link = entry.list.next;
  }
  return names;
}

/** Must hold module_mutex. Lets go of every module that `mod` uses. */
export function module_unload_free(mod: module): void {
  for (let at = modules.next; at !== modules.addr;) {
    const used = module.container(at, 'list');
    at = used.list.next;
    const users = used.modules_which_use_me;
    for (let link = users.next; link !== users.addr;) {
      const entry = module_use.container(link, 'list');
      link = entry.list.next;
      if (entry.module_which_uses !== mod.addr) continue;
      module_put(used.addr);
      list_del(entry.list);
      kfree(entry.addr);
      break; // there is at most one
    }
  }
}

/**
 * Asks user space to load a module by an alias. No module here has one, so the helper finds nothing.
 * @linux kernel/kmod.c, as of 2.6.24
 */
export const request_module = kernel_function('request_module', (_alias: string): number => -ENOENT);
