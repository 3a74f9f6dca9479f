/**
 * A task is told to go on on another CPU, which is free when its own task has ended, and back again: who takes its CPU,
 * and when, depends on what the others have done by then.
 */
import { cpu_set, cpumask_t, cpus_clear, scenario, set_cpus_allowed, shared, stack_alloc } from 'smplab';

const x = shared('x');

function bind_to(cpu: number): void {
  const mask = stack_alloc(cpumask_t);
  cpus_clear(mask);
  cpu_set(cpu, mask);
  set_cpus_allowed(mask);
}

export default scenario({
  name: 'a task goes to another CPU and back',
  races: 'ignore',
  cpus: 2,
  on: [
    function mover(): void {
      x.value = 1;
      bind_to(1);
      x.value = 2;
      bind_to(0);
      x.value = 3;
    },
    function other(): void {
      x.value = 10;
    },
  ],
});
