import {
  KVM_CREATE_VM,
  LINUX_REBOOT_CMD_RESTART,
  call,
  expect,
  old_func,
  scenario,
  shared,
  vmx_is_on,
} from 'smplab';
import { open_dev_kvm } from '../internal/guest.ts';
import { enabledOnDemand } from '../internal/on-demand.ts';

const CPUS = 2;
const dev_kvm = shared('dev_kvm');

export default scenario({
  name: 'a VM is made while the machine restarts',
  vendor: 'intel',
  cpus: CPUS,
  modules: ['kvm', 'kvm-intel'],
  races: 'ignore',
  patches: {
    ...enabledOnDemand,
    // From here firmware has to get the other CPUs by INIT.
    machine_restart(): void {
      for (let cpu = 0; cpu < CPUS; cpu++)
        expect(!vmx_is_on(cpu), 'the machine restarts with a CPU in VMX operation, where INIT is blocked');
      old_func('machine_restart')();
    },
  },
  setup(): void {
    dev_kvm.value = open_dev_kvm();
  },
  on: [
    // As `reboot -f`: nobody has stopped the other tasks.
    function reboot(): void {
      call('sys_reboot', 0, 0, LINUX_REBOOT_CMD_RESTART, 0);
    },
    function first_vm(): void {
      call('sys_ioctl', dev_kvm.value, KVM_CREATE_VM, 0);
    },
  ],
});
