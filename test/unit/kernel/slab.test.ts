import { describe, expect, it } from 'vitest';
import { memset } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { EventType } from '#trace/events';
import { arm_fault, fault_attr } from '#smp/fault_inject';
import { mutex_is_locked } from '#smp/mutex';
import { kernelInventory, liveAllocations, objectsInUse } from '#machine/inventory';
import { PAGE_SIZE, zone } from '#kernel/page_alloc';
import {
  GFP_KERNEL,
  ZERO_SIZE_PTR,
  kfree,
  kmalloc,
  kmem_cache,
  kmem_cache_alloc,
  kmem_cache_create,
  kmem_cache_destroy,
  kmem_cache_free,
  kmem_cache_zalloc,
  ksize,
  kzalloc,
} from '#kernel/slab';
import { cache_chain_mutex } from '#kernel/slab_cache';
import { PageFault, kernelBench } from '../../support/kernel-bench.ts';

const make = kernel_function('make_object', (cache: number): number => kmem_cache_alloc(cache, GFP_KERNEL));
const give = kernel_function('give_object', (cache: number, object: number): void =>
  kmem_cache_free(cache, object),
);
const construct = kernel_function('construct_object', (_cache: number, object: number): void =>
  memset(object, 0x11, 24),
);

function cacheOf(name: string, size: number, align = 0): number {
  return kmem_cache_create(name, size, align, 0, 0);
}

