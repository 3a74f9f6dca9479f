import { KVM_RUN, call, cpu_down, cpu_up, scenario, shared, to_svm, vmcb_of } from 'smplab';
import { create_vcpu, create_vm, newest_vcpu, open_dev_kvm, run_on } from '../internal/guest.ts';
import { enabledWhileStarting, svmDataForPossibleCpus } from '../internal/livepatches.ts';

const vcpu_a = shared('vcpu_a');
const vcpu_b = shared('vcpu_b');
const fd_a = shared('vcpu_a_fd');
const fd_b = shared('vcpu_b_fd');

export default scenario({
  name: 'a CPU goes offline and comes back between two entries of one vCPU',
  vendor: 'amd',
  cpus: 3,
  modules: ['kvm', 'kvm-amd'],
  races: 'ignore',
  patches: {
    // Each CPU keeps its data: what comes back is the same ASID pool.
    ...svmDataForPossibleCpus,
    // No vCPU runs on a CPU that is not enabled yet, which is another entry.
    ...enabledWhileStarting,
  },
  setup(): void {
    const dev_kvm = open_dev_kvm();
    fd_a.value = create_vcpu(create_vm(dev_kvm), 0);
    vcpu_a.value = newest_vcpu();
    fd_b.value = create_vcpu(create_vm(dev_kvm), 0);
    vcpu_b.value = newest_vcpu();
    // A has an ASID of CPU 2 from now on.
    run_on(2);
    call('sys_ioctl', fd_a.value, KVM_RUN, 0);
    run_on(0);
  },
  on: [
    function run_both(): void {
      run_on(2);
      call('sys_ioctl', fd_b.value, KVM_RUN, 0);
      call('sys_ioctl', fd_a.value, KVM_RUN, 0);
    },
    function offline_online(): void {
      cpu_down(2);
      cpu_up(2);
    },
  ],
  check(): true | string {
    const a = to_svm(vcpu_a.value);
    const b = to_svm(vcpu_b.value);
    // A vCPU that ran elsewhere has an ASID of another pool.
    if (a.vcpu.cpu !== 2 || b.vcpu.cpu !== 2 || a.asid_generation !== b.asid_generation) return true;
    return (
      vmcb_of(a).asid !== vmcb_of(b).asid ||
      'two VMs have the same ASID on CPU 2, and with it the same TLB entries'
    );
  },
});
