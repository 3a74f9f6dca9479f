/**
 * What user space and KVM agree on: ioctl numbers, capabilities, the structures that cross the border (spec 5.9).
 *
 * @linux include/linux/kvm.h, as of kvm-54
 * Leaves out: structures of ioctls that are not modelled (segments, FPU, LAPIC, interrupt chips, CPUID entries).
 */
import { type StructView, array, s32, struct, u8, u16, u32, u64 } from '#memory/struct';

export const KVM_API_VERSION = 12;
export const KVM_MINOR = 232;

/** On /dev/kvm. */
export const KVM_GET_API_VERSION = 0xae00;
export const KVM_CREATE_VM = 0xae01;
export const KVM_GET_MSR_INDEX_LIST = 0xc004ae02;
export const KVM_CHECK_EXTENSION = 0xae03;
export const KVM_GET_VCPU_MMAP_SIZE = 0xae04;

/** On a VM. */
export const KVM_SET_MEMORY_REGION = 0x4018ae40;
export const KVM_CREATE_VCPU = 0xae41;
export const KVM_GET_DIRTY_LOG = 0x4010ae42;
export const KVM_SET_MEMORY_ALIAS = 0x4020ae43;
export const KVM_SET_NR_MMU_PAGES = 0xae44;
export const KVM_GET_NR_MMU_PAGES = 0xae45;
export const KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
export const KVM_SET_TSS_ADDR = 0xae47;
export const KVM_GET_SUPPORTED_CPUID = 0xc008ae48;
export const KVM_CREATE_IRQCHIP = 0xae60;

/** On a vCPU. */
export const KVM_RUN = 0xae80;
export const KVM_GET_REGS = 0x8090ae81;
export const KVM_SET_REGS = 0x4090ae82;

/** KVM_CHECK_EXTENSION */
export const KVM_CAP_IRQCHIP = 0;
export const KVM_CAP_HLT = 1;
export const KVM_CAP_MMU_SHADOW_CACHE_CONTROL = 2;
export const KVM_CAP_USER_MEMORY = 3;
export const KVM_CAP_SET_TSS_ADDR = 4;
export const KVM_CAP_EXT_CPUID = 5;

/** kvm_run.exit_reason */
export const KVM_EXIT_UNKNOWN = 0;
export const KVM_EXIT_HLT = 5;
export const KVM_EXIT_FAIL_ENTRY = 9;
export const KVM_EXIT_INTR = 10;

export const KVM_MEM_LOG_DIRTY_PAGES = 1;

/** The start of the page that a vCPU shares with user space. */
export const kvm_run = struct('kvm_run', {
  request_interrupt_window: u8,
  padding1: array(u8, 7),
  exit_reason: u32,
  ready_for_interrupt_injection: u8,
  if_flag: u8,
  padding2: u16,
  cr8: u64,
  apic_base: u64,
  /** hw.hardware_exit_reason and fail_entry.hardware_entry_failure_reason: one place in the union */
  hardware_exit_reason: u64,
});
export type kvm_run = StructView<typeof kvm_run>;

/** Followed by the indices. `nmsrs`: places offered on the way in, MSRs there are on the way out. */
export const kvm_msr_list = struct('kvm_msr_list', { nmsrs: u32 });
export type kvm_msr_list = StructView<typeof kvm_msr_list>;

export const kvm_memory_region = struct('kvm_memory_region', {
  slot: u32,
  flags: u32,
  guest_phys_addr: u64,
  /** bytes */
  memory_size: u64,
});
export type kvm_memory_region = StructView<typeof kvm_memory_region>;

export const kvm_userspace_memory_region = struct('kvm_userspace_memory_region', {
  slot: u32,
  flags: u32,
  guest_phys_addr: u64,
  /** bytes */
  memory_size: u64,
  /** where the memory is in the caller: an address of simulated memory */
  userspace_addr: u64,
});
export type kvm_userspace_memory_region = StructView<typeof kvm_userspace_memory_region>;

export const kvm_dirty_log = struct('kvm_dirty_log', { slot: u32, padding: s32, dirty_bitmap: u64 });
export type kvm_dirty_log = StructView<typeof kvm_dirty_log>;

export const kvm_regs = struct('kvm_regs', {
  /** rax rbx rcx rdx rsi rdi rsp rbp r8..r15: user space's order, which is not the processor's */
  gpr: array(u64, 16),
  rip: u64,
  rflags: u64,
});
export type kvm_regs = StructView<typeof kvm_regs>;
