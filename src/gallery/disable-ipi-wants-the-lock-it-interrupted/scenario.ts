import { KVM_CREATE_VM, call, expect, scenario, shared } from 'smplab';

const dev_kvm = shared('dev_kvm');

export default scenario({
  name: 'a VM is made while the machine reboots',
  vendor: 'amd',
  cpus: 2,
  modules: ['kvm', 'kvm-amd'],
  races: 'ignore',
  setup(): void {
    dev_kvm.value = call('sys_open', 0, 0, 0, '/dev/kvm') as number;
    expect(dev_kvm.value < 1024, 'no /dev/kvm');
  },
  on: [
    function reboot(): void {
      call('kernel_restart_prepare', 0);
    },
    function create_vm(): void {
      call('sys_ioctl', dev_kvm.value, KVM_CREATE_VM, 0);
    },
  ],
});
