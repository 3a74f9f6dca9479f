import { describe, expect, it } from 'vitest';
import type { CpuRegisters } from '#memory/cpu-registers';
import type { HardwareConfig } from '#memory/firmware';
import { CpuWord } from '#memory/layout';
import { Outcome } from '#trace/events';
import { wrmsr } from '#cpu-worker/msr';
import {
  CR4_VMXE,
  GuestMode,
  NO_VMCS,
  VM_EXIT,
  VmError,
  type VmxOutcome,
  isA20Masked,
  vmclear,
  vmptrld,
  vmxoff,
  vmxon,
  writeCr0,
  writeCr4,
} from '#cpu-worker/vmx';
import { AMD, INTEL, running } from './cpu.ts';

const REVISION = 0xd;
const REGION = 0x8000n;
const VMCS = 0x9000n;
const OTHER = 0xa000n;

/** Every page holds a good revision. */
const good = (): number => REVISION;
const holding = (dword: number) => (): number => dword;
const unread = (): never => {
  throw new Error('vmx: the operand must not be read here');
};

function ready(config: HardwareConfig = INTEL): CpuRegisters {
  const registers = running(config);
  expect(writeCr4(registers, registers.get(CpuWord.CR4) | CR4_VMXE)).toBe(true);
  return registers;
}

function inRoot(config: HardwareConfig = INTEL): CpuRegisters {
  const registers = ready(config);
  expect(vmxon(registers, REGION, good)).toBe(Outcome.SUCCESS);
  return registers;
}

function withVmcs(config: HardwareConfig = INTEL): CpuRegisters {
  const registers = inRoot(config);
  expect(vmptrld(registers, VMCS, good)).toBe(Outcome.SUCCESS);
  return registers;
}

const set =
  (word: number, value: number) =>
  (registers: CpuRegisters): void =>
    registers.set(word, value);

const msr = (number: string, value: string | null): HardwareConfig => ({
  ...INTEL,
  all: { msr: { [number]: value } },
});

