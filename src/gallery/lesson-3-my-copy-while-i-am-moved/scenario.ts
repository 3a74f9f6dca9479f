/**
 * A task looks for its CPU's copy, and is moved before it has counted there. What a CPU has counted is taken over when it is
 * dead, as vm_events_fold_cpu() does; the task then counts in a copy that nobody looks at any more.
 */
import {
  CPU_DEAD,
  DEFINE,
  DEFINE_PER_CPU,
  NOTIFY_OK,
  __get_cpu_var,
  cpu_down,
  cpu_online,
  kernel_function,
  notifier_block,
  per_cpu,
  register_cpu_notifier,
  scenario,
  shared,
  u32,
} from 'smplab';

const CPUS = 3;
export const hits = DEFINE_PER_CPU('hits', u32);
/** Of CPUs that are dead. Written under cpu_add_remove_lock. */
const taken_over = shared('taken_over');
const hits_nb = DEFINE('hits_nb', notifier_block);

const hits_callback = kernel_function('hits_callback', (_nb: number, action: number, cpu: number): number => {
  if (action !== CPU_DEAD) return NOTIFY_OK;
  taken_over.value = taken_over.value + per_cpu(hits, cpu).value;
  per_cpu(hits, cpu).value = 0;
  return NOTIFY_OK;
});

function hit(): void {
  const mine = __get_cpu_var(hits);
  mine.value = mine.value + 1;
}

export default scenario({
  cpus: CPUS,
  races: 'ignore',
  stepsMax: 60_000,
  setup(): void {
    hits_nb.notifier_call = hits_callback.addr;
    register_cpu_notifier(hits_nb);
  },
  on: [
    function offline(): void {
      cpu_down(1);
    },
    hit,
  ],
  check: () => {
    let sum = taken_over.value;
    for (let cpu = 0; cpu < CPUS; cpu++) if (cpu_online(cpu)) sum += per_cpu(hits, cpu).value;
    return sum === 1 || `${sum} of 1 hit counted`;
  },
});
