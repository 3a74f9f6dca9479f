/**
 * The instructions KVM issues by inline assembly, and what the kernel gets to see of each.
 *
 * VMXON, VMXOFF, VMCLEAR and VMPTRLD are the processor's own (smp/arch). The rest is done here on the CPU's registers:
 * VMREAD and VMWRITE work on the page of the current VMCS; VMRUN, VMLAUNCH and VMRESUME check what makes them fault or
 * fail (spec B.2) and run the guest (guest.ts). A fault has no fixup in kvm-54: it is an oops.
 *
 * A VMCS's launch state is in its page, and only VMCLEAR resets it. So a vCPU that was skipped when its CPU went offline
 * (spec 5.2) and goes on elsewhere without VMCLEAR fails to enter, with error 4.
 *
 * @linux drivers/kvm/{svm,vmx}.c, as of kvm-54 (the asm statements)
 * Leaves out: consistency checks of VMCB and VMCS, other exits, what happens while the host has GIF = 0 (the model keeps
 * interrupts off with the interrupt flag instead).
 */
import { bus } from '#memory/bus';
import { MSR_NUMBERS } from '#memory/firmware';
import { CpuWord, Pending } from '#memory/layout';
import { type Ptr, type StructView, array, struct, u32, u64 } from '#memory/struct';
import { arch } from '#smp/arch';
import { Outcome } from '#trace/events';
import { do_general_protection, do_invalid_op } from '../traps.ts';
import { interrupt_waits, run_guest } from './guest.ts';
import type { kvm_vcpu } from './kvm.ts';
import { MSR_EFER, MSR_EFER_SVME_MASK, MSR_IA32_TIME_STAMP_COUNTER } from './msr_index.ts';

/** The processor reads a register of its own: no RDMSR, no event. */
function own_msr(msr: number): bigint {
  return bus.registers.get64(CpuWord.MSRS + 2 * MSR_NUMBERS.indexOf(msr));
}

export function rdtscll(): bigint {
  return own_msr(MSR_IA32_TIME_STAMP_COUNTER);
}

/**
 * The instruction behind the host's STI: an interrupt that made the guest exit is taken here, and not some time later. A
 * loop of entries that its own interrupt ends at once would otherwise be a schedule, and no processor runs it.
 */
export function interrupt_window(): void {
  if (interrupt_waits()) bus.waitUntil(0, () => !interrupt_waits());
}

function require_svme(instruction: string): void {
  if ((own_msr(MSR_EFER) & MSR_EFER_SVME_MASK) === 0n) do_invalid_op(instruction);
}

export function asm_clgi(): void {
  require_svme('clgi');
  bus.registers.set(CpuWord.GIF, 0);
}

export function asm_stgi(): void {
  require_svme('stgi');
  bus.registers.set(CpuWord.GIF, 1);
  if (bus.registers.get(CpuWord.INIT_PENDING) !== 0) bus.raise(bus.cpu, Pending.INIT);
}

/** #VMEXIT leaves GIF = 0; the caller's STGI sets it. */
export function asm_vmrun(vcpu: kvm_vcpu): number {
  require_svme('vmrun');
  return run_guest(vcpu);
}

/** A VMCS's page: the two words every processor has, and then this processor's own format. */
const VMCS_FIELDS_MAX = 64;
export const vmcs = struct('vmcs', {
  revision_id: u32,
  abort: u32,
  launch_state: u32,
  padding: u32,
  data: array(u64, VMCS_FIELDS_MAX),
});
export type vmcs = StructView<typeof vmcs>;

