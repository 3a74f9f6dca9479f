/**
 * /dev/kvm and the files of VMs and vCPUs (spec 5.8, 5.9).
 *
 * The two latter have no owner at kvm-54: an open VM does not keep the module loaded (fixed in 2.6.29).
 *
 * @linux drivers/kvm/kvm_main.c, as of kvm-54
 * Leaves out, and answers -EINVAL to: all vCPU ioctls but RUN, GET_REGS and SET_REGS. mmap answers the address of the page
 * instead of mapping it.
 */
import { EEXIST, EFAULT, EINVAL, EIO } from '#base/errno';
import { atomic_inc } from '#memory/atomic';
import { stack_alloc } from '#memory/stack';
import { NULL, type Ptr, addressOf, ptr, struct } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { mutex_lock, mutex_unlock } from '#smp/mutex';
import { current_task } from '#smp/sched';
import { anon_inode_getfd } from '../anon_inodes.ts';
import { copy_from_user, copy_to_user, file, file_operations, fput } from '../file.ts';
import { PAGE_SIZE } from '../page_alloc.ts';
import { preempt_notifier_init } from '../preempt_notifier.ts';
import {
  KVM_API_VERSION,
  KVM_CHECK_EXTENSION,
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_GET_API_VERSION,
  KVM_GET_DIRTY_LOG,
  KVM_GET_REGS,
  KVM_GET_VCPU_MMAP_SIZE,
  KVM_RUN,
  KVM_SET_REGS,
  KVM_SET_USER_MEMORY_REGION,
  kvm_dirty_log,
  kvm_regs,
  kvm_userspace_memory_region,
} from './kvm_abi.ts';
import { IS_ERR, KVM_MAX_VCPUS, PTR_ERR, kvm, kvm_vcpu } from './kvm.ts';
import { kvm_ko } from './kvm_ko.ts';
import { kvm_preempt_ops } from './kvm_main_vcpu.ts';
import {
  kvm_create_vm,
  kvm_destroy_vm,
  kvm_vm_ioctl_get_dirty_log,
  kvm_vm_ioctl_set_memory_region,
} from './kvm_main_vm.ts';
import { kvm_arch_dev_ioctl, kvm_arch_vm_ioctl, kvm_dev_ioctl_check_extension } from './x86_ioctl.ts';
import {
  kvm_arch_vcpu_create,
  kvm_arch_vcpu_destroy,
  kvm_arch_vcpu_ioctl_get_regs,
  kvm_arch_vcpu_ioctl_run,
  kvm_arch_vcpu_ioctl_set_regs,
  kvm_arch_vcpu_setup,
} from './x86_vcpu.ts';

function get_regs(vcpu: kvm_vcpu, argp: Ptr): number {
  const regs = stack_alloc(kvm_regs);
  const r = kvm_arch_vcpu_ioctl_get_regs(vcpu, regs);
  if (r !== 0) return r;
  return copy_to_user(argp, regs.addr, kvm_regs.size) === 0 ? 0 : -EFAULT;
}

function set_regs(vcpu: kvm_vcpu, argp: Ptr): number {
  const regs = stack_alloc(kvm_regs);
  if (copy_from_user(regs.addr, argp, kvm_regs.size) !== 0) return -EFAULT;
  return kvm_arch_vcpu_ioctl_set_regs(vcpu, regs);
}

export const kvm_vcpu_ioctl = kernel_function(
  'kvm_vcpu_ioctl',
  (filp: Ptr, ioctl: number, arg: number): number => {
    const vcpu = kvm_vcpu.at(file.at(filp).private_data);
    if (kvm.at(vcpu.kvm).mm !== current_task().mm) return -EIO;
    switch (ioctl >>> 0) {
      case KVM_RUN:
        return arg !== 0 ? -EINVAL : kvm_arch_vcpu_ioctl_run(vcpu);
      case KVM_GET_REGS:
        return get_regs(vcpu, arg);
      case KVM_SET_REGS:
        return set_regs(vcpu, arg);
      default:
        return -EINVAL;
    }
  },
);

/** The vCPU keeps its VM's file, and with it the VM. */
export const kvm_vcpu_release = kernel_function('kvm_vcpu_release', (_inode: Ptr, filp: Ptr): number => {
  const vcpu = kvm_vcpu.at(file.at(filp).private_data);
  fput(kvm.at(vcpu.kvm).filp);
  return 0;
});

/** Page 0 is the one shared for running, page 1 that for PIO. @returns the page's address */
export const kvm_vcpu_mmap = kernel_function('kvm_vcpu_mmap', (filp: Ptr, pgoff: number): number => {
  const vcpu = kvm_vcpu.at(file.at(filp).private_data);
  if (pgoff === 0) return vcpu.run;
  return pgoff === 1 ? vcpu.pio_data : -EINVAL;
});

export const kvm_vcpu_fops = kvm_ko.DEFINE('kvm_vcpu_fops', file_operations, {
  release: kvm_vcpu_release.addr,
  unlocked_ioctl: kvm_vcpu_ioctl.addr,
  compat_ioctl: kvm_vcpu_ioctl.addr,
  mmap: kvm_vcpu_mmap.addr,
});

/** The VM's filp is read here. kvm_dev_ioctl_create_vm stores it after the VM's descriptor works: it may be NULL still. */
export const create_vcpu_fd = kernel_function('create_vcpu_fd', (vcpu: kvm_vcpu): number => {
  const fd = anon_inode_getfd('kvm-vcpu', kvm_vcpu_fops.addr, vcpu.addr);
  if (fd < 0) return fd;
  atomic_inc(file.at(kvm.at(vcpu.kvm).filp).f_count);
  return fd;
});

