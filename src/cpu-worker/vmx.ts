/**
 * Intel's VMX: the instructions that enter and leave VMX operation and choose a VMCS, and the control registers they
 * guard. Checks are in the order of spec B.2; outcomes are those of B.1.
 *
 * A VMCS is its page: no data of it is held in the processor, so VMCLEAR has nothing to write back. Left out, because
 * nothing in a machine leads there: virtual-8086 and compatibility mode, SMX operation, dual-monitor SMM, MONITOR.
 */
import type { CpuRegisters } from '#memory/cpu-registers';
import { Msr } from '#memory/firmware';
import { CpuWord } from '#memory/layout';
import { Outcome } from '#trace/events';
import { hasVmx, physicalLimit } from './cpuid.ts';
import {
  FEATURE_CONTROL_LOCKED,
  FEATURE_CONTROL_VMXON,
  VM_CR_DIS_A20M,
  countVirtualisation,
  hasMsr,
  storedMsr,
} from './msr.ts';

/** The dword at a physical address; all ones where nothing is mapped. */
export type PhysicalReader = (physical: bigint) => number;

/** Values of CpuWord.GUEST. */
export const GuestMode = { NONE: 0, VMX_NON_ROOT: 1, SVM: 2, SVM_INIT_INTERCEPTED: 3 } as const;
export type GuestMode = (typeof GuestMode)[keyof typeof GuestMode];

/** The instruction ran in a guest: the VMM gets a VM exit and the instruction does nothing. */
export const VM_EXIT = -1;
export type VmxOutcome = Outcome | typeof VM_EXIT;

/** A pointer to no VMCS. */
export const NO_VMCS = 0xffffffff_ffffffffn;

/** VM-instruction errors (spec B.1). */
export const VmError = {
  VMCLEAR_INVALID_ADDRESS: 2,
  VMCLEAR_VMXON_POINTER: 3,
  VMPTRLD_INVALID_ADDRESS: 9,
  VMPTRLD_VMXON_POINTER: 10,
  VMPTRLD_INCORRECT_REVISION: 11,
  VMXON_IN_VMX_ROOT: 15,
} as const;
export type VmError = (typeof VmError)[keyof typeof VmError];

export const CR0_PE = 1;
export const CR4_VMXE = 0x2000;

const REVISION_MASK = 0x7fffffff;
const SHADOW_VMCS: number = 0x80000000;
/** VMX_BASIC: VMX addresses are limited to 32 bits. */
const BASIC_32_BIT = 1n << 48n;
/** VMX_PROCBASED2, allowed-1 half: VMCS shadowing. */
const ALLOWS_SHADOWING = 1n << 46n;

export function inVmxOperation(registers: CpuRegisters): boolean {
  return registers.get(CpuWord.IN_VMX_ROOT) !== 0;
}

function inNonRoot(registers: CpuRegisters): boolean {
  return registers.get(CpuWord.GUEST) === GuestMode.VMX_NON_ROOT;
}

function low32(registers: CpuRegisters, msr: number, ifAbsent: number): number {
  return hasMsr(registers, msr) ? Number(BigInt.asUintN(32, storedMsr(registers, msr))) : ifAbsent;
}

/** Bits that FIXED0 says must be 1 are, and bits that FIXED1 says must be 0 are (spec B.6). */
function obeysFixedBits(registers: CpuRegisters, value: number, fixed0: number, fixed1: number): boolean {
  const mustBeOne = low32(registers, fixed0, 0);
  const mayBeOne = low32(registers, fixed1, 0xffffffff);
  return (mustBeOne & ~value) === 0 && (value & ~mayBeOne) === 0;
}

function cr0AllowsVmx(registers: CpuRegisters, value: number): boolean {
  return obeysFixedBits(registers, value, Msr.VMX_CR0_FIXED0, Msr.VMX_CR0_FIXED1);
}

function cr4AllowsVmx(registers: CpuRegisters, value: number): boolean {
  return obeysFixedBits(registers, value, Msr.VMX_CR4_FIXED0, Msr.VMX_CR4_FIXED1);
}

/** Whether physical address bit 20 is masked: VMX operation and AMD's VM_CR both overrule the pin. */
export function isA20Masked(registers: CpuRegisters): boolean {
  return (
    registers.get(CpuWord.A20M) !== 0 &&
    !inVmxOperation(registers) &&
    (storedMsr(registers, Msr.VM_CR) & VM_CR_DIS_A20M) === 0n
  );
}

/** MOV to CR0, LMSW, CLTS. False for #GP(0). */
export function writeCr0(registers: CpuRegisters, value: number): boolean {
  if (inVmxOperation(registers) && !cr0AllowsVmx(registers, value)) return false;
  registers.set(CpuWord.CR0, value);
  return true;
}

/** MOV to CR4. False for #GP(0). Of the bits, only VMXE and those VMX fixes are checked. */
export function writeCr4(registers: CpuRegisters, value: number): boolean {
  if ((value & CR4_VMXE) !== 0 && !hasVmx(registers)) return false;
  if (inVmxOperation(registers) && ((value & CR4_VMXE) === 0 || !cr4AllowsVmx(registers, value)))
    return false;
  registers.set(CpuWord.CR4, value);
  return true;
}

