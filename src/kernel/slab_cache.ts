/**
 * Making and destroying slab caches: as SLAB does, or as SLUB does (MachineWord.SLUB).
 *
 * @linux mm/slab.c and mm/slub.c, as of 2.6.24
 * Leaves out: sysfs, destructors, shrinking.
 *
 * They differ where modules with a common cache collide (spec 2.2). SLAB refuses a name it has; SLUB merges caches that
 * are alike, whatever their names, and counts who shares them.
 */
import { vmlinux } from '#memory/image';
import { INIT_LIST_HEAD, list_add, list_del } from '#memory/list';
import { NULL, type Ptr, array, memset } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { in_interrupt } from '#smp/irqflags';
import { mutex, mutex_lock, mutex_unlock } from '#smp/mutex';
import { BUG_ON, KERN_ERR, WARN_ON, dump_stack, panic, printk, report_finding } from '#smp/printk';
import { spin_lock_irqsave, spin_unlock_irqrestore } from '#smp/spinlock';
import { is_i386 } from '#smp/subarch';
import { should_failslab } from './failslab.ts';
import { GFP_KERNEL, __GFP_ZERO } from './gfp.ts';
import { PG_slab, __free_pages, page, virt_addr_valid, virt_to_head_page } from './page_alloc.ts';
import { return_address } from './return-address.ts';
import {
  RED_INACTIVE,
  SLAB_HWCACHE_ALIGN,
  SLAB_MINALIGN,
  SLAB_PANIC,
  SLAB_RECLAIM_ACCOUNT,
  is_slub,
  kmem_cache,
  kmem_cache_node,
  metadata_of,
  object_inuse,
  slab_geometry,
} from './slab_def.ts';
import { slab_alloc, slab_free } from './slab_object.ts';
import { LIST_HEAD } from './static-list.ts';

/** Guards cache_chain and every cache's objsize and refcount. In SLUB its name is slub_lock. Outermost of this room's locks. */
export const cache_chain_mutex = vmlinux.DEFINE('cache_chain_mutex', mutex);
/** Every cache, newest first; guarded by cache_chain_mutex. */
export const cache_chain = LIST_HEAD('cache_chain');

/** The cache of caches. */
export const cache_cache = vmlinux.DEFINE('cache_cache', kmem_cache);

/** Sizes of the caches behind kmalloc; what is larger comes from the page allocator. */
export const KMALLOC_SIZES = [32, 64, 96, 128, 192, 256, 512, 1024, 2048] as const;
export const kmalloc_caches = vmlinux.DEFINE('kmalloc_caches', array(kmem_cache, KMALLOC_SIZES.length));

const CACHE_LINE = 64;

/** The alignment objects get: what was asked for, a cache line or a fraction of one if that was asked for too. */
function calculate_alignment(flags: number, align: number, size: number): number {
  let result = Math.max(align, SLAB_MINALIGN);
  if ((flags & SLAB_HWCACHE_ALIGN) !== 0) {
    let line = CACHE_LINE;
    while (size <= line / 2) line /= 2;
    result = Math.max(result, line);
  }
  return result;
}

/** Fills in a cache and links it. Must hold cache_chain_mutex, but at boot. */
function kmem_cache_open(
  cache: kmem_cache,
  name: string,
  size: number,
  align: number,
  flags: number,
  ctor: Ptr,
): void {
  const geometry = slab_geometry(size, calculate_alignment(flags, align, size));
  cache.size = geometry.size;
  cache.objsize = size;
  cache.inuse = geometry.inuse;
  cache.align = geometry.align;
  cache.flags = flags;
  cache.ctor = ctor;
  cache.order = geometry.order;
  cache.objects = geometry.objects;
  cache.refcount = 1;
  cache.name = name;
  INIT_LIST_HEAD(cache.self.partial);
  cache.node = cache.self.addr;
  list_add(cache.next, cache_chain);
}