/** Puts a vCPU into its slot, if that is free. */
function take_slot(vm: kvm, n: number, vcpu: kvm_vcpu): number {
  mutex_lock(vm.lock);
  const taken = vm.vcpus.get(n) !== NULL;
  if (!taken) vm.vcpus.set(n, vcpu.addr);
  mutex_unlock(vm.lock);
  return taken ? -EEXIST : 0;
}

/** A vCPU in slot n, as a file. */
export const kvm_vm_ioctl_create_vcpu = kernel_function(
  'kvm_vm_ioctl_create_vcpu',
  (vm: kvm, n: number): number => {
    if (n < 0 || n >= KVM_MAX_VCPUS) return -EINVAL;

    const address = kvm_arch_vcpu_create(vm, n);
    if (IS_ERR(address)) return PTR_ERR(address);
    const vcpu = kvm_vcpu.at(address);

    preempt_notifier_init(vcpu.preempt_notifier, kvm_preempt_ops.addr);

    let r: number;
    vcpu_destroy: {
      r = kvm_arch_vcpu_setup(vcpu);
      if (r !== 0) break vcpu_destroy; // which frees for the second time what setup has freed

      r = take_slot(vm, n, vcpu);
      if (r !== 0) break vcpu_destroy;

      // From here on others see it: it may be running before this returns.
      r = create_vcpu_fd(vcpu);
      if (r >= 0) return r;

      mutex_lock(vm.lock);
      vm.vcpus.set(n, NULL);
      mutex_unlock(vm.lock);
    }
    kvm_arch_vcpu_destroy(vcpu);
    return r;
  },
);

function set_user_memory_region(vm: kvm, argp: Ptr): number {
  const mem = stack_alloc(kvm_userspace_memory_region);
  if (copy_from_user(mem.addr, argp, kvm_userspace_memory_region.size) !== 0) return -EFAULT;
  return kvm_vm_ioctl_set_memory_region(vm, mem, 1);
}

function get_dirty_log(vm: kvm, argp: Ptr): number {
  const log = stack_alloc(kvm_dirty_log);
  if (copy_from_user(log.addr, argp, kvm_dirty_log.size) !== 0) return -EFAULT;
  return kvm_vm_ioctl_get_dirty_log(vm, log);
}

export const kvm_vm_ioctl = kernel_function(
  'kvm_vm_ioctl',
  (filp: Ptr, ioctl: number, arg: number): number => {
    const vm = kvm.at(file.at(filp).private_data);
    if (vm.mm !== current_task().mm) return -EIO;
    switch (ioctl >>> 0) {
      case KVM_CREATE_VCPU:
        return kvm_vm_ioctl_create_vcpu(vm, arg);
      case KVM_SET_USER_MEMORY_REGION:
        return set_user_memory_region(vm, arg);
      case KVM_GET_DIRTY_LOG:
        return get_dirty_log(vm, arg);
      default:
        return kvm_arch_vm_ioctl(vm, ioctl >>> 0, arg);
    }
  },
);

export const kvm_vm_release = kernel_function('kvm_vm_release', (_inode: Ptr, filp: Ptr): number => {
  kvm_destroy_vm(kvm.at(file.at(filp).private_data));
  return 0;
});

export const kvm_vm_fops = kvm_ko.DEFINE('kvm_vm_fops', file_operations, {
  release: kvm_vm_release.addr,
  unlocked_ioctl: kvm_vm_ioctl.addr,
  compat_ioctl: kvm_vm_ioctl.addr,
});

const file_on_stack = struct('struct file *', { value: ptr });

/** A VM, as a file. */
export const kvm_dev_ioctl_create_vm = kernel_function('kvm_dev_ioctl_create_vm', (): number => {
  const address = kvm_create_vm();
  if (IS_ERR(address)) return PTR_ERR(address);
  const vm = kvm.at(address);
  const filp = stack_alloc(file_on_stack);
  const fd = anon_inode_getfd('kvm-vm', kvm_vm_fops.addr, address, addressOf(filp, 'value'));
  if (fd < 0) {
    kvm_destroy_vm(vm);
    return fd;
  }
  // The descriptor works already: another task may create a vCPU, or close it, before this store.
  vm.filp = filp.value;
  return fd;
});

/** User space may use two pages of each vCPU. */
const VCPU_MMAP_BYTES = 2 * PAGE_SIZE;

export const kvm_dev_ioctl = kernel_function(
  'kvm_dev_ioctl',
  (filp: Ptr, ioctl: number, arg: number): number => {
    switch (ioctl >>> 0) {
      case KVM_GET_API_VERSION:
        return arg !== 0 ? -EINVAL : KVM_API_VERSION;
      case KVM_CREATE_VM:
        return arg !== 0 ? -EINVAL : kvm_dev_ioctl_create_vm();
      case KVM_CHECK_EXTENSION:
        return kvm_dev_ioctl_check_extension(arg);
      case KVM_GET_VCPU_MMAP_SIZE:
        return arg !== 0 ? -EINVAL : VCPU_MMAP_BYTES;
      default:
        return kvm_arch_dev_ioctl(filp, ioctl >>> 0, arg);
    }
  },
);

/** `owner` is the vendor module's, from KI-12 on. */
export const kvm_chardev_ops = kvm_ko.DEFINE('kvm_chardev_ops', file_operations, {
  unlocked_ioctl: kvm_dev_ioctl.addr,
  compat_ioctl: kvm_dev_ioctl.addr,
});
