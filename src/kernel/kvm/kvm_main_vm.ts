/**
 * Virtual machines: the list of all, creation and destruction, and what guest memory is registered (spec 5.8).
 *
 * @linux drivers/kvm/kvm_main.c and x86.c, as of kvm-54
 * Leaves out: memory aliases, the rmap of shadow entries beyond its allocation, private memory of a kernel-made region
 * (a region that user space did not bring is one block of pages here, not an anonymous mapping), the buses' devices.
 */
import { EEXIST, EFAULT, EINVAL, ENOENT, ENOMEM } from '#base/errno';
import { list_add, list_del } from '#memory/list';
import { NULL, type Ptr, memset, ptr } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import { current_task } from '#smp/sched';
import { spin_lock, spin_unlock, spinlock_t } from '#smp/spinlock';
import { copy_to_user } from '../file.ts';
import {
  GFP_KERNEL,
  MAX_ORDER,
  PAGE_SHIFT,
  PAGE_SIZE,
  __GFP_COMP,
  __GFP_NOWARN,
  __GFP_ZERO,
  __get_free_pages,
  free_pages,
  get_page,
  page_address,
  put_page,
  virt_to_page,
} from '../page_alloc.ts';
import { kfree, kzalloc } from '../slab.ts';
import { KVM_MEM_LOG_DIRTY_PAGES, type kvm_dirty_log, type kvm_userspace_memory_region } from './kvm_abi.ts';
import {
  ERR_PTR,
  KVM_MAX_VCPUS,
  KVM_MEMORY_SLOTS,
  KVM_PRIVATE_MEM_SLOTS,
  kvm,
  type kvm_io_bus,
  kvm_memory_slot,
  kvm_vcpu,
  vcpu_slot,
} from './kvm.ts';
import { LIST_HEAD, kvm_ko } from './kvm_ko.ts';
import { kvm_flush_remote_tlbs, vcpu_load, vcpu_put } from './kvm_main_vcpu.ts';
import { kvm_mmu_slot_remove_write_access, kvm_mmu_unload } from './mmu.ts';
import { kvm_arch_vcpu_free } from './x86.ts';

/** Guards vm_list. Taken with interrupts on by tasks, and in an IPI by reboot: the self-deadlock of spec 5.2. */
export const kvm_lock = kvm_ko.DEFINE('kvm_lock', spinlock_t);
/** Every VM. Guarded by kvm_lock. */
export const vm_list = LIST_HEAD(kvm_ko, 'vm_list');

/** A zeroed page that stands for "no such guest memory". A struct page; NULL while no vendor module is loaded. */
export const bad_page = kvm_ko.DEFINE('bad_page', ptr);

export function is_error_page(page: Ptr): boolean {
  return page === bad_page.value;
}

function kvm_io_bus_init(bus: kvm_io_bus): void {
  memset(bus.addr, 0, bus.devs.addr - bus.addr + bus.devs.length * ptr.size);
}

/** Nobody registers a device, so there is none to destroy. */
function kvm_io_bus_destroy(bus: kvm_io_bus): void {
  bus.dev_count = 0;
}

/** Blocks of pages by size; the largest the allocator has. */
function get_order(size: number): number {
  let order = 0;
  while (PAGE_SIZE << order < size) order++;
  return order;
}

/**
 * Memory for a table or a region: NULL if there is no block so large. Compound: somebody may hold a reference on one of its pages,
 * and give it back, without the block being his.
 */
function vmalloc_pages(size: number): Ptr {
  const order = get_order(size);
  const gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | __GFP_COMP;
  return order >= MAX_ORDER ? NULL : __get_free_pages(gfp, order);
}

export const kvm_arch_create_vm = kernel_function('kvm_arch_create_vm', (): Ptr => {
  const vm = kzalloc(kvm.size, GFP_KERNEL);
  return vm === NULL ? ERR_PTR(-ENOMEM) : vm;
});

/** The new VM is on vm_list when this returns, long before anybody can name it. */
export const kvm_create_vm = kernel_function('kvm_create_vm', (): Ptr => {
  const address = kvm_arch_create_vm();
  if (address === ERR_PTR(-ENOMEM)) return address;
  const vm = kvm.at(address);
  // The external build takes no reference of the address space before 2.6.25: it only remembers it.
  vm.mm = current_task().mm;
  kvm_io_bus_init(vm.pio_bus);
  kvm_io_bus_init(vm.mmio_bus);
  spin_lock(kvm_lock);
  list_add(vm.vm_list, vm_list);
  spin_unlock(kvm_lock);
  return address;
});

function region_bytes(slot: kvm_memory_slot): number {
  return slot.npages << PAGE_SHIFT;
}

