import { describe, expect, it } from 'vitest';
import type { CpuRegisters } from '#memory/cpu-registers';
import { type HardwareConfig, MSR_NUMBERS, hardwareOf } from '#memory/firmware';
import { CPU_BLOCK_BYTES, CpuWord, PowerState, cpuBlock } from '#memory/layout';
import { Outcome } from '#trace/events';
import { rdmsr, storedMsr, wrmsr } from '#cpu-worker/msr';
import {
  type InitResult,
  enterProtectedMode,
  isInitUnblocked,
  reset,
  takeInit,
  takeSipi,
} from '#cpu-worker/reset';
import { clgi, stgi } from '#cpu-worker/svm';
import { CR4_VMXE, GuestMode, NO_VMCS, vmxoff, vmxon, writeCr4 } from '#cpu-worker/vmx';
import { AMD, INTEL, layout, poweredUp, running } from './cpu.ts';

function inVmxRoot(cpu = 1): CpuRegisters {
  const registers = running(INTEL, cpu);
  writeCr4(registers, registers.get(CpuWord.CR4) | CR4_VMXE);
  expect(vmxon(registers, 0x8000n, () => 0xd)).toBe(Outcome.SUCCESS);
  registers.set(CpuWord.POWER, PowerState.RUNNING);
  return registers;
}

function withoutGif(): CpuRegisters {
  const registers = running(AMD, 1);
  wrmsr(registers, 0xc0000080, 0x1d01n);
  expect(clgi(registers)).toBe(Outcome.SUCCESS);
  return registers;
}

/** Everything in the block that the processor holds, for "nothing changes". */
function everything(registers: CpuRegisters): number[] {
  return Array.from({ length: CPU_BLOCK_BYTES / 4 }, (_, word) => registers.get(word));
}

function guest(mode: GuestMode, config: HardwareConfig = AMD): CpuRegisters {
  const registers = config === INTEL ? inVmxRoot() : running(config, 1);
  registers.set(CpuWord.GUEST, mode);
  return registers;
}

function redirected(): CpuRegisters {
  const registers = running(AMD, 1);
  wrmsr(registers, 0xc0010114, 2n);
  return registers;
}

