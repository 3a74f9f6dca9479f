import { KVM_CREATE_VM, NULL, call, kvm_dev, scenario } from 'smplab';

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
      // What a program does that udev starts for the new device.
      call(
        'wait_event',
        kvm_dev.list.addr,
        () => kvm_dev.list.next !== NULL && kvm_dev.list.next !== kvm_dev.list.addr,
      );
      const dev_kvm = call('sys_open', 0, 0, 0, '/dev/kvm') as number;
      if (dev_kvm >= 0) call('sys_ioctl', dev_kvm, KVM_CREATE_VM, 0);
    },
  ],
});
