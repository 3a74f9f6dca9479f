/**
 * The page allocator: blocks of 2^order page frames, split and merged with their buddies.
 *
 * @linux mm/page_alloc.c, include/linux/mm.h, as of 2.6.24
 * Leaves out: zones other than one, per-CPU page lists, reclaim (memory that is used up fails at once), migrate types.
 * Adds: freed pages are filled with 0x6b, and a page written to while it was free is found when it is next taken.
 *
 * `mem_map`, one `struct page` for each frame of the heap, lies in the heap's first frames. Everything here may run with
 * interrupts off and in interrupts: CPU_DYING and IPIs free pages (spec 3.7).
 */
import { assert } from '#base/assert';
import { atomic_add_return, atomic_inc, atomic_set } from '#memory/atomic';
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { PAGE_SHIFT, PAGE_SIZE } from '#memory/layout';
import { INIT_LIST_HEAD, list_add, list_add_tail, list_del, list_head } from '#memory/list';
import { NULL, type Ptr, array, memset, ptr, struct, u32 } from '#memory/struct';
import { kernel_function, symbolName } from '#memory/symbols';
import { EventType } from '#trace/events';
import { might_sleep } from '#smp/irqflags';
import { KERN_ALERT, KERN_WARNING, dump_stack, printk, report_finding } from '#smp/printk';
import { spin_lock_irqsave, spin_unlock_irqrestore, spinlock_t } from '#smp/spinlock';
import { should_failslab } from './failslab.ts';
import { __GFP_COMP, __GFP_NOWARN, __GFP_WAIT, __GFP_ZERO } from './gfp.ts';
import {
  PG_buddy,
  PG_poison,
  PG_reserved,
  PG_slab,
  PG_tail,
  POISON_FREE,
  compound_head,
  page,
  page_address,
  page_to_pfn,
  pfn_to_page,
  virt_to_page,
} from './page.ts';
import { return_address } from './return-address.ts';

export * from './gfp.ts';
export * from './page.ts';
export { PAGE_SHIFT, PAGE_SIZE };

/** Orders 0..10, as in Linux: a block is at most 4 MiB. */
export const MAX_ORDER = 11;

const free_area = struct('free_area', { free_list: list_head, nr_free: u32 });

const zone_type = struct('zone', {
  lock: spinlock_t,
  /** guarded by lock */
  free_area: array(free_area, MAX_ORDER),
  /** guarded by lock */
  nr_free_pages: u32,
  /** first struct page, first frame number, frames: immutable after boot */
  mem_map: ptr,
  start_pfn: u32,
  spanned_pages: u32,
  /** frames that were free after boot: immutable after boot */
  present_pages: u32,
});

/** Innermost lock: nothing is taken under it. Order: cache_chain_mutex > kmem_cache_node.list_lock > zone.lock. */
export const zone = vmlinux.DEFINE('contig_page_data', zone_type);

/** Must hold zone.lock. */
function add_free_block(pfn: number, order: number): void {
  const head = page.at(pfn_to_page(pfn));
  head.flags |= PG_buddy;
  head.order = order;
  const area = zone.free_area.at(order);
  list_add(head.lru, area.free_list);
  area.nr_free += 1;
}

/** Must hold zone.lock. */
function remove_free_block(head: page, order: number): void {
  list_del(head.lru);
  head.flags &= ~PG_buddy;
  zone.free_area.at(order).nr_free -= 1;
}

/** Must hold zone.lock. Takes a block of `order` from the smallest free block that has one; NULL if none has. */
function __rmqueue(order: number): Ptr {
  for (let current = order; current < MAX_ORDER; current++) {
    const list = zone.free_area.at(current).free_list;
    const first = list.next;
    if (first === list.addr) continue;
    const head = page.container(first, 'lru');
    remove_free_block(head, current);
    const pfn = page_to_pfn(head.addr);
    // The upper half goes back, again and again, until what is left is what was asked for.
    for (let half = current - 1; half >= order; half--) add_free_block(pfn + (1 << half), half);
    zone.nr_free_pages -= 1 << order;
    return head.addr;
  }
  return NULL;
}