describe('INIT (spec B.4)', () => {
  it.each<[string, () => CpuRegisters, InitResult, number]>([
    ['outside VMX operation, GIF = 1: taken (AMD)', () => running(AMD, 1), 'taken', 0],
    ['outside VMX operation: taken (Intel)', () => running(INTEL, 1), 'taken', 0],
    ['VMX root operation: blocked, pending', () => inVmxRoot(), 'pending', 1],
    ['VMX non-root: VM exit', () => guest(GuestMode.VMX_NON_ROOT, INTEL), 'vm-exit', 0],
    ['GIF = 0: pending', () => withoutGif(), 'pending', 1],
    [
      'SVM guest, intercepted: #VMEXIT, still pending',
      () => guest(GuestMode.SVM_INIT_INTERCEPTED),
      'vm-exit',
      1,
    ],
    ['SVM guest, not intercepted: taken', () => guest(GuestMode.SVM), 'taken', 0],
    ['R_INIT = 1: #SX, no longer pending', () => redirected(), 'security-exception', 0],
  ])('%s', (_, make, result, pending) => {
    const registers = make();
    const before = everything(registers);
    expect(takeInit(registers)).toBe(result);
    expect(registers.get(CpuWord.INIT_PENDING)).toBe(pending);
    if (result === 'taken') {
      expect(registers.power).toBe(PowerState.WAIT_FOR_SIPI);
    } else {
      registers.set(CpuWord.INIT_PENDING, 0);
      expect(everything(registers)).toEqual(before);
    }
  });

  it.each<[number, number]>([
    [0x8005003b, 0x10],
    [0xe005003b, 0x60000010],
    [0xc005003b, 0x40000010],
  ])('CR0 becomes 0x10 with CD and NW kept, CR4 becomes 0 (CR0=%i)', (before, after) => {
    const registers = running(INTEL, 1);
    registers.set(CpuWord.CR0, before);
    writeCr4(registers, 0x26e0);
    takeInit(registers);
    expect(registers.get(CpuWord.CR0)).toBe(after);
    expect(registers.get(CpuWord.CR4)).toBe(0);
  });

  it('leaves the global interrupt flag set and interrupts off', () => {
    const registers = running(AMD, 1);
    registers.set(CpuWord.IRQS_ENABLED, 1);
    takeInit(registers);
    expect(registers.get(CpuWord.GIF)).toBe(1);
    expect(registers.irqsEnabled).toBe(false);
  });

  it('VMXOFF unblocks a pending INIT', () => {
    const registers = inVmxRoot();
    takeInit(registers);
    expect(isInitUnblocked(registers)).toBe(false);
    expect(vmxoff(registers)).toBe(Outcome.SUCCESS);
    expect(isInitUnblocked(registers)).toBe(true);
    expect(takeInit(registers)).toBe('taken');
    expect(isInitUnblocked(registers)).toBe(false);
  });

  it('STGI unblocks a pending INIT', () => {
    const registers = withoutGif();
    takeInit(registers);
    expect(isInitUnblocked(registers)).toBe(false);
    expect(stgi(registers)).toBe(Outcome.SUCCESS);
    expect(isInitUnblocked(registers)).toBe(true);
    expect(takeInit(registers)).toBe('taken');
  });

  it('cpu_down and cpu_up on Intel: FEATURE_CONTROL is still 5, CR4.VMXE is 0 (B.7)', () => {
    const registers = inVmxRoot();
    vmxoff(registers);
    takeInit(registers);
    expect(takeSipi(registers)).toBe(Outcome.SUCCESS);
    enterProtectedMode(registers, false);
    expect(registers.get(CpuWord.CR4) & CR4_VMXE).toBe(0);
    expect(rdmsr(registers, 0x3a)).toBe(5n);
    writeCr4(registers, registers.get(CpuWord.CR4) | CR4_VMXE);
    expect(vmxon(registers, 0x8000n, () => 0xd)).toBe(Outcome.SUCCESS);
  });

  it('a CPU offline without disabling SVM restarts with SVME = 0 and VM_HSAVE_PA stale (B.7)', () => {
    const registers = running(AMD, 1);
    wrmsr(registers, 0xc0000080, 0x1d01n);
    wrmsr(registers, 0xc0010117, 0x5000n);
    takeInit(registers);
    expect(rdmsr(registers, 0xc0000080)).toBe(0n);
    expect(rdmsr(registers, 0xc0010117)).toBe(0x5000n);
  });
});

describe('SIPI (spec B.4)', () => {
  it.each<[string, PowerState, Outcome, PowerState]>([
    ['starts a CPU that waits for it', PowerState.WAIT_FOR_SIPI, Outcome.SUCCESS, PowerState.RUNNING],
    ['is dropped by a running CPU', PowerState.RUNNING, Outcome.BLOCKED, PowerState.RUNNING],
    ['is dropped by a CPU that is off', PowerState.OFF, Outcome.BLOCKED, PowerState.OFF],
    ['is dropped in shutdown', PowerState.SHUTDOWN, Outcome.BLOCKED, PowerState.SHUTDOWN],
  ])('%s', (_, before, outcome, after) => {
    const registers = running(AMD, 1);
    registers.set(CpuWord.POWER, before);
    registers.set(CpuWord.SIPI, 0x9a);
    expect(takeSipi(registers)).toBe(outcome);
    expect(registers.power).toBe(after);
    expect(registers.get(CpuWord.SIPI)).toBe(0);
  });

  it('INIT blocked by VMX root, then two SIPIs: no effect at all', () => {
    const registers = inVmxRoot();
    expect(takeInit(registers)).toBe('pending');
    const before = everything(registers);
    expect(takeSipi(registers)).toBe(Outcome.BLOCKED);
    expect(takeSipi(registers)).toBe(Outcome.BLOCKED);
    expect(everything(registers)).toEqual(before);
  });
});

