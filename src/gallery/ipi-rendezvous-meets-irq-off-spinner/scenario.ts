import {
  DEFINE,
  NULL,
  READ_ONCE,
  WRITE_ONCE,
  atomic_dec,
  atomic_read,
  atomic_set,
  atomic_t,
  kernel_function,
  local_irq_restore,
  local_irq_save,
  num_online_cpus,
  scenario,
  shared,
  smp_call_function,
  spin_lock,
  spin_lock_irqsave,
  spin_unlock,
  spin_unlock_irqrestore,
  spinlock_t,
  u32,
  struct,
  waitUntil,
} from 'smplab';

/** What set_mtrr shares with the CPUs it calls. */
const set_mtrr_data = struct('set_mtrr_data', { count: atomic_t, gate: u32 });
const data = DEFINE('mtrr_data', set_mtrr_data);
const mtrr = shared('mtrr');

/** A lock that tasks take with interrupts on, and others with interrupts off. */
const some_lock = DEFINE('some_lock', spinlock_t);

/** On each of the others, interrupts off: nobody goes on before all are here, nor before the registers are written. */
const ipi_handler = kernel_function('ipi_handler', (): void => {
  atomic_dec(data.count);
  waitUntil(() => READ_ONCE(data, 'gate') === 1);
  atomic_dec(data.count);
});

/** Writes the registers while every other CPU stands still. */
const set_mtrr = kernel_function('set_mtrr', (): void => {
  const others = num_online_cpus() - 1;
  atomic_set(data.count, others);
  WRITE_ONCE(data, 'gate', 0);
  smp_call_function(ipi_handler, NULL, 0, 0);
  const flags = local_irq_save();
  waitUntil(() => atomic_read(data.count) === 0);
  mtrr.value += 1;
  atomic_set(data.count, others);
  WRITE_ONCE(data, 'gate', 1);
  waitUntil(() => atomic_read(data.count) === 0);
  local_irq_restore(flags);
});

export default scenario({
  name: 'the MTRRs are set while one CPU waits for a lock with interrupts off',
  cpus: 3,
  races: 'ignore',
  on: [
    function set(): void {
      set_mtrr();
    },
    function holder(): void {
      spin_lock(some_lock);
      spin_unlock(some_lock);
    },
    function spinner(): void {
      const flags = spin_lock_irqsave(some_lock);
      spin_unlock_irqrestore(some_lock, flags);
    },
  ],
  check: () => mtrr.value === 1 || `the registers were written ${mtrr.value} times`,
});

export { mtrr };
