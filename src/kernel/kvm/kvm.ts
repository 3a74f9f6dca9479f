/**
 * The structures of a virtual machine and of a virtual CPU, and the table of what a vendor module can do.
 *
 * Sizes are those of this simulation (a pointer has four bytes), except where a size is visible from outside: the MMU's
 * slab caches are created with the sizes of spec 2.3.
 *
 * @linux drivers/kvm/{kvm,x86,types,iodev}.h, as of kvm-54
 * Leaves out: MMIO and PIO emulation state, pending interrupts, guest debugging, the in-kernel APIC, PIC and IOAPIC.
 */
import { NULL, type Ptr, type StructView, array, opaque, ptr, s32, struct, u32, u64 } from '#memory/struct';
import { list_head } from '#memory/list';
import { mutex } from '#smp/mutex';
import { preempt_notifier } from '#smp/sched';

export const KVM_MAX_VCPUS = 4;
export const KVM_MEMORY_SLOTS = 8;
/** Slots the kernel keeps for itself, behind user space's. */
export const KVM_PRIVATE_MEM_SLOTS = 4;
export const KVM_MIN_ALLOC_MMU_PAGES = 64;
const KVM_NR_MEM_OBJS = 40;
const NR_IOBUS_DEVS = 6;

/** Bit of kvm_vcpu.requests: flush the TLB before the next entry. */
export const KVM_REQ_TLB_FLUSH = 0;

/** Place of a CPU's TSS descriptor in its GDT; eight bytes each. */
export const GDT_ENTRY_TSS = 8;
export const GDT_ENTRY_TSS_I386 = 16;
export const GDT_ENTRY_BYTES = 8;

/** kvm_vcpu.mp_state */
export const VCPU_MP_STATE_RUNNABLE = 0;
export const VCPU_MP_STATE_UNINITIALIZED = 1;

/** Indices into kvm_vcpu.regs: the processor's order. */
export const VCPU_REGS_RAX = 0;
export const VCPU_REGS_RCX = 1;
export const VCPU_REGS_RDX = 2;
export const VCPU_REGS_RBX = 3;
export const VCPU_REGS_RSP = 4;
export const VCPU_REGS_RBP = 5;
export const VCPU_REGS_RSI = 6;
export const VCPU_REGS_RDI = 7;
export const VCPU_REGS_R8 = 8;
export const NR_VCPU_REGS = 16;

/** No shadow root. */
export const INVALID_PAGE = 0xffff_ffff_ffff_ffffn;

/** What devices sit on a bus of the guest. Empty here: nobody registers. */
export const kvm_io_bus = struct('kvm_io_bus', { dev_count: s32, devs: array(ptr, NR_IOBUS_DEVS) });
export type kvm_io_bus = StructView<typeof kvm_io_bus>;

/** Objects set aside, so that taking one in the middle of a fault cannot fail. Owned by the vCPU (its mutex). */
export const kvm_mmu_memory_cache = struct('kvm_mmu_memory_cache', {
  nobjs: s32,
  objects: array(ptr, KVM_NR_MEM_OBJS),
});
export type kvm_mmu_memory_cache = StructView<typeof kvm_mmu_memory_cache>;

/** Back pointers from a shadow page to several parents. */
export const kvm_pte_chain = struct('kvm_pte_chain', { parent_ptes: array(ptr, 5), next: ptr, pprev: ptr });

/** One piece of guest memory. Guarded by kvm->lock for writers; readers look without it, as in kvm-54. */
export const kvm_memory_slot = struct('kvm_memory_slot', {
  base_gfn: u32,
  npages: u32,
  flags: u32,
  /** 1 = user space brought the memory, 0 = KVM allocated it */
  user_alloc: s32,
  userspace_addr: ptr,
  /** one word per page: which shadow entries point to it */
  rmap: ptr,
  dirty_bitmap: ptr,
});
export type kvm_memory_slot = StructView<typeof kvm_memory_slot>;

/** Plain counters, raced for by everybody: statistics. */
export const kvm_vm_stat = struct('kvm_vm_stat', {
  mmu_shadow_zapped: u32,
  mmu_pte_write: u32,
  mmu_pte_updated: u32,
  mmu_pde_zapped: u32,
  mmu_flooded: u32,
  mmu_recycled: u32,
  remote_tlb_flush: u32,
});

export const kvm_vcpu_stat = struct('kvm_vcpu_stat', {
  pf_fixed: u32,
  pf_guest: u32,
  tlb_flush: u32,
  invlpg: u32,
  exits: u32,
  io_exits: u32,
  mmio_exits: u32,
  signal_exits: u32,
  irq_window_exits: u32,
  halt_exits: u32,
  halt_wakeup: u32,
  request_irq_exits: u32,
  irq_exits: u32,
  host_state_reload: u32,
  efer_reload: u32,
  fpu_reload: u32,
  insn_emulation: u32,
  insn_emulation_fail: u32,
});

