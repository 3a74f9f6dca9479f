import {
  NULL,
  READ_ONCE,
  call,
  cpu_down,
  cpu_up,
  expect,
  raw_smp_processor_id,
  scenario,
  shared,
  vmx_is_on,
} from 'smplab';
import { create_vm, open_dev_kvm } from '../internal/guest.ts';
import { enabledOnDemand, kvm_usage_count } from '../internal/on-demand.ts';

const dev_kvm = shared('dev_kvm');

export default scenario({
  name: 'the first VM is made while a CPU comes online, and is told of both ways',
  vendor: 'intel',
  cpus: 3,
  modules: ['kvm', 'kvm-intel'],
  races: 'ignore',
  patches: {
    ...enabledOnDemand,
    // Without cpus_hardware_enabled, which hides it.
    hardware_enable(): void {
      if (READ_ONCE(kvm_usage_count, 'value') === 0) return;
      expect(!vmx_is_on(raw_smp_processor_id()), 'VMXON on a CPU that is in VMX operation already');
      call('kvm_arch_hardware_enable', NULL);
    },
  },
  setup(): void {
    dev_kvm.value = open_dev_kvm();
    // It had been online when kvm-intel was loaded: it has its region.
    cpu_down(2);
  },
  on: [
    function first_vm(): void {
      create_vm(dev_kvm.value);
    },
    function online(): void {
      cpu_up(2);
    },
  ],
});
