import { call, old_func, scenario } from 'smplab';
import { create_vcpu, create_vm, open_dev_kvm, wait_for_dev_kvm } from '../internal/guest.ts';
import { anonInodesFirst } from '../internal/livepatches.ts';
import { init_vcpus_on_cpu, vcpusOnCpuLists } from '../internal/vcpus-on-cpu.ts';

export default scenario({
  name: 'a vCPU is made while kvm-intel loads',
  vendor: 'intel',
  cpus: 2,
  modules: ['kvm'],
  races: 'ignore',
  patches: {
    ...anonInodesFirst,
    ...vcpusOnCpuLists,
    vmx_init(): unknown {
      const result = old_func('vmx_init')();
      // /dev/kvm is there already.
      init_vcpus_on_cpu();
      return result;
    },
  },
  on: [
    function load(): void {
      call('sys_init_module', 0, 0, 0, 'kvm-intel');
    },
    function make_vcpu(): void {
      wait_for_dev_kvm();
      create_vcpu(create_vm(open_dev_kvm()), 0);
    },
  ],
});
