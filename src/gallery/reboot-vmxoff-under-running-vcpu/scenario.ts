import { KVM_RUN, LINUX_REBOOT_CMD_RESTART, call, scenario, shared } from 'smplab';
import { create_vcpu, create_vm, open_dev_kvm } from '../internal/guest.ts';

const vcpu = shared('vcpu_fd');

export default scenario({
  name: 'the machine restarts while a vCPU runs',
  vendor: 'intel',
  cpus: 2,
  modules: ['kvm', 'kvm-intel'],
  races: 'ignore',
  setup(): void {
    vcpu.value = create_vcpu(create_vm(open_dev_kvm()), 0);
  },
  on: [
    // As `reboot -f`: nobody has stopped the other tasks.
    function reboot(): void {
      call('sys_reboot', 0, 0, LINUX_REBOOT_CMD_RESTART, 0);
    },
    function run(): void {
      call('sys_ioctl', vcpu.value, KVM_RUN, 0);
    },
  ],
});