export const kvm_free_physmem_slot = kernel_function(
  'kvm_free_physmem_slot',
  (free: kvm_memory_slot): void => {
    if (free.rmap !== NULL) free_pages(free.rmap, get_order(free.npages * ptr.size));
    if (free.dirty_bitmap !== NULL) free_pages(free.dirty_bitmap, get_order(dirty_bytes(free.npages)));
    if (free.user_alloc === 0 && free.userspace_addr !== NULL) {
      free_pages(free.userspace_addr, get_order(region_bytes(free)));
    }
    free.npages = 0;
    free.rmap = NULL;
    free.dirty_bitmap = NULL;
    free.userspace_addr = NULL;
  },
);

export const kvm_free_physmem = kernel_function('kvm_free_physmem', (vm: kvm): void => {
  for (let i = 0; i < vm.nmemslots; ++i) kvm_free_physmem_slot(vm.memslots.at(i));
});

/** Every vCPU's shadow pages first, for one vCPU's may be in use by another; then the vCPUs. */
export const kvm_free_vcpus = kernel_function('kvm_free_vcpus', (vm: kvm): void => {
  for (let i = 0; i < KVM_MAX_VCPUS; ++i) {
    const slot = vcpu_slot(vm, i);
    if (slot !== NULL) kvm_unload_vcpu_mmu(kvm_vcpu.at(slot));
  }
  for (let i = 0; i < KVM_MAX_VCPUS; ++i) {
    const slot = vcpu_slot(vm, i);
    if (slot === NULL) continue;
    kvm_arch_vcpu_free(kvm_vcpu.at(slot));
    vm.vcpus.set(i, NULL);
  }
});

export const kvm_unload_vcpu_mmu = kernel_function('kvm_unload_vcpu_mmu', (vcpu: kvm_vcpu): void => {
  vcpu_load(vcpu);
  kvm_mmu_unload(vcpu);
  vcpu_put(vcpu);
});

export const kvm_arch_destroy_vm = kernel_function('kvm_arch_destroy_vm', (vm: kvm): void => {
  kfree(vm.vpic);
  kfree(vm.vioapic);
  kvm_free_vcpus(vm);
  kvm_free_physmem(vm);
  kfree(vm.addr);
});

export const kvm_destroy_vm = kernel_function('kvm_destroy_vm', (vm: kvm): void => {
  spin_lock(kvm_lock);
  list_del(vm.vm_list);
  spin_unlock(kvm_lock);
  kvm_io_bus_destroy(vm.pio_bus);
  kvm_io_bus_destroy(vm.mmio_bus);
  kvm_arch_destroy_vm(vm);
});

function dirty_bytes(npages: number): number {
  return Math.ceil(npages / 32) * 4;
}

export const gfn_to_memslot = kernel_function('gfn_to_memslot', (vm: kvm, gfn: number): Ptr => {
  for (let i = 0; i < vm.nmemslots; ++i) {
    const slot = vm.memslots.at(i);
    if (gfn >= slot.base_gfn && gfn < slot.base_gfn + slot.npages) return slot.addr;
  }
  return NULL;
});

/** The host page behind a guest frame, with a reference; bad_page where the guest has no memory. */
export const gfn_to_page = kernel_function('gfn_to_page', (vm: kvm, gfn: number): Ptr => {
  const address = gfn_to_memslot(vm, gfn);
  if (address === NULL) {
    get_page(bad_page.value);
    return bad_page.value;
  }
  const slot = kvm_memory_slot.at(address);
  const page = virt_to_page(slot.userspace_addr + ((gfn - slot.base_gfn) << PAGE_SHIFT));
  get_page(page);
  return page;
});

export const kvm_clear_guest_page = kernel_function(
  'kvm_clear_guest_page',
  (vm: kvm, gfn: number, offset: number, len: number): number => {
    const page = gfn_to_page(vm, gfn);
    if (is_error_page(page)) {
      put_page(page);
      return -EFAULT;
    }
    memset(page_address(page) + offset, 0, len);
    put_page(page);
    return 0;
  },
);

function overlaps_another_slot(vm: kvm, slot: number, base_gfn: number, npages: number): boolean {
  for (let i = 0; i < KVM_MEMORY_SLOTS; ++i) {
    if (i === slot) continue;
    const s = vm.memslots.at(i);
    if (!(base_gfn + npages <= s.base_gfn || base_gfn >= s.base_gfn + s.npages)) return true;
  }
  return false;
}