describe('vmxon: checks in order (spec B.2)', () => {
  it.each<[string, HardwareConfig, (registers: CpuRegisters) => void, Outcome]>([
    ['1. CR4.VMXE = 0', INTEL, set(CpuWord.CR4, 0x6e0), Outcome.FAULT_UD],
    ['1. CR0.PE = 0', INTEL, set(CpuWord.CR0, 0x10), Outcome.FAULT_UD],
    [
      '1. before 3.: CPL > 0 and VMXE = 0',
      INTEL,
      (r) => (r.set(CpuWord.CPL, 3), r.set(CpuWord.CR4, 0)),
      Outcome.FAULT_UD,
    ],
    ['3. CPL > 0', INTEL, set(CpuWord.CPL, 3), Outcome.FAULT_GP],
    ['3. A20M mode', INTEL, set(CpuWord.A20M, 1), Outcome.FAULT_GP],
    ['3. CR0.NE = 0', INTEL, set(CpuWord.CR0, 0x80050013 | 0), Outcome.FAULT_GP],
    ['3. CR0.PG = 0', INTEL, set(CpuWord.CR0, 0x0005003b), Outcome.FAULT_GP],
    ['3. a CR4 bit that FIXED1 forbids', INTEL, set(CpuWord.CR4, CR4_VMXE | 0x800), Outcome.FAULT_GP],
    ['3. FEATURE_CONTROL bit 0 clear', msr('0x3a', '0x4'), () => {}, Outcome.FAULT_GP],
    ['3. FEATURE_CONTROL bit 2 clear', msr('0x3a', '0x1'), () => {}, Outcome.FAULT_GP],
    ['3. FEATURE_CONTROL clear', msr('0x3a', '0x0'), () => {}, Outcome.FAULT_GP],
  ])('%s', (_, config, prepare, outcome) => {
    const registers = ready(config);
    prepare(registers);
    // A bad address would be check 5: these come first.
    expect(vmxon(registers, 1n, unread)).toBe(outcome);
    expect(registers.get(CpuWord.IN_VMX_ROOT)).toBe(0);
  });

  it('2. in VMX root operation: VMfail(15), without a current VMCS VMfailInvalid', () => {
    const registers = inRoot();
    expect(vmxon(registers, 1n, unread)).toBe(Outcome.VMFAIL_INVALID);
    expect(vmptrld(registers, VMCS, good)).toBe(Outcome.SUCCESS);
    expect(vmxon(registers, REGION, unread)).toBe(Outcome.VMFAIL_VALID);
    expect(registers.get(CpuWord.VM_INSTRUCTION_ERROR)).toBe(VmError.VMXON_IN_VMX_ROOT);
    expect(registers.get64(CpuWord.CURRENT_VMCS_LOW)).toBe(VMCS);
  });

  it('2. in VMX root operation with CPL > 0: #GP', () => {
    const registers = inRoot();
    registers.set(CpuWord.CPL, 3);
    expect(vmxon(registers, REGION, unread)).toBe(Outcome.FAULT_GP);
  });

  it.each<[string, HardwareConfig, bigint]>([
    ['low 12 bits', INTEL, 0x8001n],
    ['38-bit limit', INTEL, 1n << 38n],
    ['the physical translation of NULL on x86-64 (B.7)', INTEL, 0x00007f00_00000000n],
    ['32-bit limit where 0x480 bit 48 is 1', { ...INTEL, all: { quirks: ['F4'] } }, 1n << 32n],
  ])('5. bad address: %s', (_, config, physical) => {
    const registers = ready(config);
    expect(vmxon(registers, physical, unread)).toBe(Outcome.VMFAIL_INVALID);
    expect(registers.get(CpuWord.IN_VMX_ROOT)).toBe(0);
  });

  it.each<[string, number]>([
    ['another revision', 0xe],
    ['bit 31 set', 0x8000000d | 0],
    ['nothing mapped', 0xffffffff],
  ])('6. %s: VMfailInvalid', (_, dword) => {
    const registers = ready();
    expect(vmxon(registers, REGION, holding(dword))).toBe(Outcome.VMFAIL_INVALID);
    expect(registers.get(CpuWord.IN_VMX_ROOT)).toBe(0);
  });

  it('i386: the physical translation of NULL reads what is at 1 GiB (B.7)', () => {
    const registers = ready({ ...INTEL, i386: true });
    expect(vmxon(registers, 0x40000000n, holding(0xffffffff))).toBe(Outcome.VMFAIL_INVALID);
    expect(vmxon(registers, 0x40000000n, good)).toBe(Outcome.SUCCESS);
  });

  it.each([false, true])('succeeds as KVM does it (i386=%s)', (i386) => {
    const registers = ready({ ...INTEL, i386, all: { quirks: ['feature-control-clear'] } });
    expect(wrmsr(registers, 0x3a, 5n)).toBe(true);
    expect(vmxon(registers, REGION, good)).toBe(Outcome.SUCCESS);
    expect(registers.get(CpuWord.IN_VMX_ROOT)).toBe(1);
    expect(registers.get64(CpuWord.VMXON_LOW)).toBe(REGION);
    expect(registers.get64(CpuWord.CURRENT_VMCS_LOW)).toBe(NO_VMCS);
  });

  it('a processor without VMX: #UD, because CR4.VMXE cannot be set', () => {
    expect(vmxon(running(AMD), REGION, unread)).toBe(Outcome.FAULT_UD);
  });
});

describe('vmxoff (spec B.2)', () => {
  it('1. not in VMX operation: #UD', () => {
    expect(vmxoff(ready())).toBe(Outcome.FAULT_UD);
  });

  it('3. CPL > 0: #GP', () => {
    const registers = inRoot();
    registers.set(CpuWord.CPL, 3);
    expect(vmxoff(registers)).toBe(Outcome.FAULT_GP);
    expect(registers.get(CpuWord.IN_VMX_ROOT)).toBe(1);
  });

  it('leaves VMX and CR4.VMXE as it was', () => {
    const registers = withVmcs();
    const cr4 = registers.get(CpuWord.CR4);
    expect(vmxoff(registers)).toBe(Outcome.SUCCESS);
    expect(registers.get(CpuWord.IN_VMX_ROOT)).toBe(0);
    expect(registers.get(CpuWord.CR4)).toBe(cr4);
    expect(vmxoff(registers)).toBe(Outcome.FAULT_UD);
    expect(vmxon(registers, REGION, good)).toBe(Outcome.SUCCESS);
  });
});

