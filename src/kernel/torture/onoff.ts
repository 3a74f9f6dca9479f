/** Takes CPUs off and on again and again. @linux kernel/torture.c (torture_onoff), as of 3.15 (the idea) */
import { kernel_function } from '#memory/symbols';
import { cpu_down, cpu_up } from '#smp/cpu';
import { cpu_online } from '#smp/cpumask';
import {
  torture_count,
  torture_count_here,
  torture_now,
  torture_random,
  torture_stopping,
} from './smptorture.ts';

/** `cycles` times down and up; answers the first error. */
export const hotplug_torture = kernel_function('hotplug_torture', (cpu: number, cycles: number): number => {
  for (let cycle = 0; cycle < cycles; cycle++) {
    const error = cpu_down(cpu) || cpu_up(cpu);
    if (error !== 0) return error;
  }
  return 0;
});

const CPU_DOWN = 0;
const CPU_UP = 1;

/**
 * A caller takes any of the first `cpus` CPUs off, or on if it finds it off, `ops` times. Others do the same, and may have been
 * faster: then the answer is an error, and nothing has happened.
 */
export const onoff_torture = kernel_function(
  'onoff_torture',
  (slot: number, ops: number, cpus: number): number => {
    let made = 0;
    while (made < ops && !torture_stopping()) {
      const cpu = torture_random(slot, cpus);
      const begin = torture_now();
      const down = cpu_online(cpu);
      const error = down ? cpu_down(cpu) : cpu_up(cpu);
      torture_count(down ? CPU_DOWN : CPU_UP, error, torture_now() - begin);
      torture_count_here();
      made++;
    }
    return made;
  },
);
