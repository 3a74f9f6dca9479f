/**
 * CPUID: leaves in a CPU's block, filled from a model of spec B.5 when it is reset.
 *
 * Values that B.5 does not list come from its sources: Bochs' CPU-Z dumps for AMD, VirtualBox's CPU database for Intel.
 * Leaves that nobody reads (caches, brand string, topology) are left out and answer zeros, as does any leaf beyond the
 * largest of its range; a real Intel processor answers the last basic leaf there instead. Sub-leaves are not modelled.
 */
import { assert } from '#base/assert';
import type { CpuRegisters } from '#memory/cpu-registers';
import type { CpuHardware, ModelName } from '#memory/firmware';
import { CPUID_LEAVES, CpuWord } from '#memory/layout';
import type { CpuidResult } from '#smp/arch';

/** Position of a register in a stored leaf. */
export const CpuidRegister = { EAX: 1, EBX: 2, ECX: 3, EDX: 4 } as const;
export type CpuidRegister = (typeof CpuidRegister)[keyof typeof CpuidRegister];

const LEAF_WORDS = 5;
const EXTENDED = 0x80000000;

/** leaf, eax, ebx, ecx, edx */
type Leaf = readonly [number, number, number, number, number];

/** "AuthenticAMD" and "GenuineIntel", in the order of the registers. */
const AMD = [0x68747541, 0x444d4163, 0x69746e65] as const;
const INTEL = [0x756e6547, 0x6c65746e, 0x49656e69] as const;

/** EBX of leaf 1 without the APIC id: CLFLUSH line of 64 bytes; logical processors in the package. */
const leaf1Ebx = (processors: number): number => (processors << 16) | 0x800;

const MODELS: Readonly<Record<ModelName, readonly Leaf[]>> = {
  'k8-tl60': [
    [0, 1, ...AMD],
    [1, 0x00060f82, leaf1Ebx(2), 0x00002001, 0x178bfbff],
    [0x80000000, 0x80000018, ...AMD],
    [0x80000001, 0x00060f82, 0x0000059f, 0x0000011f, 0xebd3fbff],
    [0x80000008, 0x00003028, 0, 1, 0],
    [0x8000000a, 1, 0x40, 0, 0x2],
  ],
  'phenom-8650': [
    [0, 5, ...AMD],
    [1, 0x00100f23, leaf1Ebx(3), 0x00802009, 0x178bfbff],
    [5, 0x40, 0x40, 3, 0],
    [0x80000000, 0x8000001a, ...AMD],
    [0x80000001, 0x00100f23, 0x10000563, 0x000007ff, 0xefd3fbff],
    [0x80000008, 0x00003030, 0, 2, 0],
    [0x8000000a, 1, 0x40, 0, 0x7],
  ],
  'xeon-x5482': [
    [0, 0xa, ...INTEL],
    [1, 0x00010676, leaf1Ebx(4), 0x000ce3bd, 0xbfebfbff],
    [5, 0x40, 0x40, 3, 0x2220],
    [0x80000000, 0x80000008, 0, 0, 0],
    [0x80000001, 0, 0, 0x00000001, 0x20100800],
    [0x80000008, 0x00003026, 0, 0, 0],
  ],
};

/** Word of a stored leaf, -1 if this CPU has none. */
function leafWord(registers: CpuRegisters, leaf: number): number {
  const count = registers.get(CpuWord.CPUID_COUNT);
  for (let index = 0; index < count; index++) {
    const word = CpuWord.CPUID + index * LEAF_WORDS;
    if (registers.get(word) === (leaf | 0)) return word;
  }
  return -1;
}

/** One register of a leaf, unsigned; 0 in a leaf this CPU lacks. */
export function cpuidRegister(registers: CpuRegisters, leaf: number, which: CpuidRegister): number {
  const word = leafWord(registers, leaf);
  return word < 0 ? 0 : registers.get(word + which) >>> 0;
}

