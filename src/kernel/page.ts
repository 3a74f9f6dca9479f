/**
 * Page frames: the `struct page` of each, and the ways between a frame, its number and its address.
 *
 * @linux include/linux/mm_types.h, include/linux/mm.h, include/asm-x86/page.h, as of 2.6.24
 * Leaves out: highmem mappings (all memory is mapped), zones in flags, mappings.
 */
import { atomic_inc, atomic_read, atomic_t } from '#memory/atomic';
import { bus } from '#memory/bus';
import { MACHINE_BLOCK, MachineWord, PAGE_SHIFT, PAGE_SIZE } from '#memory/layout';
import { list_head } from '#memory/list';
import { NULL, type Ptr, type StructView, ptr, struct, u32 } from '#memory/struct';

/** Byte that fills free memory. */
export const POISON_FREE = 0x6b;

/** Heads a free block; guarded by zone.lock. */
export const PG_buddy = 1;
export const PG_slab = 2;
export const PG_reserved = 4;
/** Filled with POISON_FREE when it was freed; owned by whoever owns the page. */
export const PG_poison = 8;
/** Part of a compound page, not its head. */
export const PG_tail = 16;

export const page = struct('page', {
  /** PG_* bits; owned by whoever owns the page, PG_buddy by zone.lock */
  flags: u32,
  /** References; 0 = free */
  _count: atomic_t,
  /** Of a block's head, free or allocated. */
  order: u32,
  /** Of a compound page's tail: its head. */
  first_page: ptr,
  /** On a free list (zone.lock) or among its cache's slabs (kmem_cache_node.list_lock). */
  lru: list_head,
  /** Of a slab's head: its cache, first free object, objects in use; guarded by kmem_cache_node.list_lock */
  slab: ptr,
  freelist: ptr,
  inuse: u32,
  /** The function that allocated the block; immutable until it is freed. */
  allocated_by: ptr,
});
export type page = StructView<typeof page>;

/** mem_map begins with the heap and never moves: reading where is not an access to memory. */
function mem_map(): Ptr {
  return bus.layout.heap;
}

/** True for an address inside a frame that the allocator hands out, or its own. */
export function virt_addr_valid(address: Ptr): boolean {
  return address >= bus.layout.heap && address < bus.layout.heapEnd;
}

/** The frame of an address. As in C, an address outside the heap answers a pointer nobody should follow. */
export function virt_to_page(address: Ptr): Ptr {
  return mem_map() + ((address >>> PAGE_SHIFT) - (bus.layout.heap >>> PAGE_SHIFT)) * page.size;
}

/** As virt_to_page; the head, for a tail of a compound page. */
export function virt_to_head_page(address: Ptr): Ptr {
  const frame = page.at(virt_to_page(address));
  return (frame.flags & PG_tail) === 0 ? frame.addr : frame.first_page;
}

export function page_to_pfn(pg: Ptr): number {
  return (bus.layout.heap >>> PAGE_SHIFT) + (pg - mem_map()) / page.size;
}

export function pfn_to_page(pfn: number): Ptr {
  return mem_map() + (pfn - (bus.layout.heap >>> PAGE_SHIFT)) * page.size;
}

export function page_address(pg: Ptr): Ptr {
  return page_to_pfn(pg) * PAGE_SIZE;
}

/** All memory is mapped for good, highmem too. */
export function kmap(pg: Ptr): Ptr {
  return page_address(pg);
}

/** The other half of kmap: nothing to undo. */
export function kunmap(_page: Ptr): void {}

const PA_OF_NULL = 0x7f00_0000_0000n;
const PA_OF_NULL_I386 = 0x4000_0000n;

/** Physical address. Memory is mapped one to one, but NULL is below the mapping and wraps (spec B.7). */
export function __pa(address: Ptr): bigint {
  if (address !== NULL) return BigInt(address);
  return bus.loadLocal32(MACHINE_BLOCK + MachineWord.I386 * 4) === 0 ? PA_OF_NULL : PA_OF_NULL_I386;
}

export function __va(physical: bigint): Ptr {
  return Number(physical);
}

export function page_to_phys(pg: Ptr): bigint {
  return BigInt(page_address(pg));
}

export function page_count(pg: Ptr): number {
  return atomic_read(page.at(pg)._count);
}

/** The head of a compound page, or the page itself. */
export function compound_head(pg: Ptr): Ptr {
  const frame = page.at(pg);
  return (frame.flags & PG_tail) === 0 ? pg : frame.first_page;
}

export function get_page(pg: Ptr): void {
  atomic_inc(page.at(compound_head(pg))._count);
}

/** Heads a block that is free. */
export function is_free_block(frame: page): boolean {
  return (frame.flags & PG_buddy) !== 0;
}

/** The allocator's own. */
export function is_reserved(frame: page): boolean {
  return (frame.flags & PG_reserved) !== 0;
}

export function is_tail(frame: page): boolean {
  return (frame.flags & PG_tail) !== 0;
}