describe('RESET (spec B.3, B.4)', () => {
  it('gives the power-up values of CR0 and CR4, and GIF = 1', () => {
    const registers = poweredUp(AMD);
    expect(registers.get(CpuWord.CR0)).toBe(0x60000010);
    expect(registers.get(CpuWord.CR4)).toBe(0);
    expect(registers.get(CpuWord.GIF)).toBe(1);
  });

  it('CPU 0 runs, the others wait for SIPI', () => {
    expect(poweredUp(AMD, 0).power).toBe(PowerState.RUNNING);
    expect(poweredUp(AMD, 1).power).toBe(PowerState.WAIT_FOR_SIPI);
  });

  it('is not blocked by VMX root operation, and leaves it', () => {
    const registers = inVmxRoot();
    takeInit(registers);
    reset(registers, hardwareOf(INTEL, 1));
    expect(registers.get(CpuWord.IN_VMX_ROOT)).toBe(0);
    expect(registers.get(CpuWord.INIT_PENDING)).toBe(0);
    expect(registers.get64(CpuWord.VMXON_LOW)).toBe(NO_VMCS);
    expect(registers.get64(CpuWord.CURRENT_VMCS_LOW)).toBe(NO_VMCS);
  });

  it('is not blocked by GIF = 0', () => {
    const registers = withoutGif();
    reset(registers, hardwareOf(AMD, 1));
    expect(registers.get(CpuWord.GIF)).toBe(1);
  });

  it.each([
    ['AMD', AMD],
    ['Intel', INTEL],
  ] as const)('all MSRs go back to the power-up column (%s)', (_, config) => {
    const registers = running(config, 1);
    const fresh = poweredUp(config, 1);
    for (const msr of MSR_NUMBERS) wrmsr(registers, msr, 0x1000n);
    reset(registers, hardwareOf(config, 1));
    for (const msr of MSR_NUMBERS) expect(storedMsr(registers, msr)).toBe(storedMsr(fresh, msr));
  });

  it('VM_CR.LOCK is cleared', () => {
    const registers = running(AMD, 1);
    wrmsr(registers, 0xc0010114, 0x18n);
    reset(registers, hardwareOf(AMD, 1));
    expect(rdmsr(registers, 0xc0010114)).toBe(0n);
  });

  it('with PWRGOOD kept asserted, a locked FEATURE_CONTROL survives; at power-up it does not', () => {
    const hardware = hardwareOf({ ...INTEL, all: { quirks: ['feature-control-clear'] } }, 1);
    const registers = poweredUp(INTEL, 1);
    reset(registers, hardware, true);
    expect(rdmsr(registers, 0x3a)).toBe(5n);
    reset(registers, hardware);
    expect(rdmsr(registers, 0x3a)).toBe(0n);
    wrmsr(registers, 0x3a, 4n);
    reset(registers, hardware, true);
    expect(rdmsr(registers, 0x3a)).toBe(0n);
  });

  it('is repeatable and stays inside its own block', () => {
    const registers = poweredUp(INTEL, 1);
    const once = everything(registers);
    reset(registers, hardwareOf(INTEL, 1));
    expect(everything(registers)).toEqual(once);
    expect(CpuWord.GDT + 64).toBeLessThanOrEqual(CPU_BLOCK_BYTES / 4);
  });
});

describe('enterProtectedMode', () => {
  it.each<[string, HardwareConfig, bigint]>([
    ['x86-64, AMD', AMD, 0xd01n],
    ['x86-64, Intel', INTEL, 0xd01n],
    ['i386', { ...INTEL, i386: true }, 0n],
  ])('%s: EFER is what the kernel makes it', (_, config, efer) => {
    expect(rdmsr(running(config), 0xc0000080)).toBe(efer);
  });

  it('every CPU has a GDT of its own, in memory', () => {
    const bases = [0, 1].map((cpu) => running(AMD, cpu).get(CpuWord.GDT_BASE));
    expect(bases).toEqual([0, 1].map((cpu) => cpuBlock(layout, cpu) + CpuWord.GDT * 4));
    expect(poweredUp(AMD, 0).get(CpuWord.GDT_BASE)).toBe(0);
  });
});
