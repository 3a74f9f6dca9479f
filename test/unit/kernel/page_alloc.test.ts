import { describe, expect, it } from 'vitest';
import { kernel_function } from '#memory/symbols';
import { arm_fault } from '#smp/fault_inject';
import { liveAllocations } from '#machine/inventory';
import {
  GFP_ATOMIC,
  GFP_KERNEL,
  MAX_ORDER,
  PAGE_SIZE,
  __GFP_ZERO,
  __free_page,
  __free_pages,
  __get_free_pages,
  __pa,
  alloc_page,
  alloc_pages,
  free_pages,
  get_page,
  page_address,
  page_count,
  page_to_pfn,
  pfn_to_page,
  put_page,
  virt_to_page,
  zone,
} from '#kernel/page_alloc';
import { kernelBench } from '../../support/kernel-bench.ts';

const NR_PAGES = 256;
const ask_for_a_page = kernel_function('ask_for_a_page', (): number => alloc_page(GFP_KERNEL));

function freeCounts(): number[] {
  return Array.from({ length: MAX_ORDER }, (_, order) => zone.free_area.at(order).nr_free);
}

describe('page allocator', () => {
  it('blocks are aligned to their size, inside the heap, and never overlap', () => {
    const { bus } = kernelBench({ heapPages: NR_PAGES });
    const taken: { readonly from: number; readonly to: number }[] = [];
    for (const order of [0, 3, 1, 2, 0, 4, 1]) {
      const pg = alloc_pages(GFP_KERNEL, order);
      const from = page_address(pg);
      const to = from + (PAGE_SIZE << order);
      expect(from % (PAGE_SIZE << order)).toBe(0);
      expect(from).toBeGreaterThanOrEqual(bus.layout.heap);
      expect(to).toBeLessThanOrEqual(bus.layout.heapEnd);
      for (const other of taken) expect(to <= other.from || from >= other.to).toBe(true);
      taken.push({ from, to });
      expect(pfn_to_page(page_to_pfn(pg))).toBe(pg);
      expect(virt_to_page(from + 123)).toBe(pg);
    }
  });

  it('frees merge: after everything came back the free lists are as they were, whatever the order', () => {
    kernelBench({ heapPages: NR_PAGES });
    const before = freeCounts();
    const free = zone.nr_free_pages;
    const orders = [0, 0, 1, 2, 0, 3, 1, 0];
    const pages = orders.map((order) => alloc_pages(GFP_KERNEL, order));
    expect(freeCounts()).not.toEqual(before);
    for (const index of [3, 0, 7, 5, 1, 6, 2, 4]) __free_pages(pages[index]!, orders[index]!);
    expect(freeCounts()).toEqual(before);
    expect(zone.nr_free_pages).toBe(free);
  });

  it('all memory can be taken, then NULL and a log line; nothing is lost', () => {
    const bench = kernelBench({ heapPages: 64, boot: true });
    const pages: number[] = [];
    for (let pg = alloc_page(GFP_KERNEL); pg !== 0; pg = alloc_page(GFP_KERNEL)) pages.push(pg);
    expect(zone.nr_free_pages).toBe(0);
    expect(bench.log()).toContain('page allocation failure. order:0, mode:0xd0');
    expect(new Set(pages).size).toBe(pages.length);
    for (const pg of pages) __free_page(pg);
    expect(zone.nr_free_pages).toBe(pages.length);
    expect(bench.findings()).toEqual([]);
  });

  it('__GFP_ZERO zeroes, and a freed page is filled with 0x6b', () => {
    const { bus } = kernelBench();
    const address = __get_free_pages(GFP_KERNEL | __GFP_ZERO, 1);
    expect(bus.u8.slice(address, address + 2 * PAGE_SIZE).every((byte) => byte === 0)).toBe(true);
    free_pages(address, 1);
    expect(bus.u8.slice(address, address + 2 * PAGE_SIZE).every((byte) => byte === 0x6b)).toBe(true);
    free_pages(0, 1);
  });

  it('a write to a freed page is found when the page is next taken', () => {
    const bench = kernelBench();
    const address = page_address(ask_for_a_page());
    free_pages(address, 0);
    bench.bus.store32(address + 40, 7);
    expect(page_address(alloc_page(GFP_KERNEL))).toBe(address);
    expect(bench.findings()).toMatchObject([
      {
        kind: 'slab-corruption',
        detail: expect.stringContaining('last allocated by ask_for_a_page') as string,
      },
    ]);
  });

  it('a page freed twice is a bug, and stays free once', () => {
    const bench = kernelBench();
    const before = freeCounts();
    const pg = alloc_page(GFP_KERNEL);
    __free_page(pg);
    __free_page(pg);
    expect(bench.findings()).toMatchObject([{ kind: 'bug', title: 'BUG: Bad page state: freed twice' }]);
    expect(freeCounts()).toEqual(before);
  });

  it('a block freed with another order than it was allocated with is a bug', () => {
    const bench = kernelBench();
    __free_pages(alloc_pages(GFP_KERNEL, 2), 1);
    expect(bench.findings()[0]?.title).toContain('allocated with order 2, freed with order 1');
  });

  it('the last reference frees', () => {
    kernelBench();
    const pg = alloc_page(GFP_KERNEL);
    get_page(pg);
    expect(page_count(pg)).toBe(2);
    put_page(pg);
    expect(liveAllocations().filter((one) => one.kind === 'page')).toHaveLength(1);
    put_page(pg);
    expect(liveAllocations().filter((one) => one.kind === 'page')).toEqual([]);
  });

  it('GFP_KERNEL with interrupts off is told off, GFP_ATOMIC is not, and freeing never is', () => {
    const bench = kernelBench();
    bench.setInterrupts(false);
    const pg = alloc_page(GFP_ATOMIC);
    __free_page(pg);
    expect(bench.findings()).toEqual([]);
    alloc_page(GFP_KERNEL);
    expect(bench.findings()).toMatchObject([
      { kind: 'bug', title: 'BUG: sleeping function called from invalid context at alloc_pages' },
    ]);
    expect(bench.bus.registers.irqsEnabled).toBe(false);
  });

  it('who asked is remembered', () => {
    kernelBench();
    ask_for_a_page();
    expect(liveAllocations()).toContainEqual(
      expect.objectContaining({ kind: 'page', order: 0, size: PAGE_SIZE, allocatedBy: 'ask_for_a_page' }),
    );
  });

  it.each([
    ['alloc_pages', 0],
    ['alloc_pages:0', 0],
    ['alloc_pages:1', 1],
    ['alloc_pages@ask_for_a_page', 1],
  ])('a fault armed at %s fails', (name, mine) => {
    kernelBench();
    arm_fault(name, -12);
    const results = [alloc_page(GFP_KERNEL) === 0, ask_for_a_page() === 0, alloc_pages(GFP_KERNEL, 1) === 0];
    if (name === 'alloc_pages') expect(results).toEqual([true, true, true]);
    else if (mine === 0) expect(results).toEqual([true, true, false]);
    else expect(results).toEqual([false, name.includes('@'), !name.includes('@')]);
  });

  it('__pa: identity, and for NULL what lies below the mapping (x86-64, i386)', () => {
    kernelBench();
    expect(__pa(0x1234)).toBe(0x1234n);
    expect(__pa(0)).toBe(0x7f00_0000_0000n);
    kernelBench({ i386: true });
    expect(__pa(0)).toBe(0x4000_0000n);
  });
});
