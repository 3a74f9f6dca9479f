/**
 * What a slab cache and its objects look like in memory.
 *
 * @linux include/linux/slub_def.h, include/linux/slab_def.h, as of 2.6.24
 * Leaves out: per-CPU queues, cache colouring, freeing of empty slabs before the cache itself goes.
 *
 * One layout serves both allocators (MachineWord.SLUB chooses how they behave): slabs as SLUB's, in which the free objects
 * of a slab form a list. Behind each object, what CONFIG_SLUB_DEBUG keeps there:
 *
 *     object .. inuse | red zone | next free object | allocated by | freed by | padding
 */
import { ByteRecord } from '#memory/record';
import { bus } from '#memory/bus';
import { MACHINE_BLOCK, MachineWord, PAGE_SIZE } from '#memory/layout';
import { list_head } from '#memory/list';
import { type StructView, char, ptr, s32, struct, u32 } from '#memory/struct';
import { spinlock_t } from '#smp/spinlock';
import { MAX_ORDER, POISON_FREE } from './page_alloc.ts';

export const SLAB_HWCACHE_ALIGN = 0x2000;
export const SLAB_RECLAIM_ACCOUNT = 0x20000;
/** A cache that cannot be made is a panic. */
export const SLAB_PANIC = 0x40000;

/** Last byte of a free object. */
export const POISON_END = 0xa5;
export const RED_INACTIVE = 0xbbbbbbbb;
export const RED_ACTIVE = 0xcccccccc;

/** Alignment that every object has: that of a 64-bit integer (ARCH_KMALLOC_MINALIGN's default). */
export const SLAB_MINALIGN = 8;

/** Metadata behind an object's `inuse` bytes, in this order. */
export const object_meta = struct('object_meta', {
  redzone: u32,
  next_free: ptr,
  allocated_by: ptr,
  freed_by: ptr,
});
export type object_meta = StructView<typeof object_meta>;

/** Slabs of a cache. Reached through a pointer, so that a use of a destroyed cache is an oops and not a hang. */
export const kmem_cache_node = struct('kmem_cache_node', {
  list_lock: spinlock_t,
  /** slabs that have a free object; those that have none are on no list. Guarded by list_lock */
  partial: list_head,
  /** objects in use; guarded by list_lock */
  nr_objects: u32,
});
export type kmem_cache_node = StructView<typeof kmem_cache_node>;

/** Immutable while the cache lives, unless said otherwise. */
export const kmem_cache = struct('kmem_cache', {
  /** of `self`; poisoned with the rest when the cache is destroyed */
  node: ptr,
  /** bytes from one object to the next */
  size: u32,
  /** bytes the creator asked for; guarded by cache_chain_mutex, as merging may raise it */
  objsize: u32,
  /** objsize rounded up to its alignment: what may be used, and where the metadata begin */
  inuse: u32,
  align: u32,
  flags: u32,
  ctor: ptr,
  order: u32,
  /** objects in a slab */
  objects: u32,
  /** creators that share this cache (SLUB); guarded by cache_chain_mutex */
  refcount: s32,
  /** place in cache_chain; guarded by cache_chain_mutex */
  next: list_head,
  name: char(32),
  /** function that created it */
  allocated_by: ptr,
  self: kmem_cache_node,
});
export type kmem_cache = StructView<typeof kmem_cache>;

/** True if this machine's allocator is SLUB, false for SLAB. Immutable after power-on. */
export function is_slub(): boolean {
  return bus.loadLocal32(MACHINE_BLOCK + MachineWord.SLUB * 4) !== 0;
}

export function metadata_of(cache: kmem_cache, object: number): object_meta {
  return object_meta.at(object + cache.inuse);
}

function align_up(value: number, align: number): number {
  return Math.ceil(value / align) * align;
}

/** Smallest order that wastes no more than an eighth of the slab, or as little as is possible up to order 3. */
function slab_order(size: number): number {
  let best = MAX_ORDER;
  let least = Infinity;
  for (let order = 0; order < MAX_ORDER; order++) {
    const bytes = PAGE_SIZE << order;
    if (bytes < size) continue;
    const waste = (bytes % size) / bytes;
    if (waste < least) {
      least = waste;
      best = order;
    }
    if (least <= 1 / 8 || order >= 3) break;
  }
  return best;
}

/** Bytes an object may use: its size rounded up to the alignment it gets. */
export function object_inuse(objsize: number, align: number): number {
  return align_up(objsize, Math.max(align, SLAB_MINALIGN));
}

export interface SlabGeometry {
  readonly inuse: number;
  readonly size: number;
  readonly align: number;
  readonly order: number;
  readonly objects: number;
}

/** How objects of this size lie in a slab. Pure. */
export function slab_geometry(objsize: number, align: number): SlabGeometry {
  const alignment = Math.max(align, SLAB_MINALIGN);
  const inuse = object_inuse(objsize, align);
  const size = align_up(inuse + object_meta.size, alignment);
  const order = slab_order(size);
  return { inuse, size, align: alignment, order, objects: Math.floor((PAGE_SIZE << order) / size) };
}

/** A new slab's content: every object free and poisoned, each pointing to the next. Pure. */
export function fresh_slab(geometry: SlabGeometry, base: number, poison: boolean): Uint8Array {
  const { size, inuse, objects, order } = geometry;
  const slab = new ByteRecord(PAGE_SIZE << order, 0x5a);
  for (let index = 0; index < objects; index++) {
    const at = index * size;
    slab.fill(poison ? POISON_FREE : 0, at, at + inuse);
    if (poison) slab.fill(POISON_END, at + inuse - 1, at + inuse);
    slab.setU32(at + inuse + object_meta.offsetof('redzone'), RED_INACTIVE);
    const next = index + 1 < objects ? base + at + size : 0;
    slab.setU32(at + inuse + object_meta.offsetof('next_free'), next);
    slab.setU32(at + inuse + object_meta.offsetof('allocated_by'), 0);
    slab.setU32(at + inuse + object_meta.offsetof('freed_by'), 0);
  }
  return slab.bytes;
}