/** Must hold cache_chain_mutex. */
function find_by_name(name: string): Ptr {
  for (let at = cache_chain.next; at !== cache_chain.addr;) {
    const cache = kmem_cache.container(at, 'next');
    if (cache.name === name) return cache.addr;
    at = cache.next.next;
  }
  return NULL;
}

/**
 * SLUB: a cache whose objects would serve as well: no constructor, same kind, at most a word larger, aligned enough.
 * Must hold cache_chain_mutex.
 */
function find_mergeable(size: number, align: number, flags: number, ctor: Ptr): Ptr {
  if (ctor !== NULL) return NULL;
  const word = is_i386() ? 4 : 8;
  const alignment = calculate_alignment(flags, align, size);
  const wanted = object_inuse(size, alignment);
  for (let at = cache_chain.next; at !== cache_chain.addr;) {
    const cache = kmem_cache.container(at, 'next');
    at = cache.next.next;
    const { inuse } = cache;
    if (cache.ctor !== NULL || cache.addr === cache_cache.addr) continue;
    if (wanted > inuse || inuse - wanted >= word || inuse % alignment !== 0) continue;
    if (((flags ^ cache.flags) & SLAB_RECLAIM_ACCOUNT) !== 0) continue;
    return cache.addr;
  }
  return NULL;
}

/** The body of kmem_cache_create. Must hold cache_chain_mutex. */
function create_locked(name: string, size: number, align: number, flags: number, ctor: Ptr): Ptr {
  const caller = return_address(0);
  if (!is_slub() && find_by_name(name) !== NULL) {
    printk(KERN_ERR, `kmem_cache_create: duplicate cache ${name}`);
    dump_stack();
    return NULL;
  }
  if (should_failslab('kmem_cache_create', name, caller)) return NULL;
  const alike = is_slub() ? find_mergeable(size, align, flags, ctor) : NULL;
  if (alike !== NULL) {
    const cache = kmem_cache.at(alike);
    cache.refcount += 1;
    cache.objsize = Math.max(cache.objsize, size);
    return alike;
  }
  const made = slab_alloc(cache_cache, GFP_KERNEL | __GFP_ZERO, caller);
  if (made === NULL) return NULL;
  const cache = kmem_cache.at(made);
  kmem_cache_open(cache, name, size, align, flags, ctor);
  cache.allocated_by = caller;
  return made;
}

/**
 * Makes a cache of objects of one size.
 * @param ctor address of `(cache, object) => void`, or NULL
 * @returns NULL where memory is used up, or, on SLAB, a cache of that name exists
 */
export const kmem_cache_create = kernel_function(
  'kmem_cache_create',
  (name: string, size: number, align: number, flags: number, ctor: Ptr): Ptr => {
    BUG_ON(in_interrupt() || size < 4, `kmem_cache_create: early error in slab ${name}`);
    mutex_lock(cache_chain_mutex);
    const cache = create_locked(name, size, align, flags, ctor);
    mutex_unlock(cache_chain_mutex);
    if (cache === NULL && (flags & SLAB_PANIC) !== 0)
      panic(`kmem_cache_create(): failed to create slab \`${name}'`);
    return cache;
  },
);

/** Gives the slabs without objects back to the page allocator; answers how many objects keep others. */
function kmem_cache_close(cache: kmem_cache): number {
  const node = kmem_cache_node.at(cache.node);
  const { order } = cache;
  for (;;) {
    const flags = spin_lock_irqsave(node.list_lock);
    let at = node.partial.next;
    while (at !== node.partial.addr && page.container(at, 'lru').inuse !== 0)
      at = page.container(at, 'lru').lru.next;
    const found = at !== node.partial.addr;
    const slab = page.container(at, 'lru');
    if (found) list_del(slab.lru);
    const left = node.nr_objects;
    spin_unlock_irqrestore(node.list_lock, flags);
    if (!found) return left;
    slab.flags &= ~PG_slab;
    __free_pages(slab.addr, order);
  }
}

