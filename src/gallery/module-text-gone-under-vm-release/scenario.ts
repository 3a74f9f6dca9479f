import { NULL, call, expect, init_files, scenario, shared } from 'smplab';
import { create_vm, open_dev_kvm } from '../internal/guest.ts';

const O_NONBLOCK = 0o4000;

const vm = shared('vm_fd');

export default scenario({
  name: 'kvm-amd and kvm are unloaded while the last VM is released',
  vendor: 'amd',
  cpus: 2,
  modules: ['kvm', 'kvm-amd'],
  races: 'ignore',
  setup(): void {
    const dev_kvm = open_dev_kvm();
    vm.value = create_vm(dev_kvm);
    // The only descriptor that keeps the modules.
    expect(call('sys_close', dev_kvm) === 0, '/dev/kvm could not be closed');
  },
  on: [
    function close(): void {
      call('sys_close', vm.value);
    },
    function rmmod(): void {
      // Nothing of KVM is open any more, as far as anybody can see.
      const slot = init_files.fd.addressOf(vm.value);
      call('wait_event', slot, () => init_files.fd.get(vm.value) === NULL);
      call('sys_delete_module', 0, O_NONBLOCK, 0, 'kvm-amd');
      call('sys_delete_module', 0, O_NONBLOCK, 0, 'kvm');
    },
  ],
});