/** The CPUID instruction. */
export function cpuid(registers: CpuRegisters, leaf: number): CpuidResult {
  const word = leafWord(registers, leaf);
  if (word < 0) return { eax: 0, ebx: 0, ecx: 0, edx: 0 };
  return {
    eax: registers.get(word + CpuidRegister.EAX) >>> 0,
    ebx: registers.get(word + CpuidRegister.EBX) >>> 0,
    ecx: registers.get(word + CpuidRegister.ECX) >>> 0,
    edx: registers.get(word + CpuidRegister.EDX) >>> 0,
  };
}

/** Fills a CPU's leaves: its model, its own APIC id, then what the configuration changes. */
export function resetCpuid(registers: CpuRegisters, hardware: CpuHardware): void {
  const leaves = new Map<number, Leaf>(MODELS[hardware.model].map((leaf) => [leaf[0], leaf]));
  const [leaf1, eax1, ebx1, ecx1, edx1] = leaves.get(1)!;
  leaves.set(1, [leaf1, eax1, ebx1 | (registers.cpu << 24), ecx1, edx1]);
  for (const [leaf, change] of hardware.cpuid) {
    const [, eax, ebx, ecx, edx] = leaves.get(leaf) ?? [leaf, 0, 0, 0, 0];
    leaves.set(leaf, [leaf, change.eax ?? eax, change.ebx ?? ebx, change.ecx ?? ecx, change.edx ?? edx]);
  }
  const basicMax = leaves.get(0)![1];
  const extendedMax = leaves.get(EXTENDED)![1];
  const kept = [...leaves.values()]
    .filter(([leaf]) => (leaf < EXTENDED ? leaf <= basicMax : leaf === EXTENDED || leaf <= extendedMax))
    .toSorted((left, right) => left[0] - right[0]);
  assert(kept.length <= CPUID_LEAVES, `resetCpuid: ${kept.length} CPUID leaves do not fit a CPU's block`);
  registers.set(CpuWord.CPUID_COUNT, kept.length);
  kept.forEach((leaf, index) => {
    leaf.forEach((value, offset) => registers.set(CpuWord.CPUID + index * LEAF_WORDS + offset, value));
  });
}

function bit(registers: CpuRegisters, leaf: number, which: CpuidRegister, position: number): boolean {
  return ((cpuidRegister(registers, leaf, which) >>> position) & 1) !== 0;
}

export function hasVmx(registers: CpuRegisters): boolean {
  return bit(registers, 1, CpuidRegister.ECX, 5);
}

export function hasSmx(registers: CpuRegisters): boolean {
  return bit(registers, 1, CpuidRegister.ECX, 6);
}

export function hasSvm(registers: CpuRegisters): boolean {
  return bit(registers, 0x80000001, CpuidRegister.ECX, 2);
}

export function hasSkinit(registers: CpuRegisters): boolean {
  return bit(registers, 0x80000001, CpuidRegister.ECX, 12);
}

/** SVM lock: VM_CR can be unlocked with a key. */
export function hasSvmLock(registers: CpuRegisters): boolean {
  return bit(registers, 0x8000000a, CpuidRegister.EDX, 2);
}

export function hasSyscall(registers: CpuRegisters): boolean {
  return bit(registers, 0x80000001, CpuidRegister.EDX, 11);
}

export function hasNoExecute(registers: CpuRegisters): boolean {
  return bit(registers, 0x80000001, CpuidRegister.EDX, 20);
}

export function hasFastFxsave(registers: CpuRegisters): boolean {
  return bit(registers, 0x80000001, CpuidRegister.EDX, 25);
}

export function hasLongMode(registers: CpuRegisters): boolean {
  return bit(registers, 0x80000001, CpuidRegister.EDX, 29);
}

/** "AuthenticAMD" leaf 0 EBX tells the vendors apart. */
export function isIntel(registers: CpuRegisters): boolean {
  return cpuidRegister(registers, 0, CpuidRegister.EBX) === INTEL[0];
}

/** Physical address bits of a processor without leaf 0x80000008 (the manuals' value with PAE). */
const DEFAULT_WIDTH = 36;

/** First physical address that this CPU cannot have. */
export function physicalLimit(registers: CpuRegisters): bigint {
  const width = cpuidRegister(registers, 0x80000008, CpuidRegister.EAX) & 0xff;
  return 1n << BigInt(width === 0 ? DEFAULT_WIDTH : width);
}
