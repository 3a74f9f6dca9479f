import { describe, expect, it } from 'vitest';
import {
  CUSTOM_LEAVES_MAX,
  type HardwareConfig,
  MSR_NUMBERS,
  QUIRKS,
  type QuirkName,
  hardwareOf,
  parseHex,
  resolveQuirks,
  validateHardware,
} from '#memory/firmware';
import { MSR_SLOTS } from '#memory/layout';
import { CpuidRegister, cpuidRegister } from '#cpu-worker/cpuid';
import { rdmsr } from '#cpu-worker/msr';
import { AMD, AMD_K8, INTEL, poweredUp } from './cpu.ts';

const withQuirk = (base: HardwareConfig, quirk: QuirkName): HardwareConfig => ({
  ...base,
  all: { quirks: [quirk] },
});

describe('firmware: quirks', () => {
  it.each<[QuirkName, HardwareConfig, number, bigint | undefined]>([
    ['svmdis', AMD, 0xc0010114, 0x18n],
    ['no-svm', AMD, 0xc0010114, undefined],
    ['feature-control-locked', INTEL, 0x3a, 1n],
    ['feature-control-clear', INTEL, 0x3a, 0n],
    ['no-vmx', INTEL, 0x3a, undefined],
    ['P', INTEL, 0x480, 0x005a0800_0000000dn],
    ['F', INTEL, 0x480, 0x00420800_0000000dn],
    ['F1', INTEL, 0x481, 0x00000037_00000016n],
    ['F2', INTEL, 0x482, 0xf5f9fffe_0401e172n],
    ['F3', INTEL, 0x483, 0x0003fdff_00036dffn],
    ['F4', INTEL, 0x480, 0x005b0800_0000000dn],
    ['D1', INTEL, 0x482, 0x77d9fffe_0401e172n],
    ['D1', INTEL, 0x48b, undefined],
    ['D2', INTEL, 0x48b, 0x00000040_00000000n],
  ])('%s: MSR as the spec has it (B.5, B.6)', (quirk, base, msr, value) => {
    expect(rdmsr(poweredUp(withQuirk(base, quirk)), msr)).toBe(value);
  });

  it.each<[QuirkName, readonly number[]]>([
    ['P', []],
    ['F', [0x480]],
    ['F1', [0x481]],
    ['F2', [0x482]],
    ['F3', [0x483]],
    ['F4', [0x480]],
    ['D1', [0x482, 0x48b]],
    ['D2', [0x48b]],
  ])('%s: differs from Set P in these MSRs only (B.6)', (quirk, differing) => {
    const registers = poweredUp(withQuirk(INTEL, quirk));
    const plain = poweredUp(INTEL);
    expect(MSR_NUMBERS.filter((msr) => rdmsr(registers, msr) !== rdmsr(plain, msr))).toEqual(differing);
  });

  it.each([
    ['k8-tl60', AMD_K8],
    ['phenom-8650', AMD],
  ] as const)('no-svm: only the SVM bit of CPUID 0x80000001 ECX differs (%s)', (_, base) => {
    const read = (config: HardwareConfig): number =>
      cpuidRegister(poweredUp(config), 0x80000001, CpuidRegister.ECX);
    expect(read(base) ^ read(withQuirk(base, 'no-svm'))).toBe(1 << 2);
  });

  it('no-vmx: only the VMX bit of CPUID 1 ECX differs', () => {
    const read = (config: HardwareConfig): number => cpuidRegister(poweredUp(config), 1, CpuidRegister.ECX);
    expect(read(INTEL) ^ read(withQuirk(INTEL, 'no-vmx'))).toBe(1 << 5);
  });

  it('no-cpuid-8000000a: the largest extended leaf is 0x80000008 and the SVM leaf answers zeros', () => {
    const registers = poweredUp(withQuirk(AMD, 'no-cpuid-8000000a'));
    expect(cpuidRegister(registers, 0x80000000, CpuidRegister.EAX)).toBe(0x80000008);
    expect(cpuidRegister(registers, 0x8000000a, CpuidRegister.EBX)).toBe(0);
  });

  it('a set for one CPU replaces the whole set of all: D1 everywhere, P on CPU 1', () => {
    const config: HardwareConfig = { ...INTEL, all: { quirks: ['D1'] }, perCpu: { 1: { quirks: ['P'] } } };
    expect(rdmsr(poweredUp(config, 0), 0x48b)).toBeUndefined();
    expect(rdmsr(poweredUp(config, 1), 0x48b)).toBe(0x00000041_00000000n);
    expect(rdmsr(poweredUp(config, 1), 0x482)).toBe(0xf7f9fffe_0401e172n);
  });

  it('explicit values stand over the quirks of their layer, whatever their spelling', () => {
    const config: HardwareConfig = { ...AMD, all: { quirks: ['svmdis'], msr: { '0xC001_0114': '0x10' } } };
    expect(validateHardware(config, 2)).toBeUndefined();
    expect(rdmsr(poweredUp(config), 0xc0010114)).toBe(0x10n);
  });

  it.each(Object.keys(QUIRKS) as QuirkName[])(
    '%s: resolved twice is resolved once, and means the same',
    (quirk) => {
      const config = withQuirk(QUIRKS[quirk].vendor === 'amd' ? AMD : INTEL, quirk);
      const resolved = resolveQuirks(config);
      expect(validateHardware(config, 2)).toBeUndefined();
      expect(validateHardware(resolved, 2)).toBeUndefined();
      expect(resolveQuirks(resolved)).toEqual(resolved);
      expect(hardwareOf(resolved, 0)).toEqual({ ...hardwareOf(config, 0) });
      expect(JSON.parse(JSON.stringify(resolved))).toEqual(resolved);
    },
  );
});

