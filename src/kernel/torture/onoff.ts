/** Takes a CPU off and on again and again. @linux kernel/torture.c (torture_onoff), as of 3.15 (the idea) */
import { kernel_function } from '#memory/symbols';
import { cpu_down, cpu_up } from '#smp/cpu';

/** `cycles` times down and up; answers the first error. */
export const hotplug_torture = kernel_function('hotplug_torture', (cpu: number, cycles: number): number => {
  for (let cycle = 0; cycle < cycles; cycle++) {
    const error = cpu_down(cpu) || cpu_up(cpu);
    if (error !== 0) return error;
  }
  return 0;
});
