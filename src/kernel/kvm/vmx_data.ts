/**
 * What kvm-intel.ko keeps, the controls it asks a processor for, and how it reads and writes the current VMCS.
 *
 * @linux drivers/kvm/{vmx}.{c,h}, as of kvm-54
 * Leaves out: fields and controls of guests that are not modelled. There is no MSR bitmap in kvm-54.
 */
import { type Ptr, type StructView, ptr, s32, struct, u32, u64 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { KERN_ERR, dump_stack, printk } from '#smp/printk';
import { is_i386 } from '#smp/subarch';
import { VMCS_FIELD, asm_vmread, asm_vmwrite } from './asm.ts';
import { kvm_vcpu } from './kvm.ts';
import { kvm_intel_ko } from './kvm_ko.ts';

export const PIN_BASED_EXT_INTR_MASK = 0x00000001;
export const PIN_BASED_NMI_EXITING = 0x00000008;

export const CPU_BASED_USE_TSC_OFFSETING = 0x00000008;
export const CPU_BASED_HLT_EXITING = 0x00000080;
export const CPU_BASED_CR8_LOAD_EXITING = 0x00080000;
export const CPU_BASED_CR8_STORE_EXITING = 0x00100000;
export const CPU_BASED_TPR_SHADOW = 0x00200000;
export const CPU_BASED_MOV_DR_EXITING = 0x00800000;
export const CPU_BASED_USE_IO_BITMAPS = 0x02000000;
export const CPU_BASED_ACTIVATE_SECONDARY_CONTROLS = 0x80000000;

export const SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES = 0x00000001;
export const SECONDARY_EXEC_WBINVD_EXITING = 0x00000040;

export const VM_EXIT_HOST_ADDR_SPACE_SIZE = 0x00000200;

export const EXIT_REASON_EXTERNAL_INTERRUPT = 1;
export const EXIT_REASON_CPUID = 10;
export const EXIT_REASON_HLT = 12;

/** What this kind of processor can do and KVM wants. Eight words and no holes: two are compared byte by byte. */
export const vmcs_config_t = struct('vmcs_config', {
  /** bytes of a VMXON or VMCS region */
  size: s32,
  /** page order of the global configuration's size */
  order: s32,
  revision_id: u32,
  pin_based_exec_ctrl: u32,
  cpu_based_exec_ctrl: u32,
  cpu_based_2nd_exec_ctrl: u32,
  vmexit_ctrl: u32,
  vmentry_ctrl: u32,
});
export type vmcs_config_t = StructView<typeof vmcs_config_t>;

/** From the CPU that loads the module; immutable from then on. */
export const vmcs_config = kvm_intel_ko.DEFINE('vmcs_config', vmcs_config_t);

/** Each CPU's VMXON region. NULL on a CPU that was offline at load; not cleared on unload. */
export const vmxarea = kvm_intel_ko.DEFINE_PER_CPU('vmxarea', ptr);
/** The VMCS this CPU loaded last. Its CPU's own, preemption off. */
export const current_vmcs = kvm_intel_ko.DEFINE_PER_CPU('current_vmcs', ptr);

/** Struct pages. All ones, except that the guest may touch port 0x80. */
export const vmx_io_bitmap_a = kvm_intel_ko.DEFINE('vmx_io_bitmap_a', ptr);
export const vmx_io_bitmap_b = kvm_intel_ko.DEFINE('vmx_io_bitmap_b', ptr);

/** Module parameter: let the guest have those page faults that concern only it. */
export const bypass_guest_pf = kvm_intel_ko.DEFINE('bypass_guest_pf', s32, 1);

export const vcpu_vmx = struct('vcpu_vmx', {
  vcpu: kvm_vcpu,
  /** the last entry failed */
  fail: s32,
  /** the VMCS has been entered since it was cleared */
  launched: s32,
  guest_msrs: ptr,
  host_msrs: ptr,
  vmcs: ptr,
  /** the host's segments are the guest's now */
  host_state_loaded: s32,
  exit_reason: u64,
});
export type vcpu_vmx = StructView<typeof vcpu_vmx>;

/** The common part comes first: one address for both. */
export function to_vmx(vcpu: Ptr): vcpu_vmx {
  return vcpu_vmx.container(vcpu, 'vcpu');
}

/** A pointer as the kernel's %p prints it. */
export function format_pointer(pointer: Ptr): string {
  return pointer.toString(16).padStart(is_i386() ? 8 : 16, '0');
}

export const vmwrite_error = kernel_function('vmwrite_error', (field: number, value: bigint): void => {
  const error = asm_vmread(VMCS_FIELD.VM_INSTRUCTION_ERROR);
  printk(KERN_ERR, `vmwrite error: reg ${field.toString(16)} value ${value.toString(16)} (err ${error})`);
  dump_stack();
});

export function vmcs_writel(field: number, value: bigint): void {
  if (!asm_vmwrite(field, value)) vmwrite_error(field, value);
}

export function vmcs_write64(field: number, value: bigint): void {
  vmcs_writel(field, value);
}

export function vmcs_write32(field: number, value: number): void {
  vmcs_writel(field, BigInt(value >>> 0));
}

export function vmcs_readl(field: number): bigint {
  return asm_vmread(field);
}

export function vmcs_read64(field: number): bigint {
  return asm_vmread(field);
}

export function vmcs_read32(field: number): number {
  return Number(BigInt.asUintN(32, asm_vmread(field)));
}
