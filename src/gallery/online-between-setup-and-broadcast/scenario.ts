import {
  NULL,
  call,
  cpu_isset,
  cpu_up,
  cpus_hardware_enabled,
  kvm_cpu_notifier,
  per_cpu,
  scenario,
  shared,
  svm_data,
  cpu_notifier_registered,
} from 'smplab';

/** CPU 2 was online before KVM could be told of it. */
const untold = shared('untold');

export default scenario({
  name: 'kvm-amd loads while a CPU comes online: the broadcast finds a CPU that was not set up',
  vendor: 'amd',
  cpus: 3,
  online: 2,
  modules: ['kvm'],
  races: 'ignore',
  on: [
    function load(): void {
      call('sys_init_module', 0, 0, 0, 'kvm-amd');
    },
    function online(): void {
      cpu_up(2);
      if (!cpu_notifier_registered(kvm_cpu_notifier)) untold.value = 1;
    },
  ],
  check: () =>
    untold.value === 0 ||
    !cpu_isset(2, cpus_hardware_enabled) ||
    per_cpu(svm_data, 2).value !== NULL ||
    'CPU 2 is marked enabled, and has no svm_data: its virtualization is off',
});
