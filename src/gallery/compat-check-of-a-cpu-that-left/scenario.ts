import { NULL, call, cpu_down, per_cpu, scenario, shared, vmxarea } from 'smplab';

const result = shared('result');

export default scenario({
  name: 'kvm-intel loads while the CPU that does not fit goes offline',
  vendor: 'intel',
  cpus: 3,
  // One CPU offers fewer controls than the others: its compatibility check is to refuse the module.
  quirks: { 2: 'D2' },
  modules: ['kvm'],
  races: 'ignore',
  on: [
    function load(): void {
      result.value = call('sys_init_module', 0, 0, 0, 'kvm-intel') as number;
    },
    function offline(): void {
      cpu_down(2);
    },
  ],
  // A CPU that was gone before set-up was not KVM's concern: it has no region.
  check: () =>
    result.value !== 0 ||
    per_cpu(vmxarea, 2).value === NULL ||
    'kvm-intel is loaded and has set CPU 2 up, which no compatibility check has looked at',
});
