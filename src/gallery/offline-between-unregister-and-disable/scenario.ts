import { call, cpu_down, cpu_isset, cpus_hardware_enabled, scenario } from 'smplab';

export default scenario({
  name: 'kvm-amd is unloaded while a CPU goes offline',
  vendor: 'amd',
  cpus: 3,
  modules: ['kvm', 'kvm-amd'],
  races: 'ignore',
  on: [
    function unload(): void {
      call('sys_delete_module', 0, 0, 0, 'kvm-amd');
    },
    function offline(): void {
      cpu_down(2);
    },
  ],
  check: () =>
    !cpu_isset(2, cpus_hardware_enabled) || 'kvm-amd is gone, and CPU 2 is marked enabled for the next load',
});
