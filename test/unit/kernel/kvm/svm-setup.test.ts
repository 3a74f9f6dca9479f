import { describe, expect, it } from 'vitest';
import { GFP_KERNEL, PAGE_SIZE, __get_free_pages } from '#kernel/page_alloc';
import { set_msr_interception, svm_hardware_setup } from '#kernel/kvm/svm_setup';
import { iopm_base, msrpm_base } from '#kernel/kvm/svm_data';
import { type Bench, TaskKilled, boot } from './bench.ts';

/** Place of an MSR's two bits: spec 3.4. */
function bits_of(bench: Bench, map: number, msr: number): number {
  const range = [0, 0xc0000000, 0xc0010000].findIndex((base) => msr >= base && msr < base + 8192);
  const position = (range * 8192 + msr - [0, 0xc0000000, 0xc0010000][range]!) * 2;
  return (bench.bus.load32(map + (position >>> 5) * 4) >>> (position & 31)) & 3;
}

function ones(bench: Bench, map: number, pages: number): number {
  let count = 0;
  for (let at = 0; at < pages * PAGE_SIZE; at++) {
    for (let byte = bench.bus.load8(map + at); byte !== 0; byte &= byte - 1) count++;
  }
  return count;
}

const COMMON = [0xc0000081, 0x174, 0x175, 0x176];
const ONLY_64 = [0xc0000101, 0xc0000100, 0xc0000102, 0xc0000082, 0xc0000083, 0xc0000084];

describe('svm_hardware_setup', () => {
  it.each([
    [false, [...COMMON, ...ONLY_64]],
    [true, COMMON],
  ])(
    'i386=%s: the maps intercept everything but port 0x80 and the MSRs that are switched anyway',
    (i386, direct) => {
      const bench = boot({ vendor: 'amd', i386 });
      expect(svm_hardware_setup()).toBe(0);
      const iopm = Number(iopm_base.value);
      expect(ones(bench, iopm, 4)).toBe(4 * PAGE_SIZE * 8 - 1);
      expect(bench.bus.load8(iopm + 0x10)).toBe(0xfe);
      const msrpm = Number(msrpm_base.value);
      for (const msr of direct) expect(bits_of(bench, msrpm, msr)).toBe(0);
      expect(ones(bench, msrpm, 2)).toBe(2 * PAGE_SIZE * 8 - 2 * direct.length);
    },
  );
});

describe('set_msr_interception', () => {
  it.each([
    [1, 1, 0],
    [0, 1, 1],
    [1, 0, 2],
    [0, 0, 3],
  ])('read=%i write=%i: bits %i in each range', (read, write, bits) => {
    const bench = boot({ vendor: 'amd' });
    const map = __get_free_pages(GFP_KERNEL, 1);
    for (const msr of [0, 0x1fff, 0xc0000080, 0xc0001fff, 0xc0010114]) {
      set_msr_interception(map, msr, read, write);
      expect(bits_of(bench, map, msr)).toBe(bits);
    }
  });

  it.each([0x2000, 0xc0002000, 0xc0012000])('MSR %i is in no range: BUG', (msr) => {
    boot({ vendor: 'amd' });
    expect(() => set_msr_interception(__get_free_pages(GFP_KERNEL, 1), msr, 1, 1)).toThrow(TaskKilled);
  });
});
