import { KVM_RUN, call, cpu_down, scenario, shared } from 'smplab';
import { create_vcpu, create_vm, open_dev_kvm } from '../internal/guest.ts';

const vcpu = shared('vcpu_fd');

export default scenario({
  name: 'CPU 0 is to go offline, and refuses after KVM has been told that it goes',
  vendor: 'intel',
  cpus: 2,
  modules: ['kvm', 'kvm-intel'],
  races: 'ignore',
  setup(): void {
    vcpu.value = create_vcpu(create_vm(open_dev_kvm()), 0);
  },
  on: [
    function run(): void {
      call('sys_ioctl', vcpu.value, KVM_RUN, 0);
    },
    function offline(): void {
      cpu_down(0);
    },
  ],
});
