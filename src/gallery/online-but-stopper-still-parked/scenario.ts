import {
  DEFINE_PER_CPU,
  cpu_isset,
  cpu_online,
  cpu_set,
  cpu_up,
  cpumask_t,
  cpus_clear,
  expect,
  kernel_function,
  kthread_create,
  kthread_stop,
  old_func,
  per_cpu,
  raw_smp_processor_id,
  scenario,
  set_cpus_allowed,
  spin_lock_irqsave,
  spin_unlock_irqrestore,
  spinlock_t,
  stack_alloc,
  struct,
  u32,
  waitUntil,
  wake_up_process,
} from 'smplab';

/** `enabled`: the CPU's stopper thread is not parked. Guarded by `lock`. */
const cpu_stopper = DEFINE_PER_CPU('cpu_stopper', struct('cpu_stopper', { lock: spinlock_t, enabled: u32 }));

export function stop_machine_unpark(cpu: number): void {
  const stopper = per_cpu(cpu_stopper, cpu);
  const flags = spin_lock_irqsave(stopper.lock);
  stopper.enabled = 1;
  spin_unlock_irqrestore(stopper.lock, flags);
}

/** What a stopper does for a task that is to leave its CPU: while it runs, the task does not. */
const migration_cpu_stop = kernel_function('migration_cpu_stop', (): number => 0);

/**
 * Has a CPU's stopper run a function, and waits for that. A stopper that is parked has nothing to do, and that is done at once.
 * @returns whether the function has run, which nobody asks
 */
function stop_one_cpu(cpu: number, fn: number): boolean {
  const stopper = per_cpu(cpu_stopper, cpu);
  const flags = spin_lock_irqsave(stopper.lock);
  const enabled = stopper.enabled !== 0;
  spin_unlock_irqrestore(stopper.lock, flags);
  if (!enabled) return false;
  const thread = kthread_create(fn, 0, cpu, 'migration');
  wake_up_process(thread);
  kthread_stop(thread);
  return true;
}

/** Where a task is to go on that may only run on one CPU. */
function bind_to(cpu: number): void {
  const mask = stack_alloc(cpumask_t);
  cpus_clear(mask);
  cpu_set(cpu, mask);
  set_cpus_allowed(mask);
}

/** A task goes through the stopper of the CPU it is on. */
export const throughStopper = {
  set_cpus_allowed(mask: cpumask_t): unknown {
    const here = raw_smp_processor_id();
    if (!cpu_isset(here, mask) && !stop_one_cpu(here, migration_cpu_stop.addr)) return 0;
    return old_func('set_cpus_allowed')(mask);
  },
};

export default scenario({
  name: 'a task leaves a CPU that has just come online',
  cpus: 3,
  online: 2,
  races: 'ignore',
  setup(): void {
    stop_machine_unpark(0);
    stop_machine_unpark(1);
  },
  patches: {
    ...throughStopper,
    // Who brings up the CPU wakes its stopper, when the CPU is online and idle.
    __cpu_up(cpu: number): unknown {
      const error = old_func('__cpu_up')(cpu);
      if (error === 0) stop_machine_unpark(cpu);
      return error;
    },
  },
  on: [
    function there_and_back(): void {
      waitUntil(() => cpu_online(2));
      bind_to(2);
      bind_to(0);
      expect(raw_smp_processor_id() === 0, 'a task goes on where it may not run');
    },
    function online(): void {
      cpu_up(2);
    },
  ],
});