export const kvm = struct('kvm', {
  /** guards memory slots and the vCPU table's entries */
  lock: mutex,
  /** the creator's address space: immutable */
  mm: u32,
  nmemslots: s32,
  memslots: array(kvm_memory_slot, KVM_MEMORY_SLOTS + KVM_PRIVATE_MEM_SLOTS),
  n_alloc_mmu_pages: u32,
  /** readers such as kvm_flush_remote_tlbs look without the lock */
  vcpus: array(ptr, KVM_MAX_VCPUS),
  /** guarded by kvm_lock */
  vm_list: list_head,
  /** stored only after the descriptor is visible to user space (spec 5.8) */
  filp: ptr,
  mmio_bus: kvm_io_bus,
  pio_bus: kvm_io_bus,
  vpic: ptr,
  vioapic: ptr,
  round_robin_prev_vcpu: s32,
  tss_addr: u32,
  stat: kvm_vm_stat,
});
export type kvm = StructView<typeof kvm>;

/** What FXSAVE writes: it wants sixteen-byte alignment, and therefore vCPUs have a slab cache of their own (spec 2.7). */
export const i387_fxsave_struct = opaque('i387_fxsave_struct', 512, 16);

export const kvm_mmu = struct('kvm_mmu', {
  root_hpa: u64,
  /** one page of page-directory pointers */
  pae_root: ptr,
});

/** Owned by the task that holds `mutex`, except: `requests` is atomic, `cpu` and `guest_mode` are peeked at by others. */
export const kvm_vcpu = struct('kvm_vcpu', {
  kvm: ptr,
  preempt_notifier,
  vcpu_id: s32,
  mutex,
  /** where it ran last, and where its state may still be cached; -1 = nowhere */
  cpu: s32,
  host_tsc: u64,
  /** the page shared with user space */
  run: ptr,
  interrupt_window_open: s32,
  guest_mode: s32,
  requests: u32,
  mp_state: s32,
  regs: array(u64, NR_VCPU_REGS),
  rip: u64,
  cr0: u64,
  cr4: u64,
  cr8: u64,
  shadow_efer: u64,
  apic_base: u64,
  /** the in-kernel local APIC: always NULL here */
  apic: ptr,
  mmu: kvm_mmu,
  mmu_pte_chain_cache: kvm_mmu_memory_cache,
  mmu_rmap_desc_cache: kvm_mmu_memory_cache,
  mmu_page_cache: kvm_mmu_memory_cache,
  mmu_page_header_cache: kvm_mmu_memory_cache,
  fpu_active: s32,
  guest_fpu_loaded: s32,
  host_fx_image: i387_fxsave_struct,
  guest_fx_image: i387_fxsave_struct,
  pio_data: ptr,
  stat: kvm_vcpu_stat,
});
export type kvm_vcpu = StructView<typeof kvm_vcpu>;

/** What a vendor module can do: function pointers. Immutable. */
export const kvm_x86_ops_t = struct('kvm_x86_ops', {
  cpu_has_kvm_support: ptr,
  disabled_by_bios: ptr,
  hardware_enable: ptr,
  hardware_disable: ptr,
  check_processor_compatibility: ptr,
  hardware_setup: ptr,
  hardware_unsetup: ptr,
  vcpu_create: ptr,
  vcpu_free: ptr,
  vcpu_reset: ptr,
  prepare_guest_switch: ptr,
  vcpu_load: ptr,
  vcpu_put: ptr,
  vcpu_decache: ptr,
  cache_regs: ptr,
  decache_regs: ptr,
  get_rflags: ptr,
  set_rflags: ptr,
  tlb_flush: ptr,
  run: ptr,
  handle_exit: ptr,
  set_tss_addr: ptr,
});
export type kvm_x86_ops_t = StructView<typeof kvm_x86_ops_t>;

/** An error in a pointer's place: the last page of the address space belongs to nobody. */
const MAX_ERRNO = 4095;

export function ERR_PTR(error: number): Ptr {
  return error >>> 0;
}

export function PTR_ERR(pointer: Ptr): number {
  return pointer | 0;
}

/** NULL is no error: whoever asks only this does not notice it (spec 1.4). */
export function IS_ERR(pointer: Ptr): boolean {
  return pointer >>> 0 >= -MAX_ERRNO >>> 0;
}

/** A vCPU of the VM by its slot, or NULL. */
export function vcpu_slot(vm: kvm, slot: number): Ptr {
  return vm.vcpus.get(slot);
}

/** irqchip_in_kernel: never here, creating one is left out. */
export function irqchip_in_kernel(vm: kvm): boolean {
  return vm.vpic !== NULL;
}
