import { KVM_CREATE_VM, call, scenario } from 'smplab';
import { wait_for_dev_kvm } from '../internal/guest.ts';

export default scenario({
  name: 'a VM is made while kvm-amd loads',
  vendor: 'amd',
  cpus: 2,
  modules: ['kvm'],
  races: 'ignore',
  on: [
    function load(): void {
      call('sys_init_module', 0, 0, 0, 'kvm-amd');
    },
    function create_vm(): void {
      wait_for_dev_kvm();
      const dev_kvm = call('sys_open', 0, 0, 0, '/dev/kvm') as number;
      if (dev_kvm >= 0) call('sys_ioctl', dev_kvm, KVM_CREATE_VM, 0);
    },
  ],
});
