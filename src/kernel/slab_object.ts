/**
 * Taking objects from slabs and giving them back, with the checks of a debugging allocator.
 *
 * @linux mm/slub.c, as of 2.6.24 (slab_alloc, slab_free and what CONFIG_SLUB_DEBUG adds)
 * Leaves out: per-CPU slabs (the first partial slab serves everybody), NUMA.
 *
 * Lock order: kmem_cache_node.list_lock > zone.lock. Interrupts are off under both: objects are freed in IPIs (spec 3.7).
 */
import { ByteRecord } from '#memory/record';
import { NULL, type Ptr, addressOf, cmpxchg, memset } from '#memory/struct';
import { bus } from '#memory/bus';
import { list_add, list_del } from '#memory/list';
import { call_pointer, symbolName } from '#memory/symbols';
import { EventType } from '#trace/events';
import { KERN_ERR, dump_stack, printk, report_finding } from '#smp/printk';
import { spin_lock_irqsave, spin_unlock_irqrestore } from '#smp/spinlock';
import { PAGE_SIZE, PG_slab, POISON_FREE, page, page_address, take_pages } from './page_alloc.ts';
import { __GFP_COMP, __GFP_ZERO } from './gfp.ts';
import {
  POISON_END,
  RED_ACTIVE,
  RED_INACTIVE,
  fresh_slab,
  type kmem_cache,
  kmem_cache as kmem_cache_type,
  kmem_cache_node,
  metadata_of,
  object_meta,
} from './slab_def.ts';

const REDZONE_BYTES = 4;

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}

function name_of(symbol: Ptr): string {
  return symbol === NULL ? 'nobody' : (symbolName(symbol) ?? hex(symbol));
}

/** An object or its metadata is not as it must be. Says so, and lets the machine go on, as the kernel does. */
export function slab_bug(cache: kmem_cache, object: Ptr, what: string, detail: string): void {
  const title = `BUG ${cache.name}: ${what}`;
  report_finding('slab-corruption', title, `object ${hex(object)}: ${detail}`);
  printk(KERN_ERR, title);
  printk(KERN_ERR, `INFO: object ${hex(object)}: ${detail}`);
  dump_stack();
}

/** One more slab, whose objects are all free; NULL when memory is used up. Takes no lock: the slab is nobody else's. */
function new_slab(cache: kmem_cache, gfp: number, caller: Ptr): Ptr {
  const { order } = cache;
  const pg = take_pages((gfp & ~__GFP_ZERO) | __GFP_COMP, order, caller);
  if (pg === NULL) return NULL;
  const base = page_address(pg);
  const { size, inuse, align, objects, ctor } = cache;
  bus.storeBytes(base, fresh_slab({ size, inuse, align, order, objects }, base, ctor === NULL));
  // Whoever counts what was never freed counts the objects, not the pages they are cut from.
  bus.emit(EventType.ALLOCATION, base, PAGE_SIZE << order, cache.addr, 2);
  const frame = page.at(pg);
  frame.flags |= PG_slab;
  frame.slab = cache.addr;
  frame.freelist = base;
  frame.inuse = 0;
  if (ctor !== NULL) construct_all(cache, base);
  return pg;
}

function construct_all(cache: kmem_cache, base: Ptr): void {
  const { size, objects, ctor } = cache;
  for (let index = 0; index < objects; index++) call_pointer(ctor, cache.addr, base + index * size);
}

function last_users(record: ByteRecord, inuse: number): string {
  return (
    `last allocated by ${name_of(record.getU32(inuse + object_meta.offsetof('allocated_by')))}, ` +
    `freed by ${name_of(record.getU32(inuse + object_meta.offsetof('freed_by')))}`
  );
}

/** Checks that nobody wrote to an object, or behind it, while it was free. */
function check_free_object(cache: kmem_cache, object: Ptr): void {
  const { inuse } = cache;
  const record = ByteRecord.of(bus.loadBytes(object, inuse + object_meta.size));
  const { bytes } = record;
  const redzone = record.getU32(inuse);
  if (redzone !== RED_INACTIVE)
    slab_bug(cache, object, 'Redzone overwritten', `${hex(redzone)} behind it, ${last_users(record, inuse)}`);
  if (cache.ctor !== NULL) return;
  for (let offset = 0; offset < inuse; offset++) {
    const expected = offset === inuse - 1 ? POISON_END : POISON_FREE;
    if (bytes[offset] === expected) continue;
    const what = `byte ${offset} is ${hex(bytes[offset]!)} instead of ${hex(expected)}`;
    const found = `${what}, ${last_users(record, inuse)}`;
    slab_bug(cache, object, 'Poison overwritten', found);
    return;
  }
}

