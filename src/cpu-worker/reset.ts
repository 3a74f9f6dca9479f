/**
 * RESET, INIT and SIPI (spec B.3, B.4), and the state in which a CPU reaches kernel code.
 *
 * These change registers only. Moving the CPU's thread to where the registers say it is, and dropping what its local
 * APIC holds, is for who calls.
 */
import type { CpuRegisters } from '#memory/cpu-registers';
import { type CpuHardware, Msr } from '#memory/firmware';
import { CpuWord, PowerState } from '#memory/layout';
import { Outcome } from '#trace/events';
import { hasLongMode, hasNoExecute, hasSyscall, resetCpuid } from './cpuid.ts';
import {
  EFER_LMA,
  EFER_LME,
  EFER_NXE,
  EFER_SCE,
  VM_CR_R_INIT,
  initMsrs,
  resetMsrs,
  storeMsr,
  storedMsr,
} from './msr.ts';
import { GuestMode, NO_VMCS, inVmxOperation } from './vmx.ts';

/** ET alone: what INIT leaves of CR0 besides CD and NW. */
const CR0_ET = 0x10;
const CR0_CD_NW = 0x60000000;
/** PG, AM, WP, NE, ET, MP, PE: what Linux runs with. */
const CR0_KERNEL: number = 0x8005003b;
/** OSXMMEXCPT, OSFXSR, PGE, MCE, and PAE (x86-64) or PSE (i386). */
const CR4_KERNEL_64 = 0x6e0;
const CR4_KERNEL_32 = 0x6d0;

/** What RESET and INIT have in common, MSRs aside. */
function clearCore(registers: CpuRegisters): void {
  registers.set(CpuWord.IRQS_ENABLED, 0);
  registers.set(CpuWord.CPL, 0);
  registers.set(CpuWord.GUEST, GuestMode.NONE);
  registers.set(CpuWord.GIF, 1);
  registers.set(CpuWord.CR4, 0);
  registers.set(CpuWord.GDT_BASE, 0);
  registers.set(CpuWord.INIT_PENDING, 0);
  registers.set(CpuWord.SIPI, 0);
}

/**
 * RESET. Nothing blocks it. CPU 0 runs afterwards, the others wait for SIPI.
 * @param keepPowerGood a RESET that keeps PWRGOOD asserted: a locked FEATURE_CONTROL survives it
 */
export function reset(registers: CpuRegisters, hardware: CpuHardware, keepPowerGood = false): void {
  resetCpuid(registers, hardware);
  resetMsrs(registers, hardware, keepPowerGood);
  clearCore(registers);
  registers.set(CpuWord.CR0, CR0_CD_NW | CR0_ET);
  registers.set(CpuWord.IN_VMX_ROOT, 0);
  registers.set64(CpuWord.VMXON_LOW, NO_VMCS);
  registers.set64(CpuWord.CURRENT_VMCS_LOW, NO_VMCS);
  registers.set(CpuWord.VM_INSTRUCTION_ERROR, 0);
  registers.set(CpuWord.A20M, 0);
  registers.set(CpuWord.POWER, registers.cpu === 0 ? PowerState.RUNNING : PowerState.WAIT_FOR_SIPI);
}

/** What became of an INIT. */
export type InitResult =
  /** the CPU waits for SIPI; its caches and most MSRs are as they were */
  | 'taken'
  /** blocked: CpuWord.INIT_PENDING remembers it */
  | 'pending'
  /** the VMM of the guest that ran gets a VM exit */
  | 'vm-exit'
  /** redirected to #SX: vector 30, error code 1 */
  | 'security-exception';

/** An INIT arrives (spec B.4, row by row). */
export function takeInit(registers: CpuRegisters): InitResult {
  const guest = registers.get(CpuWord.GUEST) as GuestMode;
  if (guest === GuestMode.VMX_NON_ROOT) return 'vm-exit';
  if (inVmxOperation(registers) || registers.get(CpuWord.GIF) === 0) {
    registers.set(CpuWord.INIT_PENDING, 1);
    return 'pending';
  }
  if (guest === GuestMode.SVM_INIT_INTERCEPTED) {
    registers.set(CpuWord.INIT_PENDING, 1);
    return 'vm-exit';
  }
  registers.set(CpuWord.INIT_PENDING, 0);
  if ((storedMsr(registers, Msr.VM_CR) & VM_CR_R_INIT) !== 0n) return 'security-exception';
  initMsrs(registers);
  clearCore(registers);
  registers.set(CpuWord.CR0, (registers.get(CpuWord.CR0) & CR0_CD_NW) | CR0_ET);
  registers.set(CpuWord.POWER, PowerState.WAIT_FOR_SIPI);
  return 'taken';
}

/** Whether an INIT waited and nothing holds it back any more: after VMXOFF, STGI, or the VM exit of a guest. */
export function isInitUnblocked(registers: CpuRegisters): boolean {
  return (
    registers.get(CpuWord.INIT_PENDING) !== 0 &&
    !inVmxOperation(registers) &&
    registers.get(CpuWord.GIF) !== 0 &&
    registers.get(CpuWord.GUEST) === GuestMode.NONE
  );
}

/** A SIPI arrives. Starts a CPU that waits for one; any other drops it: BLOCKED. */
export function takeSipi(registers: CpuRegisters): Outcome {
  registers.set(CpuWord.SIPI, 0);
  if (registers.power !== PowerState.WAIT_FOR_SIPI) return Outcome.BLOCKED;
  registers.set(CpuWord.POWER, PowerState.RUNNING);
  return Outcome.SUCCESS;
}

/**
 * What boot code and trampoline do before C code runs: paging, a GDT, and long mode on x86-64.
 * The GDT is in the CPU's own block, so its address is this CPU's and is memory.
 */
export function enterProtectedMode(registers: CpuRegisters, i386: boolean): void {
  registers.set(CpuWord.CR0, CR0_KERNEL);
  registers.set(CpuWord.CR4, i386 ? CR4_KERNEL_32 : CR4_KERNEL_64);
  registers.set(CpuWord.GDT_BASE, (registers.base + CpuWord.GDT) << 2);
  if (i386) return;
  const bits =
    (hasSyscall(registers) ? EFER_SCE : 0n) |
    (hasLongMode(registers) ? EFER_LME | EFER_LMA : 0n) |
    (hasNoExecute(registers) ? EFER_NXE : 0n);
  storeMsr(registers, Msr.EFER, storedMsr(registers, Msr.EFER) | bits);
}
