import { cpu_down, cpu_isset, cpu_online, cpu_up, cpus_hardware_enabled, scenario, svm_is_on } from 'smplab';

export default scenario({
  name: 'a CPU goes offline and comes back under kvm-amd',
  vendor: 'amd',
  cpus: 3,
  modules: ['kvm', 'kvm-amd'],
  races: 'ignore',
  on: [
    function offline_online(): void {
      cpu_down(2);
      cpu_up(2);
    },
  ],
  check: () =>
    !cpu_online(2) ||
    !cpu_isset(2, cpus_hardware_enabled) ||
    svm_is_on(2) ||
    'CPU 2 has come back marked enabled, and its virtualization is off',
});
