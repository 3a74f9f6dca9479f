/**
 * What is allocated and registered in a kernel at rest: for "what is left behind" tests and leak reports.
 *
 * For the host: plain functions that read memory through views and change nothing. Everything is derived from what the
 * kernel itself keeps, so it cannot be forgotten to be counted.
 */
import { bus } from '#memory/bus';
import { atomic_read } from '#memory/atomic';
import { list_head } from '#memory/list';
import { NULL, type Ptr } from '#memory/struct';
import { symbolName } from '#memory/symbols';
import { cpu_chain } from '#smp/cpu';
import { notifier_block } from '#smp/notifier';
import { debugfs_root, dentry } from '#kernel/debugfs';
import { file, init_files } from '#kernel/file';
import { file_system_type, file_systems } from '#kernel/filesystems';
import { misc_list, miscdevice } from '#kernel/misc';
import {
  MODULE_STATE_COMING,
  MODULE_STATE_GOING,
  module,
  module_refcount,
  module_users,
  modules,
} from '#kernel/module';
import {
  MAX_ORDER,
  PAGE_SIZE,
  PG_slab,
  is_free_block,
  is_reserved,
  is_tail,
  page,
  page_address,
} from '#kernel/page_alloc';
import { reboot_notifier_list } from '#kernel/reboot';
import { cache_chain, is_boot_cache } from '#kernel/slab_cache';
import { RED_ACTIVE, kmem_cache, kmem_cache_node, metadata_of } from '#kernel/slab_def';
import { sys_device, sysdev_class, system_subsys } from '#kernel/sysdev';

export interface LiveAllocation {
  readonly kind: 'page' | 'slab' | 'cache';
  readonly address: Ptr;
  /** bytes */
  readonly size: number;
  /** of pages */
  readonly order?: number;
  /** name of the cache an object is from, or of the cache itself */
  readonly cache?: string;
  /** the function that asked; absent for what the host asked for */
  readonly allocatedBy?: string;
}

/** Most entries a list may have before it is called a loop. */
const LIST_MAX = 4096;

/** Addresses of a list's links, without the head. */
function links(head: list_head): Ptr[] {
  const found: Ptr[] = [];
  for (let at = head.next; at !== head.addr && found.length < LIST_MAX; at = list_head.at(at).next)
    found.push(at);
  return found;
}

function by(symbol: Ptr): { readonly allocatedBy?: string } {
  const name = symbol === NULL ? undefined : symbolName(symbol);
  return name === undefined ? {} : { allocatedBy: name };
}

/** Objects in use in one slab. A slab that a destroyed cache left behind has no cache to ask: it counts as pages. */
function objects_of(slab: page, known: ReadonlySet<Ptr>): LiveAllocation[] {
  const base = page_address(slab.addr);
  if (!known.has(slab.slab)) {
    const size = PAGE_SIZE << slab.order;
    const cache = '(destroyed)';
    return slab.inuse === 0 ? [] : [{ kind: 'slab', address: base, size, cache, ...by(slab.allocated_by) }];
  }
  const cache = kmem_cache.at(slab.slab);
  const { size, objsize, objects, name } = cache;
  const found: LiveAllocation[] = [];
  for (let index = 0; index < objects; index++) {
    const address = base + index * size;
    const meta = metadata_of(cache, address);
    if (meta.redzone !== RED_ACTIVE) continue;
    found.push({ kind: 'slab', address, size: objsize, cache: name, ...by(meta.allocated_by) });
  }
  return found;
}

/** Caches in the chain that somebody created after the allocator's own, oldest first. */
function caches(): LiveAllocation[] {
  const found: LiveAllocation[] = [];
  for (const link of links(cache_chain)) {
    const cache = kmem_cache.container(link, 'next');
    if (is_boot_cache(cache.addr)) continue;
    const { addr, name, objsize, allocated_by } = cache;
    found.unshift({ kind: 'cache', address: addr, size: objsize, cache: name, ...by(allocated_by) });
  }
  return found;
}

/** Every allocation that was not given back: pages and objects by address, then caches. Slabs themselves do not count. */
export function liveAllocations(): LiveAllocation[] {
  const known = new Set<Ptr>();
  for (const link of links(cache_chain)) known.add(kmem_cache.container(link, 'next').addr);
  const found: LiveAllocation[] = [];
  const { heap, heapEnd } = bus.layout;
  const frames = (heapEnd - heap) / PAGE_SIZE;
  for (let frame = 0; frame < frames;) {
    const view = page.at(heap + frame * page.size);
    const { order } = view;
    if (is_free_block(view)) {
      frame += 1 << order;
      continue;
    }
    const isBlock = !is_reserved(view) && !is_tail(view) && atomic_read(view._count) > 0 && order < MAX_ORDER;
    if (isBlock && (view.flags & PG_slab) !== 0) {
      found.push(...objects_of(view, known));
    } else if (isBlock) {
      const size = PAGE_SIZE << order;
      found.push({ kind: 'page', address: page_address(view.addr), size, order, ...by(view.allocated_by) });
    }
    frame += isBlock ? 1 << order : 1;
  }
  // A kmem_cache structure is an object too, of the cache of caches: it is listed as what it is.
  const cacheObjects = new Set(caches().map((cache) => cache.address));
  return [...found.filter((one) => !cacheObjects.has(one.address)), ...caches()];
}