/** Allocates what a region needs. What it got stays in the slot, also when something else was not to be had. */
function allocate_region(slot: kvm_memory_slot, npages: number, flags: number, userspace_addr: Ptr): number {
  if (npages !== 0 && slot.rmap === NULL) {
    slot.rmap = vmalloc_pages(npages * ptr.size);
    if (slot.rmap === NULL) return -ENOMEM;
    slot.userspace_addr = slot.user_alloc === 0 ? vmalloc_pages(npages << PAGE_SHIFT) : userspace_addr;
    if (slot.userspace_addr === NULL && slot.user_alloc === 0) return -ENOMEM;
  }
  if ((flags & KVM_MEM_LOG_DIRTY_PAGES) !== 0 && slot.dirty_bitmap === NULL) {
    slot.dirty_bitmap = vmalloc_pages(dirty_bytes(npages));
    if (slot.dirty_bitmap === NULL) return -ENOMEM;
  }
  return 0;
}

/**
 * Enters, changes or removes (no pages) a region of guest memory, and makes every vCPU forget what it knew.
 * Must hold kvm->lock.
 */
export const __kvm_set_memory_region = kernel_function(
  '__kvm_set_memory_region',
  (vm: kvm, mem: kvm_userspace_memory_region, user_alloc: number): number => {
    const page_mask = BigInt(PAGE_SIZE - 1);
    if ((mem.memory_size & page_mask) !== 0n || (mem.guest_phys_addr & page_mask) !== 0n) return -EINVAL;
    if (mem.slot >= KVM_MEMORY_SLOTS + KVM_PRIVATE_MEM_SLOTS) return -EINVAL;
    if (BigInt.asUintN(64, mem.guest_phys_addr + mem.memory_size) < mem.guest_phys_addr) return -EINVAL;

    const memslot = vm.memslots.at(mem.slot);
    const base_gfn = Number(mem.guest_phys_addr >> BigInt(PAGE_SHIFT));
    const npages = Number(mem.memory_size >> BigInt(PAGE_SHIFT));
    const flags = npages === 0 ? mem.flags & ~KVM_MEM_LOG_DIRTY_PAGES : mem.flags;

    // A region that is there may not change its size, only go.
    if (npages !== 0 && memslot.npages !== 0 && npages !== memslot.npages) return -EINVAL;
    if (overlaps_another_slot(vm, mem.slot, base_gfn, npages)) return -EEXIST;

    if (npages === 0) {
      kvm_free_physmem_slot(memslot);
    } else {
      const is_new = memslot.npages === 0;
      if (is_new) memslot.user_alloc = user_alloc;
      memslot.npages = npages;
      const r = allocate_region(memslot, npages, flags, Number(mem.userspace_addr));
      if (r !== 0) {
        if (is_new) kvm_free_physmem_slot(memslot);
        return r;
      }
    }
    memslot.base_gfn = base_gfn;
    memslot.flags = flags;
    if (mem.slot >= vm.nmemslots) vm.nmemslots = mem.slot + 1;

    kvm_mmu_slot_remove_write_access(vm, mem.slot);
    kvm_flush_remote_tlbs(vm);
    return 0;
  },
);

export const kvm_set_memory_region = kernel_function(
  'kvm_set_memory_region',
  (vm: kvm, mem: kvm_userspace_memory_region, user_alloc: number): number => {
    mutex_lock(vm.lock);
    const r = __kvm_set_memory_region(vm, mem, user_alloc);
    mutex_unlock(vm.lock);
    return r;
  },
);

/** From user space: the kernel's own slots are out of reach. */
export const kvm_vm_ioctl_set_memory_region = kernel_function(
  'kvm_vm_ioctl_set_memory_region',
  (vm: kvm, mem: kvm_userspace_memory_region, user_alloc: number): number =>
    mem.slot >= KVM_MEMORY_SLOTS ? -EINVAL : kvm_set_memory_region(vm, mem, user_alloc),
);

/** Hands out a region's dirty bitmap and starts a new one. Nothing marks pages here: the guest writes none. */
export const kvm_vm_ioctl_get_dirty_log = kernel_function(
  'kvm_vm_ioctl_get_dirty_log',
  (vm: kvm, log: kvm_dirty_log): number => {
    if (log.slot >= KVM_MEMORY_SLOTS) return -EINVAL;
    mutex_lock(vm.lock);
    const memslot = vm.memslots.at(log.slot);
    let r = 0;
    if (memslot.dirty_bitmap === NULL) r = -ENOENT;
    else if (copy_to_user(Number(log.dirty_bitmap), memslot.dirty_bitmap, dirty_bytes(memslot.npages)) !== 0)
      r = -EFAULT;
    mutex_unlock(vm.lock);
    return r;
  },
);
