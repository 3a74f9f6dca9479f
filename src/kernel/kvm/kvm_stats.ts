/**
 * The 25 statistics in debugfs: sums over all VMs, or over all their vCPUs (spec 2.1).
 *
 * @linux drivers/kvm/{kvm_main,x86}.c, as of kvm-54
 * Leaves out: nothing known.
 */
import { NULL, type Ptr, array, ptr, u32, variableAt } from '#memory/struct';
import { list_head } from '#memory/list';
import { kernel_function } from '#memory/symbols';
import { spin_lock, spin_unlock } from '#smp/spinlock';
import {
  DEFINE_SIMPLE_ATTRIBUTE,
  address_of_fops,
  debugfs_create_dir,
  debugfs_create_file,
  debugfs_remove,
  simple_attribute,
} from '../debugfs.ts';
import { KVM_MAX_VCPUS, kvm, kvm_vcpu, kvm_vcpu_stat, kvm_vm_stat, vcpu_slot } from './kvm.ts';
import { kvm_ko } from './kvm_ko.ts';
import { kvm_lock, vm_list } from './kvm_main_vm.ts';

export const KVM_STAT_VM = 0;
export const KVM_STAT_VCPU = 1;

export interface kvm_stats_debugfs_item {
  readonly name: string;
  /** of the counter, from the start of struct kvm or struct kvm_vcpu */
  readonly offset: number;
  readonly kind: typeof KVM_STAT_VM | typeof KVM_STAT_VCPU;
}

function VM_STAT(name: string, field: keyof typeof kvm_vm_stat.fields): kvm_stats_debugfs_item {
  return { name, offset: kvm.offsetof('stat') + kvm_vm_stat.offsetof(field), kind: KVM_STAT_VM };
}

function VCPU_STAT(name: string, field: keyof typeof kvm_vcpu_stat.fields): kvm_stats_debugfs_item {
  return { name, offset: kvm_vcpu.offsetof('stat') + kvm_vcpu_stat.offsetof(field), kind: KVM_STAT_VCPU };
}

/** Name, place, kind: in the order the files are made and removed. The dentries are in memory, below. */
export const debugfs_entries: readonly kvm_stats_debugfs_item[] = Object.freeze([
  VCPU_STAT('pf_fixed', 'pf_fixed'),
  VCPU_STAT('pf_guest', 'pf_guest'),
  VCPU_STAT('tlb_flush', 'tlb_flush'),
  VCPU_STAT('invlpg', 'invlpg'),
  VCPU_STAT('exits', 'exits'),
  VCPU_STAT('io_exits', 'io_exits'),
  VCPU_STAT('mmio_exits', 'mmio_exits'),
  VCPU_STAT('signal_exits', 'signal_exits'),
  VCPU_STAT('irq_window', 'irq_window_exits'),
  VCPU_STAT('halt_exits', 'halt_exits'),
  VCPU_STAT('halt_wakeup', 'halt_wakeup'),
  VCPU_STAT('request_irq', 'request_irq_exits'),
  VCPU_STAT('irq_exits', 'irq_exits'),
  VCPU_STAT('host_state_reload', 'host_state_reload'),
  VCPU_STAT('efer_reload', 'efer_reload'),
  VCPU_STAT('fpu_reload', 'fpu_reload'),
  VCPU_STAT('insn_emulation', 'insn_emulation'),
  VCPU_STAT('insn_emulation_fail', 'insn_emulation_fail'),
  VM_STAT('mmu_shadow_zapped', 'mmu_shadow_zapped'),
  VM_STAT('mmu_pte_write', 'mmu_pte_write'),
  VM_STAT('mmu_pte_updated', 'mmu_pte_updated'),
  VM_STAT('mmu_pde_zapped', 'mmu_pde_zapped'),
  VM_STAT('mmu_flooded', 'mmu_flooded'),
  VM_STAT('mmu_recycled', 'mmu_recycled'),
  VM_STAT('remote_tlb_flush', 'remote_tlb_flush'),
]);

/** Overwritten by a second module's load, which has no way of knowing (spec 2.1). */
export const debugfs_dir = kvm_ko.DEFINE('debugfs_dir', ptr);
export const debugfs_entry_dentries = kvm_ko.DEFINE('debugfs_entries', array(ptr, 25));

function counter(address: Ptr): bigint {
  return BigInt(variableAt(u32, address).value);
}

/** A 64-bit sum of 32-bit counters that their owners go on changing. */
export const vm_stat_get = kernel_function('vm_stat_get', (offset: number): bigint => {
  let total = 0n;
  spin_lock(kvm_lock);
  for (let entry = vm_list.next; entry !== vm_list.addr; entry = list_head.at(entry).next) {
    total += counter(kvm.container(entry, 'vm_list').addr + offset);
  }
  spin_unlock(kvm_lock);
  return total;
});

export const vcpu_stat_get = kernel_function('vcpu_stat_get', (offset: number): bigint => {
  let total = 0n;
  spin_lock(kvm_lock);
  for (let entry = vm_list.next; entry !== vm_list.addr; entry = list_head.at(entry).next) {
    const vm = kvm.container(entry, 'vm_list');
    for (let i = 0; i < KVM_MAX_VCPUS; ++i) {
      const vcpu = vcpu_slot(vm, i);
      if (vcpu !== NULL) total += counter(vcpu + offset);
    }
  }
  spin_unlock(kvm_lock);
  return total;
});

const vm_stat_fops = kvm_ko.DEFINE('vm_stat_fops', simple_attribute, DEFINE_SIMPLE_ATTRIBUTE(vm_stat_get));
const vcpu_stat_fops = kvm_ko.DEFINE(
  'vcpu_stat_fops',
  simple_attribute,
  DEFINE_SIMPLE_ATTRIBUTE(vcpu_stat_get),
);

/**
 * Nobody looks at an error here. Where another module has made the directory, debugfs answers NULL, which as a parent means
 * the root: the files are then made there.
 */
export const kvm_init_debug = kernel_function('kvm_init_debug', (): void => {
  debugfs_dir.value = debugfs_create_dir('kvm', NULL);
  for (let i = 0; i < debugfs_entries.length; i++) {
    const { name, offset, kind } = debugfs_entries[i]!;
    const fops = address_of_fops(kind === KVM_STAT_VM ? vm_stat_fops : vcpu_stat_fops);
    debugfs_entry_dentries.set(i, debugfs_create_file(name, 0o444, debugfs_dir.value, offset, fops));
  }
});

export const kvm_exit_debug = kernel_function('kvm_exit_debug', (): void => {
  for (let i = 0; i < debugfs_entries.length; i++) debugfs_remove(debugfs_entry_dentries.get(i));
  debugfs_remove(debugfs_dir.value);
});