/**
 * True if `cache` is the address of a cache that was destroyed, and its memory not yet used for another one.
 * The kernel cannot tell; we look so that a finding says what the oops that may follow cannot.
 */
function was_destroyed(cache: Ptr): boolean {
  if (!virt_addr_valid(cache)) return false;
  const head = page.at(virt_to_head_page(cache));
  if ((head.flags & PG_slab) === 0 || head.slab !== cache_cache.addr) return true;
  return metadata_of(cache_cache, cache).redzone === RED_INACTIVE;
}

function live_objects(cache: kmem_cache, objects: number): void {
  const { name } = cache;
  report_finding('leak', `kmem_cache_destroy: cache ${name} still has ${objects} object(s)`);
}

/** SLAB keeps a cache that has objects. */
function destroy_slab(cache: kmem_cache): void {
  mutex_lock(cache_chain_mutex);
  // Of a destroyed cache these pointers are poison: the oops happens here, and the mutex stays locked.
  list_del(cache.next);
  const left = kmem_cache_close(cache);
  if (left !== 0) {
    live_objects(cache, left);
    printk(KERN_ERR, `slab error in kmem_cache_destroy(): cache \`${cache.name}': Can't free all objects`);
    dump_stack();
    list_add(cache.next, cache_chain);
  } else {
    slab_free(virt_to_head_page(cache.addr), cache.addr, return_address(0));
  }
  mutex_unlock(cache_chain_mutex);
}

/** SLUB drops a reference; with the last one the cache goes, objects or not. Of a destroyed cache the count is poison. */
function destroy_slub(cache: kmem_cache): void {
  mutex_lock(cache_chain_mutex);
  cache.refcount -= 1;
  if (cache.refcount !== 0) {
    mutex_unlock(cache_chain_mutex);
    return;
  }
  list_del(cache.next);
  mutex_unlock(cache_chain_mutex);
  const left = kmem_cache_close(cache);
  if (left !== 0) {
    live_objects(cache, left);
    WARN_ON(true, 'kmem_cache_destroy: objects are left');
  }
  slab_free(virt_to_head_page(cache.addr), cache.addr, return_address(0));
}

/** Destroys a cache. The caller's pointer dangles afterwards, and so do those of whoever shares it on SLAB. */
export const kmem_cache_destroy = kernel_function('kmem_cache_destroy', (cachep: Ptr): void => {
  BUG_ON(cachep === NULL || in_interrupt(), 'kmem_cache_destroy');
  if (was_destroyed(cachep)) {
    report_finding(
      'slab-corruption',
      'BUG: kmem_cache_destroy of a cache that is already destroyed',
      `cache 0x${cachep.toString(16)}`,
    );
  }
  if (is_slub()) destroy_slub(kmem_cache.at(cachep));
  else destroy_slab(kmem_cache.at(cachep));
});

/** Boot: the cache of caches, and those behind kmalloc. Needs mem_init. */
export const kmem_cache_init = kernel_function('kmem_cache_init', (): void => {
  memset(cache_cache.addr, 0, kmem_cache.size);
  kmem_cache_open(cache_cache, 'kmem_cache', kmem_cache.size, 0, 0, NULL);
  const prefix = is_slub() ? 'kmalloc' : 'size';
  for (let index = 0; index < KMALLOC_SIZES.length; index++) {
    const size = KMALLOC_SIZES[index]!;
    const cache = kmalloc_caches.at(index);
    memset(cache.addr, 0, kmem_cache.size);
    kmem_cache_open(cache, `${prefix}-${size}`, size, 0, 0, NULL);
  }
});

/** True for the caches that the allocator itself made at boot. */
export function is_boot_cache(cache: Ptr): boolean {
  const { addr } = kmalloc_caches;
  const behind_kmalloc = cache >= addr && cache < addr + KMALLOC_SIZES.length * kmem_cache.size;
  return cache === cache_cache.addr || behind_kmalloc;
}
