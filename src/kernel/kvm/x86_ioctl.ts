/**
 * x86's part of what user space can ask of /dev/kvm and of a VM (spec 5.9).
 *
 * @linux drivers/kvm/x86.c, as of kvm-54
 * Leaves out, and answers -EINVAL to: memory aliases, supported CPUID, the in-kernel interrupt chips.
 */
import { E2BIG, EFAULT, EINVAL } from '#base/errno';
import { stack_alloc } from '#memory/stack';
import { type Ptr, u32 } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import { copy_from_user, copy_to_user } from '../file.ts';
import { PAGE_SIZE } from '../page_alloc.ts';
import {
  KVM_CAP_EXT_CPUID,
  KVM_CAP_HLT,
  KVM_CAP_IRQCHIP,
  KVM_CAP_MMU_SHADOW_CACHE_CONTROL,
  KVM_CAP_SET_TSS_ADDR,
  KVM_CAP_USER_MEMORY,
  KVM_GET_MSR_INDEX_LIST,
  KVM_GET_NR_MMU_PAGES,
  KVM_SET_MEMORY_REGION,
  KVM_SET_NR_MMU_PAGES,
  KVM_SET_TSS_ADDR,
  kvm_memory_region,
  kvm_msr_list,
  kvm_userspace_memory_region,
} from './kvm_abi.ts';
import { KVM_MIN_ALLOC_MMU_PAGES, type kvm } from './kvm.ts';
import { kvm_vm_ioctl_set_memory_region } from './kvm_main_vm.ts';
import { NUM_EMULATED_MSRS, emulated_msrs, msrs_to_save, num_msrs_to_save, x86_ops } from './x86.ts';

export const kvm_dev_ioctl_check_extension = kernel_function(
  'kvm_dev_ioctl_check_extension',
  (ext: number): number => {
    switch (ext) {
      case KVM_CAP_IRQCHIP:
      case KVM_CAP_HLT:
      case KVM_CAP_MMU_SHADOW_CACHE_CONTROL:
      case KVM_CAP_USER_MEMORY:
      case KVM_CAP_SET_TSS_ADDR:
      case KVM_CAP_EXT_CPUID:
        return 1;
      default:
        return 0;
    }
  },
);

/**
 * The list of MSRs. Two defects of kvm-54: room is asked for the saved ones only, though the emulated one is written too;
 * and that one's place is counted in bytes and then scaled as if in words, so it lands three lists further on.
 */
export const kvm_get_msr_index_list = kernel_function(
  'kvm_get_msr_index_list',
  (user_msr_list: Ptr): number => {
    const msr_list = stack_alloc(kvm_msr_list);
    if (copy_from_user(msr_list.addr, user_msr_list, kvm_msr_list.size) !== 0) return -EFAULT;
    const n = msr_list.nmsrs;
    const saved = num_msrs_to_save.value;
    msr_list.nmsrs = saved + NUM_EMULATED_MSRS;
    if (copy_to_user(user_msr_list, msr_list.addr, kvm_msr_list.size) !== 0) return -EFAULT;
    if (n < saved) return -E2BIG;

    const indices = user_msr_list + kvm_msr_list.size;
    if (copy_to_user(indices, msrs_to_save().addr, saved * u32.size) !== 0) return -EFAULT;
    const misplaced = indices + saved * u32.size * u32.size;
    if (copy_to_user(misplaced, emulated_msrs.addr, NUM_EMULATED_MSRS * u32.size) !== 0) return -EFAULT;
    return 0;
  },
);

export const kvm_arch_dev_ioctl = kernel_function(
  'kvm_arch_dev_ioctl',
  (_filp: Ptr, ioctl: number, arg: Ptr): number =>
    ioctl === KVM_GET_MSR_INDEX_LIST ? kvm_get_msr_index_list(arg) : -EINVAL,
);

/** Three pages of guest memory for the real-mode TSS that VMX needs, below 4 GiB. */
const TSS_ADDR_LIMIT = 0x1_0000_0000 - 3 * PAGE_SIZE;

export const kvm_vm_ioctl_set_tss_addr = kernel_function(
  'kvm_vm_ioctl_set_tss_addr',
  (vm: kvm, addr: number): number => {
    if (addr >>> 0 > TSS_ADDR_LIMIT) return -1;
    return call_pointer(x86_ops().set_tss_addr, vm.addr, addr >>> 0) as number;
  },
);

export const kvm_vm_ioctl_set_nr_mmu_pages = kernel_function(
  'kvm_vm_ioctl_set_nr_mmu_pages',
  (vm: kvm, kvm_nr_mmu_pages: number): number => {
    if (kvm_nr_mmu_pages < KVM_MIN_ALLOC_MMU_PAGES) return -EINVAL;
    mutex_lock(vm.lock);
    vm.n_alloc_mmu_pages = kvm_nr_mmu_pages;
    mutex_unlock(vm.lock);
    return 0;
  },
);

/** A region that KVM allocates itself: the older form. */
function set_memory_region(vm: kvm, argp: Ptr): number {
  const kvm_mem = stack_alloc(kvm_memory_region);
  if (copy_from_user(kvm_mem.addr, argp, kvm_memory_region.size) !== 0) return -EFAULT;
  const kvm_userspace_mem = stack_alloc(kvm_userspace_memory_region);
  kvm_userspace_mem.slot = kvm_mem.slot;
  kvm_userspace_mem.flags = kvm_mem.flags;
  kvm_userspace_mem.guest_phys_addr = kvm_mem.guest_phys_addr;
  kvm_userspace_mem.memory_size = kvm_mem.memory_size;
  kvm_userspace_mem.userspace_addr = 0n;
  return kvm_vm_ioctl_set_memory_region(vm, kvm_userspace_mem, 0);
}

export const kvm_arch_vm_ioctl = kernel_function(
  'kvm_arch_vm_ioctl',
  (vm: kvm, ioctl: number, arg: number): number => {
    switch (ioctl) {
      case KVM_SET_TSS_ADDR:
        return kvm_vm_ioctl_set_tss_addr(vm, arg);
      case KVM_SET_MEMORY_REGION:
        return set_memory_region(vm, arg);
      case KVM_SET_NR_MMU_PAGES:
        return kvm_vm_ioctl_set_nr_mmu_pages(vm, arg);
      case KVM_GET_NR_MMU_PAGES:
        return vm.n_alloc_mmu_pages;
      default:
        return -EINVAL;
    }
  },
);
