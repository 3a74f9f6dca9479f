/** With preemption off a CPU has its copy for itself, but for its own interrupts. */
import { DEFINE_PER_CPU, __get_cpu_var, get_cpu_var, per_cpu, put_cpu_var, scenario, u32 } from 'smplab';

export const hits = DEFINE_PER_CPU('hits', u32);

function hit(): void {
  const mine = get_cpu_var(hits);
  mine.value = mine.value + 1;
  put_cpu_var(hits);
}

function hit_by_interrupt(): void {
  const mine = __get_cpu_var(hits);
  mine.value = mine.value + 1;
}

export default scenario({
  on: [hit],
  interrupts: [{ cpu: 0, handler: hit_by_interrupt }],
  check: () => per_cpu(hits, 0).value === 2 || `${per_cpu(hits, 0).value} of 2 hits counted`,
});
