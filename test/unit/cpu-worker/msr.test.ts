import { describe, expect, it } from 'vitest';
import { CpuRegisters } from '#memory/cpu-registers';
import { type HardwareConfig, MSR_NUMBERS, VMX_CAPABILITIES, hardwareOf } from '#memory/firmware';
import { CpuWord, MSR_SLOTS } from '#memory/layout';
import { hasMsr, rdmsr, storedMsr, wrmsr } from '#cpu-worker/msr';
import { reset, takeInit } from '#cpu-worker/reset';
import { AMD, AMD_K8, INTEL, layout, poweredUp, running } from './cpu.ts';

const FEATURE_CONTROL = 0x3a;
const EFER = 0xc0000080;
const VM_CR = 0xc0010114;
const VM_HSAVE_PA = 0xc0010117;
const SVM_KEY = 0xc0010118;

const VMX_MSRS = Array.from({ length: 18 }, (_, index) => 0x480 + index);
const CORE2_MSRS = VMX_MSRS.slice(0, 12);
const SVM_MSRS = [VM_CR, 0xc0010115, VM_HSAVE_PA];

const vmCr = (value: string, base: HardwareConfig = AMD): HardwareConfig => ({
  ...base,
  all: { msr: { '0xc0010114': value } },
});
const featureControl = (value: string): HardwareConfig => ({ ...INTEL, all: { msr: { '0x3a': value } } });

/** Leaves no doubt that a refused write changed nothing. */
function expectFault(registers: CpuRegisters, msr: number, value: bigint): void {
  const before = MSR_NUMBERS.map((number) => storedMsr(registers, number));
  expect(wrmsr(registers, msr, value)).toBe(false);
  expect(MSR_NUMBERS.map((number) => storedMsr(registers, number))).toEqual(before);
}

describe('msr: power-up values and existence (spec B.3)', () => {
  it.each<[string, HardwareConfig, number, bigint | undefined]>([
    ['FEATURE_CONTROL is 5 on a real Core 2', INTEL, FEATURE_CONTROL, 5n],
    ['FEATURE_CONTROL needs VMX or SMX', AMD, FEATURE_CONTROL, undefined],
    ['EFER', AMD, EFER, 0n],
    ['EFER', INTEL, EFER, 0n],
    ['VM_CR', AMD, VM_CR, 0n],
    ['VM_CR is SVM only', INTEL, VM_CR, undefined],
    ['IGNNE', AMD, 0xc0010115, 0n],
    ['VM_HSAVE_PA', AMD, VM_HSAVE_PA, 0n],
    ['VM_HSAVE_PA is SVM only', INTEL, VM_HSAVE_PA, undefined],
    ['SVM_KEY with SVML', AMD, SVM_KEY, 0n],
    ['SVM_KEY needs SVML', AMD_K8, SVM_KEY, undefined],
    ['MISC_ENABLE is Intel only', AMD, 0x1a0, undefined],
    ['MISC_ENABLE', INTEL, 0x1a0, 0x40_66a52489n],
    ['SYSENTER_CS', AMD, 0x174, 0n],
    ['SYSENTER_ESP', INTEL, 0x175, 0n],
    ['SYSENTER_EIP', INTEL, 0x176, 0n],
    ['STAR', AMD, 0xc0000081, 0n],
    ['LSTAR', INTEL, 0xc0000082, 0n],
    ['CSTAR', INTEL, 0xc0000083, 0n],
    ['SYSCALL_MASK', AMD, 0xc0000084, 0n],
    ['FS_BASE', AMD, 0xc0000100, 0n],
    ['GS_BASE', AMD, 0xc0000101, 0n],
    ['KERNEL_GS_BASE', AMD, 0xc0000102, 0n],
    ['TSC', AMD, 0x10, 0n],
    ['MTRR_DEF_TYPE: MTRRs off', AMD, 0x2ff, 0n],
    ['an MSR that smplab has not', AMD, 0x1b, undefined],
  ])('%s', (_, config, msr, value) => {
    expect(rdmsr(poweredUp(config), msr)).toBe(value);
  });

  it.each(CORE2_MSRS)('VMX capability %i reads as Set P on Intel and faults on AMD', (msr) => {
    const text = VMX_CAPABILITIES[`0x${msr.toString(16)}`]!;
    expect(rdmsr(poweredUp(INTEL), msr)).toBe(BigInt(text.replace('_', '')));
    expect(rdmsr(poweredUp(AMD), msr)).toBeUndefined();
  });

  it.each(VMX_MSRS.slice(12))('VMX capability %i is not in a Core 2', (msr) => {
    expect(rdmsr(poweredUp(INTEL), msr)).toBeUndefined();
  });

  it('0x48b does not exist where 0x482 bit 63 is 0', () => {
    const config: HardwareConfig = { ...INTEL, all: { msr: { '0x482': '0x77d9fffe_0401e172' } } };
    expect(rdmsr(poweredUp(config), 0x48b)).toBeUndefined();
  });

  it('a configuration may take an MSR away, or give one', () => {
    const config: HardwareConfig = { ...INTEL, all: { msr: { '0xc0000080': null, '0x48c': '0x1' } } };
    const registers = poweredUp(config);
    expect(rdmsr(registers, EFER)).toBeUndefined();
    expect(wrmsr(registers, EFER, 0n)).toBe(false);
    expect(rdmsr(registers, 0x48c)).toBe(1n);
  });

  it('one CPU may differ from the others', () => {
    const config: HardwareConfig = { ...INTEL, perCpu: { 1: { quirks: ['feature-control-locked'] } } };
    expect(rdmsr(poweredUp(config, 0), FEATURE_CONTROL)).toBe(5n);
    expect(rdmsr(poweredUp(config, 1), FEATURE_CONTROL)).toBe(1n);
  });

  it.each([
    ['no-svm', AMD, [...SVM_MSRS, SVM_KEY]],
    ['no-vmx', INTEL, [FEATURE_CONTROL, ...VMX_MSRS]],
  ] as const)('%s: RDMSR and WRMSR of an MSR the CPU lacks fault', (quirk, base, msrs) => {
    const registers = poweredUp({ ...base, all: { quirks: [quirk] } });
    for (const msr of msrs) {
      expect(rdmsr(registers, msr)).toBeUndefined();
      expectFault(registers, msr, 0n);
    }
  });

  it('the kernel of an i386 machine finds the 64-bit MSRs of its processor', () => {
    expect(hasMsr(running({ ...AMD, i386: true }), 0xc0000102)).toBe(true);
  });
});