/** The event only: not an access of the kernel's, which would race with a merge that raises objsize (SLUB). */
function trace_object(cache: kmem_cache, object: Ptr, allocated: number): void {
  const size = bus.loadLocal32(addressOf(cache, 'objsize'));
  bus.emit(EventType.ALLOCATION, object, size, cache.addr, allocated);
}

/** Takes an object without fault injection. NULL when memory is used up. */
export function slab_alloc(cache: kmem_cache, gfp: number, caller: Ptr): Ptr {
  const node = kmem_cache_node.at(cache.node);
  let flags = spin_lock_irqsave(node.list_lock);
  let first = node.partial.next;
  while (first === node.partial.addr) {
    // The lock is dropped to grow: meanwhile another CPU may have brought a slab too, and then there are two.
    spin_unlock_irqrestore(node.list_lock, flags);
    const pg = new_slab(cache, gfp, caller);
    if (pg === NULL) return NULL;
    flags = spin_lock_irqsave(node.list_lock);
    list_add(page.at(pg).lru, node.partial);
    first = node.partial.next;
  }
  const slab = page.container(first, 'lru');
  const object = slab.freelist;
  const meta = metadata_of(cache, object);
  const next = meta.next_free;
  slab.freelist = next;
  slab.inuse += 1;
  if (next === NULL) list_del(slab.lru);
  node.nr_objects += 1;
  spin_unlock_irqrestore(node.list_lock, flags);

  // The object is this caller's from here on.
  trace_object(cache, object, 1);
  check_free_object(cache, object);
  meta.redzone = RED_ACTIVE;
  meta.allocated_by = caller;
  if ((gfp & __GFP_ZERO) !== 0) memset(object, 0, cache.inuse);
  return object;
}

/** What a free object holds: poison to its end, and the red zone of a free one behind. */
function poison(object: Ptr, inuse: number): void {
  const record = new ByteRecord(inuse + REDZONE_BYTES, POISON_FREE);
  record.fill(POISON_END, inuse - 1, inuse);
  record.setU32(inuse, RED_INACTIVE);
  bus.storeBytes(object, record.bytes);
}

/** Gives an object back to the slab whose head page is `pg`. */
export function slab_free(pg: Ptr, object: Ptr, caller: Ptr): void {
  const slab = page.at(pg);
  const cache = kmem_cache_type.at(slab.slab);
  const node = kmem_cache_node.at(cache.node);
  if ((object - page_address(pg)) % cache.size !== 0) {
    slab_bug(cache, object, 'Invalid object pointer', `freed by ${name_of(caller)}`);
    return;
  }
  const meta = metadata_of(cache, object);
  // One operation decides who frees it: of two CPUs that free the same object, one is told.
  const redzone = cmpxchg(meta, 'redzone', RED_ACTIVE, RED_INACTIVE);
  if (redzone !== RED_ACTIVE) {
    const what = redzone === RED_INACTIVE ? 'Object already free' : 'Redzone overwritten';
    const before = `first freed by ${name_of(meta.freed_by)}`;
    const detail = redzone === RED_INACTIVE ? before : `${hex(redzone)} behind it`;
    // A second free in the trace, for the checker that tells both with their stacks.
    if (redzone === RED_INACTIVE) trace_object(cache, object, 0);
    slab_bug(
      cache,
      object,
      what,
      `freed by ${name_of(caller)}, allocated by ${name_of(meta.allocated_by)}, ${detail}`,
    );
    return;
  }
  meta.freed_by = caller;
  if (cache.ctor === NULL) poison(object, cache.inuse);
  trace_object(cache, object, 0);

  const flags = spin_lock_irqsave(node.list_lock);
  const next = slab.freelist;
  meta.next_free = next;
  slab.freelist = object;
  slab.inuse -= 1;
  if (next === NULL) list_add(slab.lru, node.partial);
  node.nr_objects -= 1;
  spin_unlock_irqrestore(node.list_lock, flags);
}
