import { describe, expect, it } from 'vitest';
import type { HardwareConfig } from '#memory/firmware';
import { CUSTOM_LEAVES_MAX } from '#memory/firmware';
import { CpuidRegister, cpuid, cpuidRegister, physicalLimit } from '#cpu-worker/cpuid';
import { AMD, AMD_K8, INTEL, poweredUp } from './cpu.ts';

const { EAX, EBX, ECX, EDX } = CpuidRegister;

/** Rows of spec B.5: leaf, register, then AMD model 1, AMD model 2, Intel. */
const B5: readonly (readonly [number, CpuidRegister, number, number, number])[] = [
  [0, EAX, 1, 5, 0xa],
  [1, EAX, 0x00060f82, 0x00100f23, 0x00010676],
  [1, ECX, 0x00002001, 0x00802009, 0x000ce3bd],
  [0x80000000, EAX, 0x80000018, 0x8000001a, 0x80000008],
  [0x80000001, ECX, 0x0000011f, 0x000007ff, 0x00000001],
  [0x80000001, EDX, 0xebd3fbff, 0xefd3fbff, 0x20100800],
  [0x80000008, EAX, 0x00003028, 0x00003030, 0x00003026],
  [0x8000000a, EAX, 1, 1, 0],
  [0x8000000a, EBX, 0x40, 0x40, 0],
  [0x8000000a, ECX, 0, 0, 0],
  [0x8000000a, EDX, 2, 7, 0],
];

function vendorOf(config: HardwareConfig): string {
  const { ebx, ecx, edx } = cpuid(poweredUp(config), 0);
  const bytes = [ebx, edx, ecx].flatMap((word) => [0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff));
  return String.fromCodePoint(...bytes);
}

describe('cpuid: models of spec B.5', () => {
  it.each(B5)('leaf %i register %i', (leaf, register, k8, phenom, xeon) => {
    expect(cpuidRegister(poweredUp(AMD_K8), leaf, register)).toBe(k8);
    expect(cpuidRegister(poweredUp(AMD), leaf, register)).toBe(phenom);
    expect(cpuidRegister(poweredUp(INTEL), leaf, register)).toBe(xeon);
  });

  it.each([
    ['k8-tl60', AMD_K8, 'AuthenticAMD'],
    ['phenom-8650', AMD, 'AuthenticAMD'],
    ['xeon-x5482', INTEL, 'GenuineIntel'],
  ] as const)('%s: says its vendor', (_, config, vendor) => {
    expect(vendorOf(config)).toBe(vendor);
  });

  it('leaf 1 EBX holds the APIC id of the CPU that asks', () => {
    expect(cpuid(poweredUp(AMD, 0), 1).ebx >>> 24).toBe(0);
    expect(cpuid(poweredUp(AMD, 1), 1).ebx >>> 24).toBe(1);
  });

  it.each([2, 0x40000000, 0x80000009, 0xffffffff])('unknown leaf %i answers zeros', (leaf) => {
    expect(cpuid(poweredUp(INTEL), leaf)).toEqual({ eax: 0, ebx: 0, ecx: 0, edx: 0 });
  });

  it('a signed leaf number is the same leaf', () => {
    expect(cpuid(poweredUp(AMD), 0x8000000a | 0).ebx).toBe(0x40);
  });

  it('keeps reporting SVM when the BIOS has disabled it', () => {
    const registers = poweredUp({ ...AMD, all: { quirks: ['svmdis'] } });
    expect(cpuidRegister(registers, 0x80000001, ECX) & 4).toBe(4);
  });
});

describe('cpuid: configuration', () => {
  it('changes single registers, on one CPU', () => {
    const config: HardwareConfig = { ...AMD, perCpu: { 1: { cpuid: { '0x8000000a': { ebx: '0x10' } } } } };
    expect(cpuid(poweredUp(config, 0), 0x8000000a).ebx).toBe(0x40);
    expect(cpuid(poweredUp(config, 1), 0x8000000a)).toEqual({ eax: 1, ebx: 0x10, ecx: 0, edx: 7 });
  });

  it('adds a leaf inside the range, and shows none beyond it', () => {
    const cpuidOverrides = { '0x2': { eax: '0x1' }, '0x80000009': { eax: '0x2' } };
    const registers = poweredUp({ ...INTEL, all: { cpuid: cpuidOverrides } });
    expect(cpuid(registers, 2).eax).toBe(1);
    expect(cpuid(registers, 0x80000009).eax).toBe(0);
  });

  it('holds as many leaves as may be configured', () => {
    const leaves = Array.from(
      { length: CUSTOM_LEAVES_MAX },
      (_, index) => `0x${(0x8000000b + index).toString(16)}`,
    );
    const registers = poweredUp({
      ...AMD,
      all: { cpuid: Object.fromEntries(leaves.map((leaf) => [leaf, { eax: leaf }])) },
    });
    expect(leaves.map((leaf) => cpuid(registers, Number(leaf)).eax)).toEqual(leaves.map(Number));
  });

  it.each([
    ['k8-tl60', AMD_K8, 40n],
    ['phenom-8650', AMD, 48n],
    ['xeon-x5482', INTEL, 38n],
  ] as const)('%s: physical addresses have the width of leaf 0x80000008', (_, config, width) => {
    expect(physicalLimit(poweredUp(config))).toBe(1n << width);
  });
});
