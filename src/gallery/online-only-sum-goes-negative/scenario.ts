import {
  DEFINE_PER_CPU,
  READ_ONCE,
  __get_cpu_var,
  cpu_down,
  cpu_online_map,
  expect,
  first_cpu,
  kernel_function,
  next_cpu,
  per_cpu,
  preempt_disable,
  preempt_enable,
  s32,
  scenario,
  shared,
  waitUntil,
  WRITE_ONCE,
} from 'smplab';

const CPUS = 2;

/** Processes made less processes gone, each counted where it happened. One CPU's share alone means nothing. */
export const process_counts = DEFINE_PER_CPU('process_counts', s32);
/** Processes there are, for the order of things: a process ends after it began. */
const children = shared('children');

function count(change: number): void {
  preempt_disable();
  __get_cpu_var(process_counts).value += change;
  preempt_enable();
}

const nr_processes = kernel_function('nr_processes', (): number => {
  let total = 0;
  for (let cpu = first_cpu(cpu_online_map); cpu < CPUS; cpu = next_cpu(cpu, cpu_online_map))
    total += per_cpu(process_counts, cpu).value;
  return total;
});

export default scenario({
  name: 'processes begin on one CPU and end on another, and the first one is unplugged',
  cpus: CPUS,
  races: 'ignore',
  on: [
    function exit_and_unplug(): void {
      waitUntil(() => READ_ONCE(children, 'value') === 3);
      for (let child = 0; child < 3; child++) count(-1);
      cpu_down(1);
      expect(nr_processes() === 0, 'the number of processes is wrong');
    },
    function fork(): void {
      for (let child = 0; child < 3; child++) count(1);
      WRITE_ONCE(children, 'value', 3);
    },
  ],
});
