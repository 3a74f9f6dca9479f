import { call, cpu_isset, cpu_online, cpu_up, cpus_hardware_enabled, scenario } from 'smplab';

export default scenario({
  name: 'kvm-amd loads while a CPU comes online',
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
    },
  ],
  check: () =>
    !cpu_online(2) ||
    cpu_isset(2, cpus_hardware_enabled) ||
    'CPU 2 is online, and nobody has enabled its virtualization',
});
