import {
  DEFINE_PER_CPU,
  cpu_down,
  cpu_online_map,
  expect,
  first_cpu,
  get_cpu_var,
  kernel_function,
  kthread_create,
  kthread_stop,
  lock_cpu_hotplug,
  next_cpu,
  per_cpu,
  put_cpu_var,
  raw_smp_processor_id,
  scenario,
  u32,
  unlock_cpu_hotplug,
  wake_up_process,
} from 'smplab';

const CPUS = 3;

/** How often the work was done on each CPU. Its own, preemption off. */
const drained = DEFINE_PER_CPU('drained', u32);

/** The work: what is to happen once on each CPU. */
export const lru_add_drain_per_cpu = kernel_function('lru_add_drain_per_cpu', (): number => {
  get_cpu_var(drained).value += 1;
  put_cpu_var(drained);
  return 0;
});

/** Queues the work on every online CPU but `orig`, and waits for it. Must hold the hotplug lock. */
export function flush_on_others(orig: number): void {
  const workers: number[] = [];
  for (let cpu = first_cpu(cpu_online_map); cpu < CPUS; cpu = next_cpu(cpu, cpu_online_map)) {
    if (cpu === orig) continue;
    const worker = kthread_create(lru_add_drain_per_cpu.addr, 0, cpu, 'events');
    wake_up_process(worker);
    workers.push(worker);
  }
  for (const worker of workers) kthread_stop(worker);
}

/** Called by a worker itself, which cannot wait for its own queue: there it does the work directly. */
const schedule_on_each_cpu = kernel_function('schedule_on_each_cpu', (): void => {
  const orig = raw_smp_processor_id();
  lru_add_drain_per_cpu();
  lock_cpu_hotplug();
  flush_on_others(orig);
  unlock_cpu_hotplug();
});

export default scenario({
  name: 'a worker has something done on each CPU while its own goes offline',
  cpus: CPUS,
  races: 'ignore',
  on: [
    function offline(): void {
      cpu_down(1);
    },
    function keventd(): void {
      schedule_on_each_cpu();
      for (let cpu = 0; cpu < CPUS; cpu++)
        expect(per_cpu(drained, cpu).value <= 1, 'the work was done twice on one CPU');
    },
  ],
});
