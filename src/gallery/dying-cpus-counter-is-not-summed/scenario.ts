import {
  CPU_DEAD,
  DEFINE,
  DEFINE_PER_CPU,
  NOTIFY_OK,
  cpu_down,
  cpu_online_map,
  expect,
  first_cpu,
  kernel_function,
  next_cpu,
  notifier_block,
  per_cpu,
  register_cpu_notifier,
  s32,
  scenario,
  spin_lock_irqsave,
  spin_unlock_irqrestore,
  spinlock_t,
  struct,
} from 'smplab';

const CPUS = 3;

/** `count`: what was folded in. Guarded by `lock`. */
const percpu_counter = struct('percpu_counter', { lock: spinlock_t, count: s32 });
const fbc = DEFINE('fbc', percpu_counter);
/** Each CPU's share: its own, or, once it is dead, whoever's holds fbc.lock. */
const counters = DEFINE_PER_CPU('counters', s32);
const percpu_counter_nb = DEFINE('percpu_counter_nb', notifier_block);

/** Adds a CPU's share to the common part. */
export function fold(cpu: number): void {
  const flags = spin_lock_irqsave(fbc.lock);
  const share = per_cpu(counters, cpu);
  fbc.count += share.value;
  share.value = 0;
  spin_unlock_irqrestore(fbc.lock, flags);
}

const percpu_counter_hotcpu_callback = kernel_function(
  'percpu_counter_hotcpu_callback',
  (_nb: number, action: number, cpu: number): number => {
    if (action === CPU_DEAD) fold(cpu);
    return NOTIFY_OK;
  },
);

/** The exact sum: the common part and the share of every CPU that is online. */
const __percpu_counter_sum = kernel_function('__percpu_counter_sum', (): number => {
  const flags = spin_lock_irqsave(fbc.lock);
  let sum = fbc.count;
  for (let cpu = first_cpu(cpu_online_map); cpu < CPUS; cpu = next_cpu(cpu, cpu_online_map))
    sum += per_cpu(counters, cpu).value;
  spin_unlock_irqrestore(fbc.lock, flags);
  return sum;
});

export default scenario({
  name: 'a per-CPU counter is summed while a CPU goes offline',
  cpus: CPUS,
  races: 'ignore',
  setup(): void {
    percpu_counter_nb.notifier_call = percpu_counter_hotcpu_callback.addr;
    register_cpu_notifier(percpu_counter_nb);
    per_cpu(counters, 2).value = 5;
  },
  on: [
    function sum(): void {
      const total = __percpu_counter_sum();
      expect(total === 5, 'the share of a dying CPU is missing from the sum');
    },
    function offline(): void {
      cpu_down(2);
    },
  ],
});