/** Must hold zone.lock. Puts a block back, merged with its buddy as long as that is free and whole. */
function __free_one_block(pfn: number, order: number): void {
  const end = zone.start_pfn + zone.spanned_pages;
  zone.nr_free_pages += 1 << order;
  let at = pfn;
  let size = order;
  while (size < MAX_ORDER - 1) {
    const buddy = at ^ (1 << size);
    if (buddy < zone.start_pfn || buddy + (1 << size) > end) break;
    const head = page.at(pfn_to_page(buddy));
    if ((head.flags & PG_buddy) === 0 || head.order !== size) break;
    remove_free_block(head, size);
    at &= buddy;
    size++;
  }
  add_free_block(at, size);
}

/** Complains about a page whose book-keeping is wrong, and lets the machine go on, as the kernel does. */
function bad_page_state(pg: Ptr, what: string): void {
  const { allocated_by } = page.at(pg);
  report_finding(
    'bug',
    `BUG: Bad page state: ${what}`,
    `page 0x${page_address(pg).toString(16)}, allocated by ${symbolName(allocated_by) ?? 'nobody'}`,
  );
  printk(KERN_ALERT, `BUG: Bad page state: pfn ${page_to_pfn(pg)}: ${what}`);
  dump_stack();
}

/** A page that was filled when it was freed must still be: who wrote to it did so after giving it back. */
function check_page_poison(pg: Ptr): void {
  const bytes = bus.loadBytes(page_address(pg), PAGE_SIZE);
  for (let offset = 0; offset < PAGE_SIZE; offset++) {
    if (bytes[offset] === POISON_FREE) continue;
    report_finding(
      'slab-corruption',
      'BUG: a free page was written to',
      `address 0x${(page_address(pg) + offset).toString(16)} holds 0x${bytes[offset]!.toString(16)}, ` +
        `last allocated by ${symbolName(page.at(pg).allocated_by) ?? 'nobody'}`,
    );
    printk(KERN_ALERT, `pagealloc: memory corruption at 0x${(page_address(pg) + offset).toString(16)}`);
    dump_stack();
    return;
  }
}

/** Makes a block that was just taken ready for its owner. No lock: the block is nobody else's. */
function prep_new_block(pg: Ptr, order: number, gfp: number, caller: Ptr): void {
  const count = 1 << order;
  const address = page_address(pg);
  bus.emit(EventType.ALLOCATION, address, count * PAGE_SIZE, 0, 1);
  for (let index = 0; index < count; index++) {
    const frame = page.at(pg + index * page.size);
    if ((frame.flags & PG_poison) !== 0) check_page_poison(frame.addr);
    const compound_tail = index > 0 && (gfp & __GFP_COMP) !== 0;
    frame.flags = compound_tail ? PG_tail : 0;
    if (compound_tail) frame.first_page = pg;
  }
  const head = page.at(pg);
  head.order = order;
  head.allocated_by = caller;
  atomic_set(head._count, 1);
  if ((gfp & __GFP_ZERO) !== 0) memset(address, 0, count * PAGE_SIZE);
}

/** Takes a block without fault injection: for the slab allocator, whose objects are counted instead. */
export function take_pages(gfp: number, order: number, caller: Ptr): Ptr {
  assert(order >= 0 && order < MAX_ORDER, `take_pages: order ${order}`);
  const flags = spin_lock_irqsave(zone.lock);
  const pg = __rmqueue(order);
  spin_unlock_irqrestore(zone.lock, flags);
  if (pg !== NULL) {
    prep_new_block(pg, order, gfp, caller);
  } else if ((gfp & __GFP_NOWARN) === 0) {
    printk(KERN_WARNING, `page allocation failure. order:${order}, mode:0x${gfp.toString(16)}`);
    dump_stack();
  }
  return pg;
}

function do_alloc_pages(gfp: number, order: number, caller: Ptr): Ptr {
  if ((gfp & __GFP_WAIT) !== 0) might_sleep('alloc_pages');
  return should_failslab('alloc_pages', String(order), caller) ? NULL : take_pages(gfp, order, caller);
}

/** A block of 2^order pages: its `struct page`, or NULL. */
export const alloc_pages = kernel_function('alloc_pages', (gfp: number, order: number): Ptr =>
  do_alloc_pages(gfp, order, return_address(0)),
);

export const alloc_page = kernel_function('alloc_page', (gfp: number): Ptr =>
  do_alloc_pages(gfp, 0, return_address(0)),
);