describe.each([
  ['SLAB', false],
  ['SLUB', true],
])('slab objects (%s)', (_name, slub) => {
  it('objects are aligned, do not overlap, and come back first', () => {
    kernelBench({ slub });
    const cache = cacheOf('t', 88, 16);
    const objects = Array.from({ length: 200 }, () => kmem_cache_alloc(cache, GFP_KERNEL)).toSorted(
      (a, b) => a - b,
    );
    for (const [index, object] of objects.entries()) {
      expect(object % 16).toBe(0);
      if (index > 0) expect(object - objects[index - 1]!).toBeGreaterThanOrEqual(88);
    }
    expect(objectsInUse(cache)).toBe(200);
    kmem_cache_free(cache, objects[77]!);
    expect(kmem_cache_alloc(cache, GFP_KERNEL)).toBe(objects[77]);
    for (const object of objects) kmem_cache_free(cache, object);
    expect(objectsInUse(cache)).toBe(0);
  });

  it('a destroyed cache gives all its pages back', () => {
    const bench = kernelBench({ slub });
    kmem_cache_destroy(cacheOf('first', 40)); // the slab of caches themselves is there from now on
    const free = zone.nr_free_pages;
    const cache = cacheOf('t', 500);
    const objects = Array.from({ length: 50 }, () => kmem_cache_zalloc(cache, GFP_KERNEL));
    for (const object of objects) kmem_cache_free(cache, object);
    kmem_cache_destroy(cache);
    expect(zone.nr_free_pages).toBe(free);
    expect(bench.findings()).toEqual([]);
  });

  it('kmalloc: sizes, zeroing, large ones from the page allocator, NULL and nothing', () => {
    const { bus } = kernelBench({ slub });
    const small = kmalloc(33, GFP_KERNEL);
    expect(ksize(small)).toBe(64);
    memset(small, 0xff, 33);
    kfree(small);
    const zeroed = kzalloc(33, GFP_KERNEL);
    expect(zeroed).toBe(small);
    expect(bus.u8.slice(zeroed, zeroed + 33).every((byte) => byte === 0)).toBe(true);
    const large = kmalloc(9000, GFP_KERNEL);
    expect(ksize(large)).toBe(16384);
    kfree(large);
    expect(kmalloc(0, GFP_KERNEL)).toBe(ZERO_SIZE_PTR);
    kfree(ZERO_SIZE_PTR);
    kfree(0);
    kfree(zeroed);
    expect(liveAllocations().filter((one) => one.kind !== 'cache')).toEqual([]);
  });

  it('a write after free is found at the next allocation, with who had it', () => {
    const bench = kernelBench({ slub });
    const cache = cacheOf('t', 40);
    const object = make(cache);
    give(cache, object);
    bench.bus.store32(object + 8, 1);
    expect(kmem_cache_alloc(cache, GFP_KERNEL)).toBe(object);
    expect(bench.findings()).toMatchObject([
      {
        kind: 'slab-corruption',
        title: 'BUG t: Poison overwritten',
        detail: expect.stringMatching(
          /byte 8 .* last allocated by make_object, freed by give_object/,
        ) as string,
      },
    ]);
  });

  it('a write behind the object is found at its free', () => {
    const bench = kernelBench({ slub });
    const cache = cacheOf('t', 40);
    const object = make(cache);
    bench.bus.store32(object + 40, 1);
    give(cache, object);
    expect(bench.findings()).toMatchObject([
      { kind: 'slab-corruption', title: 'BUG t: Redzone overwritten' },
    ]);
  });

  it('an object freed twice is found, and stays free once', () => {
    const bench = kernelBench({ slub });
    const cache = cacheOf('t', 40);
    const object = make(cache);
    give(cache, object);
    give(cache, object);
    expect(bench.findings()).toMatchObject([
      {
        kind: 'slab-corruption',
        title: 'BUG t: Object already free',
        stack: expect.arrayContaining(['give_object']) as string[],
      },
    ]);
    expect(objectsInUse(cache)).toBe(0);
    expect(make(cache)).not.toBe(make(cache));
  });

  it('an object freed to another cache is found and stays', () => {
    const bench = kernelBench({ slub });
    const cache = cacheOf('one', 40);
    const object = make(cache);
    kmem_cache_free(cacheOf('other', 400), object);
    expect(bench.findings()).toMatchObject([{ title: 'BUG other: Freed to the wrong cache' }]);
    expect(objectsInUse(cache)).toBe(1);
  });

  it('a pointer into the middle of an object cannot be freed', () => {
    const bench = kernelBench({ slub });
    kfree(kmalloc(100, GFP_KERNEL) + 8);
    expect(bench.findings()).toMatchObject([{ kind: 'slab-corruption' }]);
  });

  it('a constructor runs once for each object of a new slab, and its work survives a free', () => {
    const { bus } = kernelBench({ slub });
    const cache = kmem_cache_create('t', 24, 0, 0, construct.addr);
    const object = kmem_cache_alloc(cache, GFP_KERNEL);
    expect(bus.u8.slice(object, object + 24).every((byte) => byte === 0x11)).toBe(true);
    kmem_cache_free(cache, object);
    expect(bus.u8.slice(object, object + 24).every((byte) => byte === 0x11)).toBe(true);
  });

  it('every allocation and free is an event with the address, the size and the cache', () => {
    const bench = kernelBench({ slub });
    const cache = cacheOf('t', 40);
    const object = make(cache);
    give(cache, object);
    const events = bench.trace().filter((event) => event.type === EventType.ALLOCATION && event.c === cache);
    expect(events.map(({ a, b, d }) => ({ a, b, d }))).toEqual([
      // The cache's first slab: pages that are no object of anybody.
      { a: object, b: PAGE_SIZE, d: 2 },
      { a: object, b: 40, d: 1 },
      { a: object, b: 40, d: 0 },
    ]);
  });

  it('a second free of an object is an event too, beside what the kernel says of it', () => {
    const bench = kernelBench({ slub });
    const cache = cacheOf('t', 40);
    const object = make(cache);
    give(cache, object);
    give(cache, object);
    const frees = bench.trace().filter((event) => event.type === EventType.ALLOCATION && event.d === 0);
    expect(frees.filter((event) => event.a === object)).toHaveLength(2);
    expect(bench.findings().map(({ title }) => title)).toEqual(['BUG t: Object already free']);
  });

  it('the nth allocation fails, whatever it is', () => {
    kernelBench({ slub });
    fault_attr.fail_nth = fault_attr.allocations_seen + 3;
    const cache = cacheOf('t', 40); // 1
    expect(make(cache)).not.toBe(0); // 2
    expect(kmalloc(8, GFP_KERNEL)).toBe(0); // 3
    expect(kmalloc(8, GFP_KERNEL)).not.toBe(0);
  });

  it.each([
    ['kmem_cache_create:t', 'create'],
    ['kmem_cache_alloc:t', 'alloc'],
    ['kmem_cache_alloc@make_object', 'alloc'],
  ])('a fault armed at %s', (site, where) => {
    kernelBench({ slub });
    arm_fault(site, -12);
    const cache = cacheOf('t', 40);
    if (where === 'create') expect(cache).toBe(0);
    else expect(make(cache)).toBe(0);
    expect(mutex_is_locked(cache_chain_mutex)).toBe(false);
  });

  it('live allocations name their kind, cache and who asked', () => {
    kernelBench({ slub });
    const cache = cacheOf('t', 40);
    const object = make(cache);
    expect(liveAllocations()).toContainEqual({
      kind: 'slab',
      address: object,
      size: 40,
      cache: 't',
      allocatedBy: 'make_object',
    });
    expect(liveAllocations().filter((one) => one.kind === 'cache' && one.cache === 't')).toHaveLength(1);
    expect(kernelInventory().allocations).toEqual(liveAllocations());
  });
});

