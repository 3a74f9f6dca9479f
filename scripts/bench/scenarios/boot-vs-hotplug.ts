/** kvm-intel loads, which is kvm_init with all it does on every CPU, while a CPU goes offline and comes back. */
import { call, cpu_down, cpu_up, expect, scenario } from 'smplab';

export default scenario({
  name: 'kvm_init against one hotplug',
  cpus: 3,
  vendor: 'intel',
  modules: ['kvm'],
  races: 'ignore',
  stepsMax: 60_000,
  on: {
    0: function hotplug(): void {
      cpu_down(2);
      expect(cpu_up(2) === 0, 'CPU 2 does not come back');
    },
    1: function load(): void {
      call('sys_init_module', 0, 0, 0, 'kvm-intel');
    },
  },
});