/** The fields this processor implements: encoding to place. */
export const VMCS_FIELD = Object.freeze({
  IO_BITMAP_A: 0x2000,
  IO_BITMAP_B: 0x2002,
  TSC_OFFSET: 0x2010,
  VMCS_LINK_POINTER: 0x2800,
  PIN_BASED_VM_EXEC_CONTROL: 0x4000,
  CPU_BASED_VM_EXEC_CONTROL: 0x4002,
  EXCEPTION_BITMAP: 0x4004,
  PAGE_FAULT_ERROR_CODE_MASK: 0x4006,
  PAGE_FAULT_ERROR_CODE_MATCH: 0x4008,
  CR3_TARGET_COUNT: 0x400a,
  VM_EXIT_CONTROLS: 0x400c,
  VM_ENTRY_CONTROLS: 0x4012,
  SECONDARY_VM_EXEC_CONTROL: 0x401e,
  VM_INSTRUCTION_ERROR: 0x4400,
  VM_EXIT_REASON: 0x4402,
  HOST_IA32_SYSENTER_CS: 0x4c00,
  GUEST_RSP: 0x681c,
  GUEST_RIP: 0x681e,
  GUEST_RFLAGS: 0x6820,
  HOST_CR0: 0x6c00,
  HOST_CR4: 0x6c04,
  HOST_TR_BASE: 0x6c0a,
  HOST_GDTR_BASE: 0x6c0c,
  HOST_IA32_SYSENTER_ESP: 0x6c10,
  HOST_IA32_SYSENTER_EIP: 0x6c12,
});
const FIELDS_IMPLEMENTED: readonly number[] = Object.freeze(Object.values(VMCS_FIELD));

const NO_CURRENT_VMCS = 0xffff_ffff_ffff_ffffn;
const LAUNCH_STATE_LAUNCHED = 1;
const VMXERR_VMLAUNCH_NONCLEAR_VMCS = 4;
const VMXERR_VMRESUME_NONLAUNCHED_VMCS = 5;

/** The page of this CPU's current VMCS; undefined if there is none. Outside VMX operation every use is #UD. */
function current_vmcs_page(instruction: string): vmcs | undefined {
  if (bus.registers.get(CpuWord.IN_VMX_ROOT) === 0) do_invalid_op(instruction);
  const physical = bus.registers.get64(CpuWord.CURRENT_VMCS_LOW);
  return physical === NO_CURRENT_VMCS ? undefined : vmcs.at(Number(physical));
}

/** False for VMfail: no VMCS is current, or it has no such field. */
export function asm_vmwrite(field: number, value: bigint): boolean {
  const page = current_vmcs_page('vmwrite');
  const place = FIELDS_IMPLEMENTED.indexOf(field);
  if (page === undefined || place < 0) return false;
  page.data.set(place, BigInt.asUintN(64, value));
  return true;
}

/** 0 when it fails: kvm-54 does not look. */
export function asm_vmread(field: number): bigint {
  const page = current_vmcs_page('vmread');
  if (page !== undefined && field === VMCS_FIELD.VM_INSTRUCTION_ERROR) {
    return BigInt(bus.registers.get(CpuWord.VM_INSTRUCTION_ERROR));
  }
  const place = FIELDS_IMPLEMENTED.indexOf(field);
  return page === undefined || place < 0 ? 0n : page.data.get(place);
}

/** VMLAUNCH, or VMRESUME if `launched`. Negative for VMfail. */
export function asm_vmlaunch(vcpu: kvm_vcpu, launched: boolean): number {
  const page = current_vmcs_page(launched ? 'vmresume' : 'vmlaunch');
  if (page === undefined) return -1;
  if ((page.launch_state === LAUNCH_STATE_LAUNCHED) !== launched) {
    bus.registers.set(
      CpuWord.VM_INSTRUCTION_ERROR,
      launched ? VMXERR_VMRESUME_NONLAUNCHED_VMCS : VMXERR_VMLAUNCH_NONCLEAR_VMCS,
    );
    return -1;
  }
  page.launch_state = LAUNCH_STATE_LAUNCHED;
  return run_guest(vcpu);
}

/** A VMX instruction's outcome, once the faults are dealt with: true for VMsucceed. */
function succeeded(outcome: Outcome, instruction: string): boolean {
  if (outcome === Outcome.FAULT_UD) do_invalid_op(instruction);
  if (outcome === Outcome.FAULT_GP) do_general_protection(instruction);
  return outcome === Outcome.SUCCESS;
}

export function asm_vmxon(phys_addr: bigint): boolean {
  return succeeded(arch.vmxon(phys_addr), 'vmxon');
}

export function asm_vmxoff(): boolean {
  return succeeded(arch.vmxoff(), 'vmxoff');
}

export function asm_vmclear(region: Ptr, phys_addr: bigint): boolean {
  if (!succeeded(arch.vmclear(phys_addr), 'vmclear')) return false;
  vmcs.at(region).launch_state = 0;
  return true;
}

export function asm_vmptrld(phys_addr: bigint): boolean {
  return succeeded(arch.vmptrld(phys_addr), 'vmptrld');
}