describe('in VMX non-root operation every VMX instruction exits (spec B.2)', () => {
  it.each<[string, (registers: CpuRegisters) => VmxOutcome]>([
    ['vmxon', (registers) => vmxon(registers, REGION, unread)],
    ['vmxoff', (registers) => vmxoff(registers)],
    ['vmclear', (registers) => vmclear(registers, VMCS)],
    ['vmptrld', (registers) => vmptrld(registers, VMCS, unread)],
  ])('%s', (_, run) => {
    const registers = withVmcs();
    registers.set(CpuWord.GUEST, GuestMode.VMX_NON_ROOT);
    registers.set(CpuWord.CPL, 3);
    expect(run(registers)).toBe(VM_EXIT);
    expect(registers.get(CpuWord.IN_VMX_ROOT)).toBe(1);
  });
});

describe('vmclear and vmptrld: checks in order (spec B.1, B.2)', () => {
  const rows: [string, bigint, VmError, VmError][] = [
    ['low 12 bits', 0x9001n, VmError.VMCLEAR_INVALID_ADDRESS, VmError.VMPTRLD_INVALID_ADDRESS],
    ['38-bit limit', 1n << 38n, VmError.VMCLEAR_INVALID_ADDRESS, VmError.VMPTRLD_INVALID_ADDRESS],
    ['the VMXON region', REGION, VmError.VMCLEAR_VMXON_POINTER, VmError.VMPTRLD_VMXON_POINTER],
  ];

  it('1. not in VMX operation: #UD', () => {
    expect(vmclear(ready(), VMCS)).toBe(Outcome.FAULT_UD);
    expect(vmptrld(ready(), VMCS, unread)).toBe(Outcome.FAULT_UD);
  });

  it('3. CPL > 0: #GP, before any check of the address', () => {
    const registers = inRoot();
    registers.set(CpuWord.CPL, 3);
    expect(vmclear(registers, 1n)).toBe(Outcome.FAULT_GP);
    expect(vmptrld(registers, 1n, unread)).toBe(Outcome.FAULT_GP);
  });

  it.each(rows)('%s: VMfailValid with the number, and the current VMCS stays', (_, physical, clear, load) => {
    const registers = withVmcs();
    expect(vmclear(registers, physical)).toBe(Outcome.VMFAIL_VALID);
    expect(registers.get(CpuWord.VM_INSTRUCTION_ERROR)).toBe(clear);
    expect(vmptrld(registers, physical, unread)).toBe(Outcome.VMFAIL_VALID);
    expect(registers.get(CpuWord.VM_INSTRUCTION_ERROR)).toBe(load);
    expect(registers.get64(CpuWord.CURRENT_VMCS_LOW)).toBe(VMCS);
  });

  it.each(rows)('%s: VMfailInvalid without a current VMCS, and no number is stored', (_, physical) => {
    const registers = inRoot();
    expect(vmclear(registers, physical)).toBe(Outcome.VMFAIL_INVALID);
    expect(vmptrld(registers, physical, unread)).toBe(Outcome.VMFAIL_INVALID);
    expect(registers.get(CpuWord.VM_INSTRUCTION_ERROR)).toBe(0);
  });

  it.each<[string, number]>([
    ['another revision', 0xe],
    ['bit 31 set without VMCS shadowing', 0x8000000d | 0],
  ])('vmptrld 7. %s: VMfail(11)', (_, dword) => {
    const registers = withVmcs();
    expect(vmptrld(registers, OTHER, holding(dword))).toBe(Outcome.VMFAIL_VALID);
    expect(registers.get(CpuWord.VM_INSTRUCTION_ERROR)).toBe(VmError.VMPTRLD_INCORRECT_REVISION);
    expect(registers.get64(CpuWord.CURRENT_VMCS_LOW)).toBe(VMCS);
  });

  it('vmptrld 7. bit 31 is allowed with VMCS shadowing', () => {
    const registers = inRoot(msr('0x48b', '0x00004041_00000000'));
    expect(vmptrld(registers, VMCS, holding(0x8000000d | 0))).toBe(Outcome.SUCCESS);
  });

  it('vmptrld: current = address', () => {
    const registers = withVmcs();
    expect(vmptrld(registers, OTHER, good)).toBe(Outcome.SUCCESS);
    expect(registers.get64(CpuWord.CURRENT_VMCS_LOW)).toBe(OTHER);
  });

  it('vmclear: the current VMCS is none afterwards; another leaves it', () => {
    const registers = withVmcs();
    expect(vmclear(registers, OTHER)).toBe(Outcome.SUCCESS);
    expect(registers.get64(CpuWord.CURRENT_VMCS_LOW)).toBe(VMCS);
    expect(vmclear(registers, VMCS)).toBe(Outcome.SUCCESS);
    expect(registers.get64(CpuWord.CURRENT_VMCS_LOW)).toBe(NO_VMCS);
  });
});

