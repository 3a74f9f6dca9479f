/**
 * What scenarios about KVM read and patch: its state under the kernel's own names, CPU hotplug's lock and notifier chain,
 * and each CPU's virtualisation registers.
 */
import { MSR_NUMBERS, Msr } from '#memory/firmware';
import { bus } from '#memory/bus';
import { CpuWord, cpuBlock } from '#memory/layout';
import { NULL, READ_ONCE } from '#memory/struct';
import { unpatched } from '#memory/symbols';
import { cpu_chain } from '#smp/cpu';
import { notifier_block } from '#smp/notifier';

export { call_pointer } from '#memory/symbols';
export { cpu_add_remove_lock, cpu_chain } from '#smp/cpu';
export {
  __raw_notifier_call_chain,
  raw_notifier_chain_register,
  raw_notifier_chain_unregister,
} from '#smp/notifier';
export { set_cpus_allowed } from '#smp/sched';
export { read_cr4, write_cr4 } from '#kernel/processor';
export { rdmsr_safe, rdmsrl, wrmsr_safe, wrmsrl } from '#kernel/msr';
export { __free_page } from '#kernel/page_alloc';
export { module_put, try_module_get } from '#kernel/module';
export {
  LINUX_REBOOT_CMD_RESTART,
  SYSTEM_RESTART,
  SYSTEM_RUNNING,
  SYS_RESTART,
  system_state,
} from '#kernel/reboot';
export { file_operations, init_files } from '#kernel/file';
export { IS_ERR, KVM_MAX_VCPUS, kvm, kvm_vcpu, kvm_x86_ops_t, vcpu_slot } from '#kernel/kvm/kvm';
export {
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_EXIT_FAIL_ENTRY,
  KVM_RUN,
  KVM_SET_TSS_ADDR,
  kvm_run,
} from '#kernel/kvm/kvm_abi';
export { kvm_dev } from '#kernel/kvm/kvm_main';
export { kvm_vcpu_fops, kvm_vm_fops } from '#kernel/kvm/kvm_main_fd';
export {
  cpus_hardware_enabled,
  hardware_disable,
  hardware_enable,
  kvm_cpu_notifier,
} from '#kernel/kvm/kvm_main_hardware';
export { kvm_flush_remote_tlbs } from '#kernel/kvm/kvm_main_vcpu';
export { kvm_lock, vm_list } from '#kernel/kvm/kvm_main_vm';
export { mmu_page_header_cache, pte_chain_cache, rmap_desc_cache } from '#kernel/kvm/mmu';
export {
  MSR_EFER,
  MSR_EFER_SVME_MASK,
  MSR_FS_BASE,
  MSR_IA32_SYSENTER_ESP,
  MSR_VM_HSAVE_PA,
} from '#kernel/kvm/msr_index';
export { svm_cpu_data, svm_data, to_svm, vmcb_of } from '#kernel/kvm/svm_data';
export { current_vmcs, to_vmx, vcpu_vmx, vmxarea } from '#kernel/kvm/vmx_data';
export { __vcpu_clear } from '#kernel/kvm/vmx_vmcs';
export { kvm_x86_ops } from '#kernel/kvm/x86';

const EFER_SVME = 0x1000;
const EFER = CpuWord.MSRS + MSR_NUMBERS.indexOf(Msr.EFER) * 2;

function registerOf(cpu: number, word: number): number {
  return bus.loadLocal32(cpuBlock(bus.layout, cpu) + word * 4);
}

/** AMD: EFER.SVME of a CPU is set, so that VMRUN does not fault there. Read from outside, without a step: for checks. */
export function svm_is_on(cpu: number): boolean {
  return (registerOf(cpu, EFER) & EFER_SVME) !== 0;
}

/** Intel: a CPU is in VMX operation, so that VMPTRLD does not fault there, and INIT does not reach it. For checks. */
export function vmx_is_on(cpu: number): boolean {
  return registerOf(cpu, CpuWord.IN_VMX_ROOT) !== 0;
}

/** Whether a notifier is on the CPU chain now. No lock is taken: it may have changed by the time this is known. */
export function cpu_notifier_registered(nb: notifier_block): boolean {
  for (let at = READ_ONCE(cpu_chain, 'head'); at !== NULL; at = READ_ONCE(notifier_block.at(at), 'next')) {
    if (at === nb.addr) return true;
  }
  return false;
}

/** A kernel function as it is without the scenario's livepatch: what the patch's own code goes on to. */
// oxlint-disable-next-line typescript/no-explicit-any -- a function of any signature
export function old_func(name: string): (...args: any[]) => unknown {
  return unpatched(name);
}
