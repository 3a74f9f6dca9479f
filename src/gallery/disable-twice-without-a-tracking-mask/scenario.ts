import { NULL, call, cpu_down, raw_smp_processor_id, scenario } from 'smplab';

export default scenario({
  name: 'a CPU goes offline while the machine reboots',
  vendor: 'intel',
  cpus: 3,
  modules: ['kvm', 'kvm-intel'],
  races: 'ignore',
  patches: {
    // As it was up to 2.6.22: nobody remembers which CPUs are enabled.
    hardware_enable(): void {
      call('kvm_arch_hardware_enable', NULL);
    },
    hardware_disable(): void {
      call('decache_vcpus_on_cpu', raw_smp_processor_id());
      call('kvm_arch_hardware_disable', NULL);
    },
  },
  on: [
    function reboot(): void {
      call('kernel_restart_prepare', 0);
    },
    function offline(): void {
      cpu_down(2);
    },
  ],
});