function isBadAddress(registers: CpuRegisters, physical: bigint): boolean {
  const only32 = (storedMsr(registers, Msr.VMX_BASIC) & BASIC_32_BIT) !== 0n;
  const limit = only32 ? 1n << 32n : physicalLimit(registers);
  return (physical & 0xfffn) !== 0n || physical >= limit;
}

function revisionId(registers: CpuRegisters): number {
  return low32(registers, Msr.VMX_BASIC, 0) & REVISION_MASK;
}

/** VMfail(n): with a current VMCS the number is stored in it, without one only the flag says so. */
function vmFail(registers: CpuRegisters, error: VmError): Outcome {
  if (registers.get64(CpuWord.CURRENT_VMCS_LOW) === NO_VMCS) return Outcome.VMFAIL_INVALID;
  registers.set(CpuWord.VM_INSTRUCTION_ERROR, error);
  return Outcome.VMFAIL_VALID;
}

export function vmxon(registers: CpuRegisters, physical: bigint, read: PhysicalReader): VmxOutcome {
  const cr0 = registers.get(CpuWord.CR0);
  const cr4 = registers.get(CpuWord.CR4);
  const cpl = registers.get(CpuWord.CPL);
  if ((cr4 & CR4_VMXE) === 0 || (cr0 & CR0_PE) === 0) return Outcome.FAULT_UD;
  if (inVmxOperation(registers)) {
    if (inNonRoot(registers)) return VM_EXIT;
    return cpl > 0 ? Outcome.FAULT_GP : vmFail(registers, VmError.VMXON_IN_VMX_ROOT);
  }
  const control = storedMsr(registers, Msr.FEATURE_CONTROL);
  if (
    cpl > 0 ||
    isA20Masked(registers) ||
    !cr0AllowsVmx(registers, cr0) ||
    !cr4AllowsVmx(registers, cr4) ||
    (control & FEATURE_CONTROL_LOCKED) === 0n ||
    (control & FEATURE_CONTROL_VMXON) === 0n
  ) {
    return Outcome.FAULT_GP;
  }
  if (isBadAddress(registers, physical)) return Outcome.VMFAIL_INVALID;
  // The whole dword: bit 31 set is a mismatch as well.
  if (read(physical) >>> 0 !== revisionId(registers)) return Outcome.VMFAIL_INVALID;
  registers.set(CpuWord.IN_VMX_ROOT, 1);
  registers.set64(CpuWord.VMXON_LOW, physical);
  registers.set64(CpuWord.CURRENT_VMCS_LOW, NO_VMCS);
  countVirtualisation(registers, true);
  return Outcome.SUCCESS;
}

/** CR4.VMXE stays as it is. An INIT that waited is now to be taken: see isInitUnblocked() in reset.ts. */
export function vmxoff(registers: CpuRegisters): VmxOutcome {
  if (!inVmxOperation(registers)) return Outcome.FAULT_UD;
  if (inNonRoot(registers)) return VM_EXIT;
  if (registers.get(CpuWord.CPL) > 0) return Outcome.FAULT_GP;
  registers.set(CpuWord.IN_VMX_ROOT, 0);
  registers.set64(CpuWord.VMXON_LOW, NO_VMCS);
  registers.set64(CpuWord.CURRENT_VMCS_LOW, NO_VMCS);
  countVirtualisation(registers, false);
  return Outcome.SUCCESS;
}

export function vmclear(registers: CpuRegisters, physical: bigint): VmxOutcome {
  if (!inVmxOperation(registers)) return Outcome.FAULT_UD;
  if (inNonRoot(registers)) return VM_EXIT;
  if (registers.get(CpuWord.CPL) > 0) return Outcome.FAULT_GP;
  if (isBadAddress(registers, physical)) return vmFail(registers, VmError.VMCLEAR_INVALID_ADDRESS);
  if (physical === registers.get64(CpuWord.VMXON_LOW))
    return vmFail(registers, VmError.VMCLEAR_VMXON_POINTER);
  if (physical === registers.get64(CpuWord.CURRENT_VMCS_LOW)) {
    registers.set64(CpuWord.CURRENT_VMCS_LOW, NO_VMCS);
  }
  return Outcome.SUCCESS;
}

export function vmptrld(registers: CpuRegisters, physical: bigint, read: PhysicalReader): VmxOutcome {
  if (!inVmxOperation(registers)) return Outcome.FAULT_UD;
  if (inNonRoot(registers)) return VM_EXIT;
  if (registers.get(CpuWord.CPL) > 0) return Outcome.FAULT_GP;
  if (isBadAddress(registers, physical)) return vmFail(registers, VmError.VMPTRLD_INVALID_ADDRESS);
  if (physical === registers.get64(CpuWord.VMXON_LOW))
    return vmFail(registers, VmError.VMPTRLD_VMXON_POINTER);
  const header = read(physical);
  const shadowing = (storedMsr(registers, Msr.VMX_PROCBASED2) & ALLOWS_SHADOWING) !== 0n;
  if ((header & REVISION_MASK) !== revisionId(registers) || ((header & SHADOW_VMCS) !== 0 && !shadowing)) {
    return vmFail(registers, VmError.VMPTRLD_INCORRECT_REVISION);
  }
  registers.set64(CpuWord.CURRENT_VMCS_LOW, physical);
  return Outcome.SUCCESS;
}