export interface NotifierEntry {
  readonly function: string;
  readonly priority: number;
}

export interface ModuleEntry {
  readonly name: string;
  readonly state: 'live' | 'coming' | 'going';
  readonly references: number;
  readonly usedBy: readonly string[];
}

/** Everything a module can leave behind. Names, in the order the kernel keeps them unless said otherwise. */
export interface KernelInventory {
  readonly modules: readonly ModuleEntry[];
  readonly cpuNotifiers: readonly NotifierEntry[];
  readonly rebootNotifiers: readonly NotifierEntry[];
  readonly miscDevices: readonly { readonly name: string; readonly minor: number }[];
  /** paths below the root, sorted */
  readonly debugfs: readonly string[];
  readonly sysdevClasses: readonly string[];
  readonly sysdevs: readonly string[];
  readonly fileSystems: readonly string[];
  readonly openFiles: readonly { readonly fd: number; readonly name: string }[];
  readonly allocations: readonly LiveAllocation[];
}

function notifiers(first: Ptr): NotifierEntry[] {
  const found: NotifierEntry[] = [];
  for (let at = first; at !== NULL && found.length < LIST_MAX;) {
    const block = notifier_block.at(at);
    const { notifier_call, priority } = block;
    found.push({ function: symbolName(notifier_call) ?? `0x${notifier_call.toString(16)}`, priority });
    at = block.next;
  }
  return found;
}

const STATES = { [MODULE_STATE_COMING]: 'coming', [MODULE_STATE_GOING]: 'going' } as const;

function loadedModules(): ModuleEntry[] {
  return links(modules).map((link) => {
    const mod = module.container(link, 'list');
    const state =
      mod.state === MODULE_STATE_COMING || mod.state === MODULE_STATE_GOING ? STATES[mod.state] : 'live';
    return { name: mod.name, state, references: module_refcount(mod), usedBy: module_users(mod) };
  });
}

function debugfsPaths(dir: dentry, prefix: string): string[] {
  const paths: string[] = [];
  for (const link of links(dir.d_subdirs)) {
    const entry = dentry.container(link, 'd_child');
    const path = prefix + entry.d_name;
    paths.push(path, ...debugfsPaths(entry, `${path}/`));
  }
  return paths;
}

function fileSystems(): string[] {
  const names: string[] = [];
  for (let at = file_systems.value; at !== NULL && names.length < LIST_MAX;) {
    const type = file_system_type.at(at);
    names.push(type.name);
    at = type.next;
  }
  return names;
}

function openFiles(): { readonly fd: number; readonly name: string }[] {
  const found: { readonly fd: number; readonly name: string }[] = [];
  const { fd: table } = init_files;
  for (let fd = 0; fd < table.length; fd++) {
    const filp = table.get(fd);
    if (filp !== NULL) found.push({ fd, name: file.at(filp).f_name });
  }
  return found;
}

/** What is registered and allocated now. */
export function kernelInventory(): KernelInventory {
  const classes = links(system_subsys).map((link) => sysdev_class.container(link, 'entry'));
  return {
    modules: loadedModules(),
    cpuNotifiers: notifiers(cpu_chain.head),
    rebootNotifiers: notifiers(reboot_notifier_list.head),
    miscDevices: links(misc_list).map((link) => {
      const { name, minor } = miscdevice.container(link, 'list');
      return { name, minor };
    }),
    debugfs: debugfsPaths(debugfs_root, '').toSorted(),
    sysdevClasses: classes.map((cls) => cls.name),
    sysdevs: classes.flatMap((cls) =>
      links(cls.devices).map((link) => `${cls.name}${sys_device.container(link, 'entry').id}`),
    ),
    fileSystems: fileSystems(),
    openFiles: openFiles(),
    allocations: liveAllocations(),
  };
}

/** What is in `after` and not in `before`, list by list. */
export function inventoryDifference(before: KernelInventory, after: KernelInventory): KernelInventory {
  const added = <T>(had: readonly T[], has: readonly T[]): T[] => {
    const left = had.map((one) => JSON.stringify(one));
    return has.filter((one) => {
      const at = left.indexOf(JSON.stringify(one));
      if (at >= 0) left.splice(at, 1);
      return at < 0;
    });
  };
  return {
    modules: added(before.modules, after.modules),
    cpuNotifiers: added(before.cpuNotifiers, after.cpuNotifiers),
    rebootNotifiers: added(before.rebootNotifiers, after.rebootNotifiers),
    miscDevices: added(before.miscDevices, after.miscDevices),
    debugfs: added(before.debugfs, after.debugfs),
    sysdevClasses: added(before.sysdevClasses, after.sysdevClasses),
    sysdevs: added(before.sysdevs, after.sysdevs),
    fileSystems: added(before.fileSystems, after.fileSystems),
    openFiles: added(before.openFiles, after.openFiles),
    allocations: added(before.allocations, after.allocations),
  };
}

/** True if nothing is in it. */
export function isInventoryEmpty(inventory: KernelInventory): boolean {
  return Object.values(inventory).every((list: readonly unknown[]) => list.length === 0);
}

/** Objects in use of a cache by its address; for tests. */
export function objectsInUse(cache: Ptr): number {
  return kmem_cache_node.at(kmem_cache.at(cache).node).nr_objects;
}
