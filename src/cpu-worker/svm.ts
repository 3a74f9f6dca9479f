/**
 * AMD's SVM: whether its instructions may run, and the global interrupt flag. Checks in the order of spec B.2.
 *
 * Guests are not simulated: a VMRUN that passes its checks says so and that is all.
 */
import type { CpuRegisters } from '#memory/cpu-registers';
import { Msr } from '#memory/firmware';
import { CpuWord } from '#memory/layout';
import { Outcome } from '#trace/events';
import { hasSkinit, physicalLimit } from './cpuid.ts';
import { EFER_SVME, storedMsr } from './msr.ts';

function svmEnabled(registers: CpuRegisters): boolean {
  return (storedMsr(registers, Msr.EFER) & EFER_SVME) !== 0n;
}

/** VMLOAD, VMSAVE, INVLPGA, and the first two checks of VMRUN and CLGI. */
export function svmInstruction(registers: CpuRegisters): Outcome {
  if (!svmEnabled(registers)) return Outcome.FAULT_UD;
  return registers.get(CpuWord.CPL) > 0 ? Outcome.FAULT_GP : Outcome.SUCCESS;
}

/** The host side of VMRUN; the guest gets GIF = 1. @param vmcb physical address */
export function vmrun(registers: CpuRegisters, vmcb: bigint): Outcome {
  const allowed = svmInstruction(registers);
  if (allowed !== Outcome.SUCCESS) return allowed;
  if ((vmcb & 0xfffn) !== 0n || vmcb >= physicalLimit(registers)) return Outcome.FAULT_GP;
  // Recent manuals; what the parts of 2007 did is (unverified).
  if (storedMsr(registers, Msr.VM_HSAVE_PA) === 0n) return Outcome.FAULT_GP;
  registers.set(CpuWord.GIF, 1);
  return Outcome.SUCCESS;
}

export function clgi(registers: CpuRegisters): Outcome {
  const allowed = svmInstruction(registers);
  if (allowed === Outcome.SUCCESS) registers.set(CpuWord.GIF, 0);
  return allowed;
}

/** STGI and SKINIT also run with SVM disabled where CPUID reports SKINIT. */
export function skinitInstruction(registers: CpuRegisters): Outcome {
  if (!svmEnabled(registers) && !hasSkinit(registers)) return Outcome.FAULT_UD;
  return registers.get(CpuWord.CPL) > 0 ? Outcome.FAULT_GP : Outcome.SUCCESS;
}

/** An INIT that waited is now to be taken: see isInitUnblocked() in reset.ts. */
export function stgi(registers: CpuRegisters): Outcome {
  const allowed = skinitInstruction(registers);
  if (allowed === Outcome.SUCCESS) registers.set(CpuWord.GIF, 1);
  return allowed;
}