describe('msr: after INIT (spec B.3)', () => {
  const KEPT = 'unchanged';
  it.each<[string, HardwareConfig, number, bigint, bigint | typeof KEPT]>([
    ['FEATURE_CONTROL', featureControl('0x0'), FEATURE_CONTROL, 5n, KEPT],
    ['EFER', AMD, EFER, 0xd01n, 0n],
    ['EFER of Intel too (B.8)', INTEL, EFER, 0xd01n, 0n],
    ['IGNNE', AMD, 0xc0010115, 1n, KEPT],
    ['VM_HSAVE_PA survives (B.8)', AMD, VM_HSAVE_PA, 0x5000n, KEPT],
    ['SYSENTER_CS', AMD, 0x174, 0x10n, KEPT],
    ['SYSENTER_ESP', AMD, 0x175, 0x10n, KEPT],
    ['SYSENTER_EIP', AMD, 0x176, 0x10n, KEPT],
    ['STAR', AMD, 0xc0000081, 0x10n, KEPT],
    ['LSTAR', AMD, 0xc0000082, 0x10n, KEPT],
    ['CSTAR', AMD, 0xc0000083, 0x10n, KEPT],
    ['SYSCALL_MASK', AMD, 0xc0000084, 0x10n, KEPT],
    ['KERNEL_GS_BASE', AMD, 0xc0000102, 0x10n, KEPT],
    ['TSC', AMD, 0x10, 0x10n, KEPT],
    ['MTRR_DEF_TYPE', AMD, 0x2ff, 0xc06n, KEPT],
    ['FS_BASE', AMD, 0xc0000100, 0x10n, 0n],
    ['GS_BASE', AMD, 0xc0000101, 0x10n, 0n],
    ['VM_CR: SVMDIS and the low bits without LOCK', AMD, VM_CR, 0x15n, 0x05n],
    ['VM_CR: SVMDIS and the low bits with LOCK (B.8)', AMD, VM_CR, 0x1dn, KEPT],
  ])('%s', (_, config, msr, value, after) => {
    const registers = running(config);
    expect(wrmsr(registers, msr, value)).toBe(true);
    const before = rdmsr(registers, msr);
    expect(takeInit(registers)).toBe('taken');
    expect(rdmsr(registers, msr)).toBe(after === KEPT ? before : after);
  });

  it('SVM_KEY is unchanged: it still unlocks', () => {
    const registers = running(AMD);
    wrmsr(registers, SVM_KEY, 0x1234n);
    wrmsr(registers, VM_CR, 0x18n);
    expect(takeInit(registers)).toBe('taken');
    wrmsr(registers, SVM_KEY, 0x1234n);
    expect(rdmsr(registers, VM_CR)).toBe(0x10n);
  });

  it.each(CORE2_MSRS)('VMX capability %i is unchanged', (msr) => {
    const registers = running(INTEL);
    const before = rdmsr(registers, msr);
    expect(takeInit(registers)).toBe('taken');
    expect(rdmsr(registers, msr)).toBe(before);
  });
});

