import { CPU_ONLINE, NOTIFY_OK, type Ptr, cpu_online, cpu_up, scenario, shared, svm_is_on } from 'smplab';
import { create_vm, open_dev_kvm } from '../internal/guest.ts';
import { enabledWhileStarting, svmDataForPossibleCpus } from '../internal/livepatches.ts';
import { enabledOnDemand, kvm_usage_count } from '../internal/on-demand.ts';

const dev_kvm = shared('dev_kvm');

export default scenario({
  name: 'the first VM is made while a CPU comes online',
  vendor: 'amd',
  cpus: 3,
  online: 2,
  modules: ['kvm', 'kvm-amd'],
  races: 'ignore',
  patches: {
    ...svmDataForPossibleCpus,
    ...enabledOnDemand,
    ...enabledWhileStarting,
    // That is all: nothing is left for the event of a CPU that is online.
    kvm_cpu_hotplug(nb: Ptr, action: number, cpu: number): unknown {
      return action === CPU_ONLINE ? NOTIFY_OK : enabledWhileStarting.kvm_cpu_hotplug(nb, action, cpu);
    },
  },
  setup(): void {
    dev_kvm.value = open_dev_kvm();
  },
  on: [
    function first_vm(): void {
      create_vm(dev_kvm.value);
    },
    function online(): void {
      cpu_up(2);
    },
  ],
  check: () =>
    !cpu_online(2) ||
    kvm_usage_count.value === 0 ||
    svm_is_on(2) ||
    'there is a VM, CPU 2 is online, and nobody has enabled its virtualization',
});