describe('firmware: validation', () => {
  it.each<[string, unknown]>([
    ['expected an object', undefined],
    ['expected an object', []],
    ['hardware.vendor', { i386: false }],
    ['hardware.i386', { vendor: 'amd' }],
    ['unknown key "cpus"', { ...AMD, cpus: 3 }],
    ['hardware.model: expected a model of amd', { ...AMD, model: 'xeon-x5482' }],
    ['hardware.model: expected a model of intel', { ...INTEL, model: 7 }],
    ['hardware.all', { ...AMD, all: 'svmdis' }],
    ['hardware.all: unknown key "msrs"', { ...AMD, all: { msrs: {} } }],
    ['hardware.all.msr', { ...AMD, all: { msr: null } }],
    ['not an MSR number', { ...AMD, all: { msr: { '3a': '0x1' } } }],
    ['smplab has no MSR 0x1b', { ...AMD, all: { msr: { '0x1b': '0x1' } } }],
    ['given twice', { ...AMD, all: { msr: { '0x10': '0x1', '0x010': '0x2' } } }],
    ['64-bit hex string', { ...AMD, all: { msr: { '0x10': 5 } } }],
    ['64-bit hex string', { ...AMD, all: { msr: { '0x10': '0x1_0000000000000000' } } }],
    ['hardware.all.cpuid', { ...AMD, all: { cpuid: [] } }],
    ['not a CPUID leaf', { ...AMD, all: { cpuid: { one: {} } } }],
    ['given twice', { ...AMD, all: { cpuid: { '0x1': {}, '0x01': {} } } }],
    ['expected an object with eax', { ...AMD, all: { cpuid: { '0x1': 7 } } }],
    ['unknown key "esi"', { ...AMD, all: { cpuid: { '0x1': { esi: '0x1' } } } }],
    ['32-bit hex string', { ...AMD, all: { cpuid: { '0x1': { ecx: '0x100000000' } } } }],
    ['hardware.all.quirks', { ...AMD, all: { quirks: 'svmdis' } }],
    ['unknown quirk "toString"', { ...AMD, all: { quirks: ['toString'] } }],
    ['is about intel processors', { ...AMD, all: { quirks: ['no-vmx'] } }],
    ['"F" and "F4" contradict', { ...INTEL, all: { quirks: ['F', 'F4'] } }],
    ['"no-svm" and "svmdis" contradict', { ...AMD, perCpu: { 1: { quirks: ['no-svm', 'svmdis'] } } }],
    ['hardware.perCpu', { ...AMD, perCpu: [] }],
    ['no CPU 2, expected 0 to 1', { ...AMD, perCpu: { 2: {} } }],
    ['no CPU 01', { ...AMD, perCpu: { '01': {} } }],
    ['hardware.perCpu.1.msr', { ...AMD, perCpu: { 1: { msr: { '0x10': true } } } }],
  ])('says %s', (message, config) => {
    expect(validateHardware(config, 2)).toContain(message);
  });

  it('refuses more CPUID leaves than a CPU block holds', () => {
    const cpuid = Object.fromEntries(
      Array.from({ length: CUSTOM_LEAVES_MAX + 1 }, (_, leaf) => [`0x${leaf.toString(16)}`, {}]),
    );
    expect(validateHardware({ ...AMD, all: { cpuid } }, 2)).toContain('CPUID leaves');
  });

  it.each<[string, bigint | undefined]>([
    ['0x005a0800_0000000d', 0x005a0800_0000000dn],
    ['0XFFFFFFFFFFFFFFFF', 0xffffffff_ffffffffn],
    ['0x1_0000000000000000', undefined],
    ['10', undefined],
    ['0x', undefined],
    ['0x_1', undefined],
    ['0x1__0', undefined],
  ])('parseHex: %s', (text, value) => {
    expect(parseHex(text, 64)).toBe(value);
  });

  it('every MSR has a slot', () => {
    expect(MSR_NUMBERS.length).toBeLessThanOrEqual(MSR_SLOTS);
    expect(new Set(MSR_NUMBERS).size).toBe(MSR_NUMBERS.length);
  });
});