/** There is one node: the number says where Linux would look first. */
export const alloc_pages_node = kernel_function(
  'alloc_pages_node',
  (_nid: number, gfp: number, order: number): Ptr => do_alloc_pages(gfp, order, return_address(0)),
);

/** As alloc_pages; answers the address of the memory. */
export const __get_free_pages = kernel_function('__get_free_pages', (gfp: number, order: number): Ptr => {
  const pg = do_alloc_pages(gfp, order, return_address(0));
  return pg === NULL ? NULL : page_address(pg);
});

export const get_zeroed_page = kernel_function('get_zeroed_page', (gfp: number): Ptr => {
  const pg = do_alloc_pages(gfp | __GFP_ZERO, 0, return_address(0));
  return pg === NULL ? NULL : page_address(pg);
});

function free_block(pg: Ptr, order: number): void {
  const head = page.at(pg);
  if (head.order !== order) {
    bad_page_state(pg, `allocated with order ${head.order}, freed with order ${order}`);
  }
  if ((head.flags & (PG_slab | PG_reserved | PG_buddy)) !== 0) {
    bad_page_state(pg, `freed while flags are 0x${head.flags.toString(16)}`);
    return;
  }
  const count = 1 << order;
  const address = page_address(pg);
  memset(address, POISON_FREE, count * PAGE_SIZE);
  for (let index = 0; index < count; index++) page.at(pg + index * page.size).flags = PG_poison;
  bus.emit(EventType.ALLOCATION, address, count * PAGE_SIZE, 0, 0);
  const flags = spin_lock_irqsave(zone.lock);
  __free_one_block(page_to_pfn(pg), order);
  spin_unlock_irqrestore(zone.lock, flags);
}

function put_block(pg: Ptr, order: number): void {
  const references = atomic_add_return(-1, page.at(pg)._count);
  if (references === 0) {
    free_block(pg, order);
  } else if (references < 0) {
    atomic_inc(page.at(pg)._count);
    bad_page_state(pg, 'freed twice');
  }
}

/** Drops a reference; the last one frees the block. */
export const __free_pages = kernel_function('__free_pages', (pg: Ptr, order: number): void =>
  put_block(pg, order),
);

export const __free_page = kernel_function('__free_page', (pg: Ptr): void => put_block(pg, 0));

/** As __free_pages, by the memory's address; NULL is fine. */
export const free_pages = kernel_function('free_pages', (address: Ptr, order: number): void => {
  if (address !== NULL) put_block(virt_to_page(address), order);
});

export const free_page = kernel_function('free_page', (address: Ptr): void => {
  if (address !== NULL) put_block(virt_to_page(address), 0);
});

/** Drops a reference taken with get_page, or the allocator's own. */
export const put_page = kernel_function('put_page', (pg: Ptr): void => {
  const head = compound_head(pg);
  put_block(head, page.at(head).order);
});

/** Boot: hands every frame behind mem_map to the allocator. @linux arch/x86/mm/init_64.c (mem_init), as of 2.6.24 */
export const mem_init = kernel_function('mem_init', (): void => {
  const { heap, heapEnd } = bus.layout;
  const frames = (heapEnd - heap) >>> PAGE_SHIFT;
  const reserved = Math.ceil((frames * page.size) / PAGE_SIZE);
  memset(heap, 0, reserved * PAGE_SIZE);
  for (let order = 0; order < MAX_ORDER; order++) INIT_LIST_HEAD(zone.free_area.at(order).free_list);
  zone.mem_map = heap;
  zone.start_pfn = heap >>> PAGE_SHIFT;
  zone.spanned_pages = frames;
  for (let frame = 0; frame < reserved; frame++) page.at(heap + frame * page.size).flags = PG_reserved;
  const end = zone.start_pfn + frames;
  let pfn = zone.start_pfn + reserved;
  // The largest blocks that are aligned to their size and fit: a few dozen operations, however large the heap.
  while (pfn < end) {
    let order = MAX_ORDER - 1;
    while ((pfn & ((1 << order) - 1)) !== 0 || pfn + (1 << order) > end) order--;
    const head = page.at(pfn_to_page(pfn));
    head.flags = PG_buddy;
    head.order = order;
    const area = zone.free_area.at(order);
    list_add_tail(head.lru, area.free_list);
    area.nr_free += 1;
    zone.nr_free_pages += 1 << order;
    pfn += 1 << order;
  }
  zone.present_pages = zone.nr_free_pages;
});