describe('msr: WRMSR FEATURE_CONTROL (spec B.2, B.8)', () => {
  it.each([0n, 1n, 5n])('locked: every write faults, whatever the value (%i)', (value) => {
    expectFault(poweredUp(INTEL), FEATURE_CONTROL, value);
    expectFault(poweredUp(featureControl('0x1')), FEATURE_CONTROL, value);
  });

  it.each<[string, bigint]>([
    ['bit 1 without SMX', 0x2n],
    ['SENTER bits without SMX', 0xff00n],
    ['bit 3', 0x8n],
    ['bit 63', 1n << 63n],
  ])('unlocked: %s faults', (_, value) => {
    expectFault(poweredUp(featureControl('0x0')), FEATURE_CONTROL, value);
  });

  it('unlocked: bit 2 can be set and cleared until bit 0 is set', () => {
    const registers = poweredUp(featureControl('0x0'));
    for (const value of [4n, 0n, 5n]) expect(wrmsr(registers, FEATURE_CONTROL, value)).toBe(true);
    expect(rdmsr(registers, FEATURE_CONTROL)).toBe(5n);
    expectFault(registers, FEATURE_CONTROL, 5n);
  });

  it('with VMX and SMX, bit 1 and the SENTER bits exist', () => {
    const all = { msr: { '0x3a': '0x0' }, cpuid: { '0x1': { ecx: '0x000ce3fd' } } };
    expect(wrmsr(poweredUp({ ...INTEL, all }), FEATURE_CONTROL, 0xff07n)).toBe(true);
  });

  it('with SMX but without VMX, bits 1 and 2 fault', () => {
    const all = { msr: { '0x3a': '0x0' }, cpuid: { '0x1': { ecx: '0x000ce3dd' } } };
    expectFault(poweredUp({ ...INTEL, all }), FEATURE_CONTROL, 2n);
    expectFault(poweredUp({ ...INTEL, all }), FEATURE_CONTROL, 4n);
    expect(wrmsr(poweredUp({ ...INTEL, all }), FEATURE_CONTROL, 0x101n)).toBe(true);
  });
});

describe('msr: WRMSR VMX capability MSR (spec B.2)', () => {
  it.each(CORE2_MSRS)('%i always faults', (msr) => {
    const registers = poweredUp(INTEL);
    expectFault(registers, msr, rdmsr(registers, msr)!);
  });
});

