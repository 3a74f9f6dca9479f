import {
  KVM_EXIT_FAIL_ENTRY,
  KVM_RUN,
  type Ptr,
  call,
  cpu_down,
  expect,
  kvm_run,
  scenario,
  shared,
} from 'smplab';
import { create_vcpu, create_vm, open_dev_kvm, run_on } from '../internal/guest.ts';

const vcpu = shared('vcpu_fd');
/** The page that the vCPU shares with user space. */
const run_page = shared('run_page');

export default scenario({
  name: 'a vCPU goes on elsewhere while the CPU that it ran on last goes offline',
  vendor: 'intel',
  cpus: 3,
  modules: ['kvm', 'kvm-intel'],
  races: 'ignore',
  setup(): void {
    vcpu.value = create_vcpu(create_vm(open_dev_kvm()), 0);
    run_page.value = call('sys_mmap', vcpu.value, 0) as Ptr;
    // CPU 2 keeps the VMCS, which is launched there.
    run_on(2);
    call('sys_ioctl', vcpu.value, KVM_RUN, 0);
    run_on(0);
  },
  on: [
    function run(): void {
      call('sys_ioctl', vcpu.value, KVM_RUN, 0);
      const { exit_reason } = kvm_run.at(run_page.value);
      expect(exit_reason !== KVM_EXIT_FAIL_ENTRY, 'VM entry has failed: CPU 2 was left without a VMCLEAR');
    },
    function offline(): void {
      cpu_down(2);
    },
  ],
});
