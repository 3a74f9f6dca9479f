import {
  NULL,
  __get_cpu_var,
  array,
  call,
  current_vmcs,
  get_cpu,
  kernel_function,
  old_func,
  preempt_disable,
  preempt_enable,
  put_cpu,
  scenario,
  shared,
  struct,
  u32,
} from 'smplab';

/** The VM: its struct kvm; and its first vCPU. */
const vm = shared('vm');
const vcpu_a = shared('vcpu_a');

/** A VMCS as the hypervisor underneath reads it: what has not changed since the last entry need not be read again. */
export const hv_enlightened_vmcs = struct('hv_enlightened_vmcs', {
  revision_id: u32,
  abort: u32,
  fields: array(u32, 200),
  hv_clean_fields: u32,
});

/** One read of a per-CPU variable, whole; nothing is said about the next one. */
function this_cpu_read_current_vmcs(): number {
  preempt_disable();
  const vmcs = __get_cpu_var(current_vmcs).value;
  preempt_enable();
  return vmcs;
}

/** The MSR bitmap of the VMCS that this CPU has is no longer what the hypervisor underneath knows. */
export const evmcs_touch_msr_bitmap = kernel_function('evmcs_touch_msr_bitmap', (): void => {
  if (this_cpu_read_current_vmcs() === NULL) return;
  hv_enlightened_vmcs.at(this_cpu_read_current_vmcs()).hv_clean_fields = 0;
});

export default scenario({
  name: 'a vCPU is made on a CPU that still has another VMCS',
  vendor: 'intel',
  cpus: 2,
  modules: ['kvm', 'kvm-intel'],
  races: 'ignore',
  setup(): void {
    vm.value = call('kvm_create_vm') as number;
    vcpu_a.value = call('vmx_create_vcpu', vm.value, 0) as number;
  },
  patches: {
    // The new vCPU may read some MSRs itself: its bitmap is changed before its VMCS is loaded, with preemption on.
    vmx_create_vcpu(kvm: number, id: number): unknown {
      evmcs_touch_msr_bitmap();
      return old_func('vmx_create_vcpu')(kvm, id);
    },
  },
  on: [
    function create_vcpu_b(): void {
      call('vmx_create_vcpu', vm.value, 1);
    },
    function load_vcpu_a(): void {
      call('vmx_vcpu_load', vcpu_a.value, get_cpu());
      put_cpu();
    },
  ],
});
