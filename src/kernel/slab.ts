/**
 * kmalloc and slab caches: what kernel code calls. What is behind it is in slab_cache.ts and slab_object.ts.
 *
 * @linux include/linux/slab.h, mm/slub.c, mm/slab.c, as of 2.6.24
 * Leaves out: DMA caches, krealloc, NUMA.
 */
import { NULL, type Ptr } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { might_sleep } from '#smp/irqflags';
import { BUG_ON } from '#smp/printk';
import { should_failslab } from './failslab.ts';
import { __GFP_COMP, __GFP_WAIT, __GFP_ZERO } from './gfp.ts';
import {
  PAGE_SIZE,
  PG_slab,
  page,
  page_address,
  put_page,
  take_pages,
  virt_addr_valid,
  virt_to_head_page,
} from './page_alloc.ts';
import { return_address } from './return-address.ts';
import { KMALLOC_SIZES, kmalloc_caches } from './slab_cache.ts';
import { kmem_cache } from './slab_def.ts';
import { slab_alloc, slab_bug, slab_free } from './slab_object.ts';

export * from './gfp.ts';
export { kmem_cache_create, kmem_cache_destroy, kmem_cache_init } from './slab_cache.ts';
export { SLAB_HWCACHE_ALIGN, SLAB_PANIC, SLAB_RECLAIM_ACCOUNT, kmem_cache } from './slab_def.ts';

/** What kmalloc(0) answers: not NULL, and nothing may be read or written there. */
export const ZERO_SIZE_PTR: Ptr = 16;

function alloc_from(cachep: Ptr, gfp: number, caller: Ptr): Ptr {
  const cache = kmem_cache.at(cachep);
  if ((gfp & __GFP_WAIT) !== 0) might_sleep('kmem_cache_alloc');
  return should_failslab('kmem_cache_alloc', cache.name, caller) ? NULL : slab_alloc(cache, gfp, caller);
}

/** An object of a cache, or NULL. Its content is whatever was there. */
export const kmem_cache_alloc = kernel_function('kmem_cache_alloc', (cachep: Ptr, gfp: number): Ptr =>
  alloc_from(cachep, gfp, return_address(0)),
);

/** As kmem_cache_alloc, zeroed. */
export const kmem_cache_zalloc = kernel_function('kmem_cache_zalloc', (cachep: Ptr, gfp: number): Ptr =>
  alloc_from(cachep, gfp | __GFP_ZERO, return_address(0)),
);

export const kmem_cache_free = kernel_function('kmem_cache_free', (cachep: Ptr, object: Ptr): void => {
  BUG_ON(!virt_addr_valid(object), 'kmem_cache_free: not a kernel address');
  const pg = virt_to_head_page(object);
  const frame = page.at(pg);
  if ((frame.flags & PG_slab) === 0 || frame.slab !== cachep) {
    const where = (frame.flags & PG_slab) === 0 ? 'no slab' : kmem_cache.at(frame.slab).name;
    slab_bug(kmem_cache.at(cachep), object, 'Freed to the wrong cache', `it belongs to ${where}`);
    return;
  }
  slab_free(pg, object, return_address(0));
});

function get_order(size: number): number {
  let order = 0;
  while (PAGE_SIZE << order < size) order++;
  return order;
}

function do_kmalloc(size: number, gfp: number, caller: Ptr): Ptr {
  if (size === 0) return ZERO_SIZE_PTR;
  if ((gfp & __GFP_WAIT) !== 0) might_sleep('kmalloc');
  if (should_failslab('kmalloc', String(size), caller)) return NULL;
  for (let index = 0; index < KMALLOC_SIZES.length; index++) {
    if (size <= KMALLOC_SIZES[index]!) return slab_alloc(kmalloc_caches.at(index), gfp, caller);
  }
  const pg = take_pages(gfp | __GFP_COMP, get_order(size), caller);
  return pg === NULL ? NULL : page_address(pg);
}

/** `size` bytes, aligned as a 64-bit integer is, or NULL. */
export const kmalloc = kernel_function('kmalloc', (size: number, gfp: number): Ptr =>
  do_kmalloc(size, gfp, return_address(0)),
);

/** As kmalloc, zeroed. */
export const kzalloc = kernel_function('kzalloc', (size: number, gfp: number): Ptr =>
  do_kmalloc(size, gfp | __GFP_ZERO, return_address(0)),
);

export const kcalloc = kernel_function('kcalloc', (n: number, size: number, gfp: number): Ptr =>
  do_kmalloc(n * size, gfp | __GFP_ZERO, return_address(0)),
);

/** Frees what kmalloc and its relatives, or kmem_cache_alloc, gave. NULL is fine. */
export const kfree = kernel_function('kfree', (object: Ptr): void => {
  if (object === NULL || object === ZERO_SIZE_PTR) return;
  BUG_ON(!virt_addr_valid(object), 'kfree: not a kernel address');
  const pg = virt_to_head_page(object);
  if ((page.at(pg).flags & PG_slab) === 0) put_page(pg);
  else slab_free(pg, object, return_address(0));
});

/** Bytes that may be used of what kmalloc gave. */
export const ksize = kernel_function('ksize', (object: Ptr): number => {
  BUG_ON(object === NULL, 'ksize: NULL');
  if (object === ZERO_SIZE_PTR) return 0;
  const frame = page.at(virt_to_head_page(object));
  return (frame.flags & PG_slab) === 0 ? PAGE_SIZE << frame.order : kmem_cache.at(frame.slab).objsize;
});