describe('msr: WRMSR EFER (spec B.2, B.3)', () => {
  it.each<[string, HardwareConfig, bigint]>([
    ['SVME on Intel', INTEL, 0x1000n],
    ['SVME on an AMD processor without SVM', { ...AMD, all: { quirks: ['no-svm'] } }, 0x1000n],
    ['FFXSR on Intel', INTEL, 0x4000n],
    ['bit 1', AMD, 0x2n],
    ['LMSLE', AMD, 0x2000n],
    ['bit 63', AMD, 1n << 63n],
    ['SVME while SVMDIS is 1', vmCr('0x18'), 0x1000n],
    ['SVME while SVMDIS is 1 without LOCK', vmCr('0x10'), 0x1000n],
  ])('%s faults', (_, config, value) => {
    expectFault(poweredUp(config), EFER, value);
  });

  it('LME cannot change while paging is on', () => {
    expectFault(running(AMD), EFER, 0x801n);
    expectFault(running({ ...AMD, i386: true }), EFER, 0x100n);
    expect(wrmsr(poweredUp(AMD), EFER, 0x100n)).toBe(true);
  });

  it('LMA is kept, whatever is written', () => {
    const registers = running(AMD);
    expect(wrmsr(registers, EFER, 0x901n)).toBe(true);
    expect(rdmsr(registers, EFER)).toBe(0xd01n);
    const fresh = poweredUp(AMD);
    expect(wrmsr(fresh, EFER, 0x400n)).toBe(true);
    expect(rdmsr(fresh, EFER)).toBe(0n);
  });

  it.each<[string, HardwareConfig, bigint]>([
    ['AMD', AMD, 0x5901n],
    ['Intel', INTEL, 0x901n],
  ])('all writable bits of %s', (_, config, value) => {
    const registers = poweredUp(config);
    expect(wrmsr(registers, EFER, value)).toBe(true);
    expect(rdmsr(registers, EFER)).toBe(value);
  });

  it('SVME goes on and off as KVM does it', () => {
    const registers = running(AMD);
    expect(wrmsr(registers, EFER, 0x1d01n)).toBe(true);
    expect(wrmsr(registers, EFER, 0xd01n)).toBe(true);
    expect(rdmsr(registers, EFER)).toBe(0xd01n);
  });
});

describe('msr: WRMSR VM_CR (spec B.2, B.8)', () => {
  it.each([0x20n, 1n << 63n])('reserved bit %i faults', (value) => {
    expectFault(poweredUp(AMD), VM_CR, value);
  });

  it.each(['0x0', '0x8'])('SVMDIS while SVME is 1 faults, locked or not (VM_CR = %s)', (value) => {
    const registers = running(vmCr(value));
    expect(wrmsr(registers, EFER, 0x1d01n)).toBe(true);
    expectFault(registers, VM_CR, 0x10n);
  });

  it.each<[string, string, bigint, bigint]>([
    ['unlocked, everything is stored', '0x0', 0x1fn, 0x1fn],
    ['unlocked, SVMDIS can be cleared', '0x10', 0n, 0n],
    ['locked, LOCK is silently kept', '0x8', 0n, 0x8n],
    ['locked, SVMDIS is silently kept', '0x18', 0x7n, 0x1fn],
    ['locked, a written SVMDIS is silently dropped', '0x8', 0x18n, 0x8n],
  ])('%s', (_, before, value, after) => {
    const registers = poweredUp(vmCr(before));
    expect(wrmsr(registers, VM_CR, value)).toBe(true);
    expect(rdmsr(registers, VM_CR)).toBe(after);
  });

  it('without SVML, SVMDIS is read-only to software', () => {
    const registers = poweredUp(vmCr('0x10', AMD_K8));
    expect(wrmsr(registers, VM_CR, 0n)).toBe(true);
    expect(rdmsr(registers, VM_CR)).toBe(0x10n);
    const clear = poweredUp(AMD_K8);
    expect(wrmsr(clear, VM_CR, 0x1fn)).toBe(true);
    expect(rdmsr(clear, VM_CR)).toBe(0x0fn);
  });
});

describe('msr: WRMSR VM_HSAVE_PA (spec B.2)', () => {
  it.each<[string, HardwareConfig, bigint]>([
    ['low bits', AMD, 0x1001n],
    ['48-bit limit', AMD, 1n << 48n],
    ['40-bit limit', AMD_K8, 1n << 40n],
    ['bit 63', AMD, 1n << 63n],
  ])('%s: faults', (_, config, value) => {
    expectFault(poweredUp(config), VM_HSAVE_PA, value);
  });

  it.each<[string, HardwareConfig, bigint]>([
    ['0', AMD, 0n],
    ['a page', AMD, 0x5000n],
    ['the last page of 48 bits', AMD, 0xffff_fffff000n],
    ['the last page of 40 bits', AMD_K8, 0xff_fffff000n],
  ])('%s: accepted with EFER.SVME = 0', (_, config, value) => {
    const registers = poweredUp(config);
    expect(wrmsr(registers, VM_HSAVE_PA, value)).toBe(true);
    expect(rdmsr(registers, VM_HSAVE_PA)).toBe(value);
  });
});

