import {
  NULL,
  call,
  cpu_down,
  cpu_isset,
  cpu_online,
  cpu_up,
  cpus_hardware_enabled,
  per_cpu,
  scenario,
  svm_data,
  svm_is_on,
} from 'smplab';

export default scenario({
  name: 'kvm-amd loads while a CPU goes offline and comes back',
  vendor: 'amd',
  cpus: 3,
  modules: ['kvm'],
  races: 'ignore',
  on: [
    function load(): void {
      call('sys_init_module', 0, 0, 0, 'kvm-amd');
    },
    function offline_online(): void {
      cpu_down(2);
      cpu_up(2);
    },
  ],
  // A CPU that lost its svm_data is another entry's: here it has it, and its bit, and KVM takes it for enabled.
  check: () =>
    !cpu_online(2) ||
    !cpu_isset(2, cpus_hardware_enabled) ||
    per_cpu(svm_data, 2).value === NULL ||
    svm_is_on(2) ||
    'CPU 2 has come back marked enabled, and its virtualization is off',
});
