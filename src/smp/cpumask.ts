/** The machine's CPU maps. @linux include/linux/cpumask.h, as of 2.6.24 (spec 6.8) */
import { NR_CPUS, cpu_isset, cpumask_t, cpus_weight, first_cpu, next_cpu } from '#memory/cpumask';
import { vmlinux } from '#memory/image';

export {
  NR_CPUS,
  cpu_clear,
  cpu_isset,
  cpu_set,
  cpu_test_and_set,
  cpumask_t,
  cpus_and,
  cpus_clear,
  cpus_copy,
  cpus_empty,
  cpus_equal,
  cpus_intersects,
  cpus_weight,
  first_cpu,
  next_cpu,
} from '#memory/cpumask';

/** CPUs that can ever be there. Immutable after boot. */
export const cpu_possible_map = vmlinux.DEFINE('cpu_possible_map', cpumask_t);
/** CPUs that are plugged in. Immutable after boot (physical hotplug is left out). */
export const cpu_present_map = vmlinux.DEFINE('cpu_present_map', cpumask_t);
/** CPUs that can be scheduled on. Bits are set under call_lock (7.5) and cleared in stop-machine (7.6). */
export const cpu_online_map = vmlinux.DEFINE('cpu_online_map', cpumask_t);

/** @plain */
export function cpu_online(cpu: number): boolean {
  return cpu_isset(cpu, cpu_online_map);
}

export function cpu_possible(cpu: number): boolean {
  return cpu >= 0 && cpu < NR_CPUS && cpu_isset(cpu, cpu_possible_map);
}

/** @plain */
export function cpu_present(cpu: number): boolean {
  return cpu_isset(cpu, cpu_present_map);
}

export function num_online_cpus(): number {
  return cpus_weight(cpu_online_map);
}

/** First online CPU, and the next after one: the live map at every step, no lock. NR_CPUS ends the walk. */
export function first_online_cpu(): number {
  return first_cpu(cpu_online_map);
}

export function next_online_cpu(cpu: number): number {
  return next_cpu(cpu, cpu_online_map);
}
