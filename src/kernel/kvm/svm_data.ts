/**
 * What kvm-amd.ko keeps: the permission maps, each CPU's data, and the control block of a guest.
 *
 * @linux drivers/kvm/{svm,kvm_svm}.{c,h}, as of kvm-54
 * Leaves out: the parts of the VMCB that no modelled guest uses, the FPU's and the debug registers' state.
 */
import { type Ptr, type StructView, array, ptr, s32, struct, u32, u64 } from '#memory/struct';
import { kvm_vcpu } from './kvm.ts';
import { kvm_amd_ko } from './kvm_ko.ts';

/** 2^2 pages of I/O map, 2^1 pages of MSR map. */
export const IOPM_ALLOC_ORDER = 2;
export const MSRPM_ALLOC_ORDER = 1;

/** Owned by its CPU once it is published, with interrupts or preemption off; made and published by the loading CPU. */
export const svm_cpu_data = struct('svm_cpu_data', {
  cpu: s32,
  /** bumped when the ASIDs are used up */
  asid_generation: u64,
  max_asid: u32,
  next_asid: u32,
  /** address of this CPU's TSS descriptor */
  tss_desc: ptr,
  /** a struct page: where the processor keeps the host's state */
  save_area: ptr,
});
export type svm_cpu_data = StructView<typeof svm_cpu_data>;

/** NULL on a CPU that was offline at load, and again once it was disabled: svm_hardware_disable frees it (spec 3.7). */
export const svm_data = kvm_amd_ko.DEFINE_PER_CPU('svm_data', ptr);

/** CPUID 0x8000000a EDX, written by every CPU on enabling: racy on purpose, all write the same. */
export const svm_features = kvm_amd_ko.DEFINE('svm_features', u32);

/** Physical addresses; 0 = not allocated. */
export const iopm_base = kvm_amd_ko.DEFINE('iopm_base', u64);
export const msrpm_base = kvm_amd_ko.DEFINE('msrpm_base', u64);

export const TLB_CONTROL_DO_NOTHING = 0;
export const TLB_CONTROL_FLUSH_ALL_ASID = 1;

export const SVM_EXIT_INTR = 0x060;
export const SVM_EXIT_CPUID = 0x072;
export const SVM_EXIT_HLT = 0x078;

export const INTERCEPT_INTR = 0;
export const INTERCEPT_CPUID = 18;
export const INTERCEPT_HLT = 24;
export const INTERCEPT_IOIO_PROT = 27;
export const INTERCEPT_MSR_PROT = 28;

/** The guest's control block: one page. */
export const vmcb = struct('vmcb', {
  intercept: u64,
  iopm_base_pa: u64,
  msrpm_base_pa: u64,
  tsc_offset: u64,
  asid: u32,
  tlb_ctl: u32,
  exit_code: u32,
  rax: u64,
  rsp: u64,
  rip: u64,
  rflags: u64,
  efer: u64,
});
export type vmcb = StructView<typeof vmcb>;

/** STAR, LSTAR, CSTAR, SYSCALL_MASK, KERNEL_GS_BASE, FS_BASE (x86-64), SYSENTER_CS, ESP, EIP. */
export const NR_HOST_SAVE_USER_MSRS = 9;

export const vcpu_svm = struct('vcpu_svm', {
  vcpu: kvm_vcpu,
  vmcb: ptr,
  vmcb_pa: u64,
  asid_generation: u64,
  next_rip: u64,
  host_user_msrs: array(u64, NR_HOST_SAVE_USER_MSRS),
});
export type vcpu_svm = StructView<typeof vcpu_svm>;

/** The common part comes first: one address for both. */
export function to_svm(vcpu: Ptr): vcpu_svm {
  return vcpu_svm.container(vcpu, 'vcpu');
}

export function vmcb_of(svm: vcpu_svm): vmcb {
  return vmcb.at(svm.vmcb);
}

/** A segment descriptor's type is the low half of its sixth byte; this one is a TSS that LTR may load. */
export const DESC_TYPE_BYTE = 5;
export const TSS_AVAILABLE = 9;