describe('SLAB', () => {
  it('refuses a name it has: log line, NULL', () => {
    const bench = kernelBench();
    expect(cacheOf('kvm_pte_chain', 56)).not.toBe(0);
    expect(cacheOf('kvm_pte_chain', 56)).toBe(0);
    expect(bench.log()).toContain('kmem_cache_create: duplicate cache kvm_pte_chain');
  });

  it('keeps a cache that has objects, and says so', () => {
    const bench = kernelBench();
    const cache = cacheOf('t', 40);
    make(cache);
    kmem_cache_destroy(cache);
    expect(bench.findings()).toMatchObject([
      { kind: 'leak', title: 'kmem_cache_destroy: cache t still has 1 object(s)' },
    ]);
    expect(bench.log()).toContain("slab error in kmem_cache_destroy(): cache `t': Can't free all objects");
    expect(liveAllocations().some((one) => one.cache === 't' && one.kind === 'cache')).toBe(true);
  });

  it('a cache destroyed twice: a finding, then the oops of the kernel, with the chain locked for ever', () => {
    const bench = kernelBench();
    const cache = cacheOf('t', 40);
    kmem_cache_destroy(cache);
    expect(() => kmem_cache_destroy(cache)).toThrow(PageFault);
    expect(bench.findings()).toMatchObject([
      { kind: 'slab-corruption', title: 'BUG: kmem_cache_destroy of a cache that is already destroyed' },
    ]);
    expect(mutex_is_locked(cache_chain_mutex)).toBe(true);
  });

  it('an allocation from a destroyed cache is an oops, not a hang', () => {
    kernelBench();
    const cache = cacheOf('t', 40);
    kmem_cache_destroy(cache);
    expect(() => kmem_cache_alloc(cache, GFP_KERNEL)).toThrow(PageFault);
  });
});

describe('SLUB', () => {
  it('merges caches that are alike, counts who shares them, and forgets the cache with the last', () => {
    const bench = kernelBench({ slub: true });
    const first = cacheOf('kvm_rmap_desc', 40);
    const second = cacheOf('another_name', 33);
    expect(second).toBe(first);
    expect(kmem_cache.at(first).refcount).toBe(2);
    const object = make(second);
    kmem_cache_destroy(second);
    expect(kmem_cache.at(first).refcount).toBe(1);
    give(first, object);
    kmem_cache_destroy(first);
    expect(bench.findings()).toEqual([]);
    expect(liveAllocations().some((one) => one.cache === 'kvm_rmap_desc')).toBe(false);
  });

  it('a second load of the same caches breaks nothing (spec 2.2)', () => {
    const bench = kernelBench({ slub: true });
    const names = [
      ['kvm_pte_chain', 56],
      ['kvm_rmap_desc', 40],
      ['kvm_mmu_page_header', 88],
    ] as const;
    const caches = names.map(([name, size]) => cacheOf(name, size));
    const again = names.map(([name, size]) => cacheOf(name, size));
    expect(again).toEqual(caches);
    for (const cache of again) kmem_cache_destroy(cache);
    for (const cache of caches) expect(make(cache)).not.toBe(0);
    expect(bench.findings()).toEqual([]);
  });

  it('does not merge sizes that are a word apart, other alignments, or constructors', () => {
    kernelBench({ slub: true });
    const first = cacheOf('t', 48);
    expect(cacheOf('smaller', 40)).not.toBe(first);
    expect(cacheOf('aligned', 48, 32)).not.toBe(first);
    expect(kmem_cache_create('made', 48, 0, 0, construct.addr)).not.toBe(first);
  });

  it('a cache that has objects goes all the same, with a warning', () => {
    const bench = kernelBench({ slub: true });
    const cache = cacheOf('t', 40);
    const object = make(cache);
    kmem_cache_destroy(cache);
    expect(bench.findings().map((finding) => finding.kind)).toEqual(['leak', 'warning']);
    expect(liveAllocations()).toContainEqual(
      expect.objectContaining({ kind: 'slab', cache: '(destroyed)', allocatedBy: 'make_object' }),
    );
    expect(object).not.toBe(0);
  });

  it('a cache destroyed twice: a finding, and the kernel notices nothing', () => {
    const bench = kernelBench({ slub: true });
    const cache = cacheOf('t', 40);
    kmem_cache_destroy(cache);
    kmem_cache_destroy(cache);
    expect(bench.findings()).toMatchObject([
      { title: 'BUG: kmem_cache_destroy of a cache that is already destroyed' },
    ]);
    expect(mutex_is_locked(cache_chain_mutex)).toBe(false);
  });
});