describe('control registers (spec B.2)', () => {
  it('CR4.VMXE on a CPU without VMX: #GP', () => {
    const registers = running(AMD);
    expect(writeCr4(registers, 0x6e0 | CR4_VMXE)).toBe(false);
    expect(registers.get(CpuWord.CR4)).toBe(0x6e0);
    expect(writeCr4(running({ ...INTEL, all: { quirks: ['no-vmx'] } }), CR4_VMXE)).toBe(false);
  });

  it('CR4.VMXE is a plain bit outside VMX operation', () => {
    const registers = running(INTEL);
    for (const value of [0x26e0, 0x6e0]) {
      expect(writeCr4(registers, value)).toBe(true);
      expect(registers.get(CpuWord.CR4)).toBe(value);
    }
  });

  it.each<[string, number, boolean]>([
    ['VMXE cleared', 0x6e0, false],
    ['a bit that FIXED1 forbids', 0x26e0 | 0x800, false],
    ['another bit cleared', 0x2660, true],
  ])('CR4 in VMX operation: %s', (_, value, allowed) => {
    const registers = inRoot();
    expect(writeCr4(registers, value)).toBe(allowed);
    expect(registers.get(CpuWord.CR4)).toBe(allowed ? value : 0x26e0);
  });

  it.each<[string, number]>([
    ['PE', 0x1],
    ['NE', 0x20],
    ['PG', 0x80000000],
  ])('CR0.%s must stay 1 in VMX operation, and only there', (_, bit) => {
    const registers = inRoot();
    const value = 0x8005003b & ~bit;
    expect(writeCr0(registers, value)).toBe(false);
    expect(registers.get(CpuWord.CR0) >>> 0).toBe(0x8005003b);
    expect(vmxoff(registers)).toBe(Outcome.SUCCESS);
    expect(writeCr0(registers, value)).toBe(true);
  });

  it('CR0.TS may be set in VMX operation', () => {
    expect(writeCr0(inRoot(), 0x8005003b | 8)).toBe(true);
  });
});

describe('A20M pin (spec B.2)', () => {
  it('in VMX operation: blocked, and possible again after VMXOFF', () => {
    const registers = inRoot();
    registers.set(CpuWord.A20M, 1);
    expect(isA20Masked(registers)).toBe(false);
    vmxoff(registers);
    expect(isA20Masked(registers)).toBe(true);
  });

  it('AMD: VM_CR bit 2 disables it', () => {
    const registers = running(AMD);
    registers.set(CpuWord.A20M, 1);
    expect(isA20Masked(registers)).toBe(true);
    wrmsr(registers, 0xc0010114, 4n);
    expect(isA20Masked(registers)).toBe(false);
  });
});
