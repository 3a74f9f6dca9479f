import { describe, expect, it } from 'vitest';
import type { CpuRegisters } from '#memory/cpu-registers';
import type { HardwareConfig } from '#memory/firmware';
import { CpuWord } from '#memory/layout';
import { Outcome } from '#trace/events';
import { wrmsr } from '#cpu-worker/msr';
import { clgi, skinitInstruction, stgi, svmInstruction, vmrun } from '#cpu-worker/svm';
import { AMD, AMD_K8, INTEL, running } from './cpu.ts';

/** The Phenom with CPUID SKINIT. */
const WITH_SKINIT: HardwareConfig = { ...AMD, all: { cpuid: { '0x80000001': { ecx: '0x17ff' } } } };

function enabled(config: HardwareConfig = AMD): CpuRegisters {
  const registers = running(config);
  expect(wrmsr(registers, 0xc0000080, 0x1d01n)).toBe(true);
  return registers;
}

describe('SVM instructions (spec B.2)', () => {
  const all: [string, (registers: CpuRegisters) => Outcome][] = [
    ['VMLOAD, VMSAVE, INVLPGA', svmInstruction],
    ['CLGI', clgi],
    ['VMRUN', (registers) => vmrun(registers, 0x5000n)],
    ['STGI', stgi],
    ['SKINIT', skinitInstruction],
  ];

  it.each(all)('%s: EFER.SVME = 0 is #UD, whatever the CPL', (_, run) => {
    const registers = running(AMD);
    registers.set(CpuWord.CPL, 3);
    expect(run(registers)).toBe(Outcome.FAULT_UD);
    expect(run(running(INTEL))).toBe(Outcome.FAULT_UD);
  });

  it.each(all)('%s: CPL > 0 is #GP', (_, run) => {
    const registers = enabled();
    registers.set(CpuWord.CPL, 3);
    expect(run(registers)).toBe(Outcome.FAULT_GP);
    expect(registers.get(CpuWord.GIF)).toBe(1);
  });

  it('STGI and SKINIT run with SVME = 0 where CPUID has SKINIT, the others do not (B.8)', () => {
    const registers = running(WITH_SKINIT);
    registers.set(CpuWord.GIF, 0);
    expect(clgi(registers)).toBe(Outcome.FAULT_UD);
    expect(skinitInstruction(registers)).toBe(Outcome.SUCCESS);
    expect(stgi(registers)).toBe(Outcome.SUCCESS);
    expect(registers.get(CpuWord.GIF)).toBe(1);
  });

  it('CLGI clears the global interrupt flag, STGI sets it', () => {
    const registers = enabled();
    expect(clgi(registers)).toBe(Outcome.SUCCESS);
    expect(registers.get(CpuWord.GIF)).toBe(0);
    expect(stgi(registers)).toBe(Outcome.SUCCESS);
    expect(registers.get(CpuWord.GIF)).toBe(1);
  });

  it.each<[string, HardwareConfig, bigint]>([
    ['not a page', AMD, 0x5001n],
    ['beyond 48 bits', AMD, 1n << 48n],
    ['beyond 40 bits', AMD_K8, 1n << 40n],
  ])('VMRUN: bad VMCB address is #GP (%s)', (_, config, vmcb) => {
    const registers = enabled(config);
    wrmsr(registers, 0xc0010117, 0x4000n);
    expect(vmrun(registers, vmcb)).toBe(Outcome.FAULT_GP);
  });

  it('VMRUN: VM_HSAVE_PA = 0 is #GP, as recent manuals say', () => {
    expect(vmrun(enabled(), 0x5000n)).toBe(Outcome.FAULT_GP);
  });

  it('VMRUN sets the global interrupt flag on entry', () => {
    const registers = enabled();
    wrmsr(registers, 0xc0010117, 0x4000n);
    clgi(registers);
    expect(vmrun(registers, 0x5000n)).toBe(Outcome.SUCCESS);
    expect(registers.get(CpuWord.GIF)).toBe(1);
  });
});