describe('msr: WRMSR SVM_KEY (spec B.2)', () => {
  it('reads as 0, whatever key was set', () => {
    const registers = poweredUp(AMD);
    expect(wrmsr(registers, SVM_KEY, 0xdead_beef_dead_beefn)).toBe(true);
    expect(rdmsr(registers, SVM_KEY)).toBe(0n);
  });

  it.each<[string, bigint, bigint, bigint]>([
    ['the key unlocks', 7n, 7n, 0x10n],
    ['another value is ignored', 7n, 8n, 0x18n],
    ['a key of 0 never unlocks', 0n, 0n, 0x18n],
  ])('%s', (_, key, given, after) => {
    const registers = poweredUp(AMD);
    wrmsr(registers, SVM_KEY, key);
    wrmsr(registers, VM_CR, 0x18n);
    expect(wrmsr(registers, SVM_KEY, given)).toBe(true);
    expect(rdmsr(registers, VM_CR)).toBe(after);
  });

  it('a wrong guess does not become the key', () => {
    const registers = poweredUp(vmCr('0x18'));
    wrmsr(registers, SVM_KEY, 8n);
    wrmsr(registers, SVM_KEY, 8n);
    expect(rdmsr(registers, VM_CR)).toBe(0x18n);
  });
});

describe('msr: the others', () => {
  it.each([0x174, 0x175, 0x176, 0x10, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000102])(
    '%i takes any value',
    (msr) => {
      const registers = poweredUp(AMD);
      expect(wrmsr(registers, msr, 0xfedc_ba98_7654_3210n)).toBe(true);
      expect(rdmsr(registers, msr)).toBe(0xfedc_ba98_7654_3210n);
    },
  );

  it.each([0xc0000100, 0xc0000101])('%i takes canonical addresses only', (msr) => {
    const registers = poweredUp(AMD);
    expectFault(registers, msr, 0x0000_8000_0000_0000n);
    expectFault(registers, msr, 0xffff_7fff_ffff_ffffn);
    expect(wrmsr(registers, msr, 0xffff_8100_0000_0000n)).toBe(true);
    expect(wrmsr(registers, msr, 0x0000_7fff_ffff_ffffn)).toBe(true);
  });

  it('IGNNE has one bit', () => {
    expectFault(poweredUp(AMD), 0xc0010115, 2n);
    expect(wrmsr(poweredUp(AMD), 0xc0010115, 1n)).toBe(true);
  });

  it('MISC_ENABLE refuses reserved bits and keeps read-only ones', () => {
    const registers = poweredUp(INTEL);
    expectFault(registers, 0x1a0, 1n << 14n);
    expect(wrmsr(registers, 0x1a0, 0n)).toBe(true);
    expect(rdmsr(registers, 0x1a0)).toBe(0x40_66a52489n & 0x52_600099f6n);
  });

  it('MTRR_DEF_TYPE refuses reserved bits', () => {
    expectFault(poweredUp(AMD), 0x2ff, 1n << 8n);
    expect(wrmsr(poweredUp(AMD), 0x2ff, 0xc06n)).toBe(true);
  });

  it('two CPUs of one machine have their own, and writing MSRs changes nothing else in the block', () => {
    const words = new Int32Array(new SharedArrayBuffer(layout.bytes));
    const [first, second] = [0, 1].map((cpu) => {
      const registers = new CpuRegisters(words, layout, cpu);
      reset(registers, hardwareOf(AMD, cpu));
      return registers;
    }) as [CpuRegisters, CpuRegisters];
    const before = words.slice();
    for (const msr of MSR_NUMBERS) wrmsr(second, msr, 1n);
    const changed = [...words.keys()].filter((word) => words[word] !== before[word]);
    const firstMsr = second.base + CpuWord.MSRS;
    expect(changed.length).toBeGreaterThan(5);
    expect(changed.every((word) => word >= firstMsr && word < firstMsr + MSR_SLOTS * 2)).toBe(true);
    expect(rdmsr(first, 0x10)).toBe(0n);
    expect(rdmsr(second, 0x10)).toBe(1n);
  });
});
