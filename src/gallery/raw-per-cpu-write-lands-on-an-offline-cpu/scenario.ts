import {
  DEFINE_PER_CPU,
  READ_ONCE,
  WRITE_ONCE,
  __get_cpu_var,
  cpu_down,
  cpu_online,
  kernel_function,
  old_func,
  per_cpu,
  scenario,
  shared,
  u32,
} from 'smplab';

const CPUS = 3;

/** This CPU's next tick is to wake klogd. Its own CPU's: the tick looks at nobody else's. */
export const printk_pending = DEFINE_PER_CPU('printk_pending', u32);
const klogd_woken = shared('klogd_woken');

/** How many sleep until there is something in the log. */
export const log_wait = shared('log_wait');

/** In each CPU's timer interrupt, and once more on a CPU that is offline, before it stops for good. */
function printk_tick(): void {
  const pending = __get_cpu_var(printk_pending);
  if (pending.value === 0) return;
  pending.value = 0;
  klogd_woken.value += 1;
}

/** May be called with preemption on: hence the raw access, which does not complain. */
const wake_up_klogd = kernel_function('wake_up_klogd', (): void => {
  const pending = __get_cpu_var(printk_pending);
  if (READ_ONCE(log_wait, 'value') !== 0) pending.value = 1;
});

export default scenario({
  name: 'a message is printed while its CPU goes offline',
  cpus: CPUS,
  races: 'ignore',
  patches: {
    play_dead(): void {
      printk_tick();
      old_func('play_dead')();
    },
  },
  on: [
    function offline(): void {
      cpu_down(1);
    },
    function print(): void {
      wake_up_klogd();
    },
    function klogd(): void {
      WRITE_ONCE(log_wait, 'value', 1);
    },
  ],
  // A CPU that is online has its next tick to come.
  check: () =>
    cpu_online(1) ||
    per_cpu(printk_pending, 1).value === 0 ||
    'klogd is to be woken by the tick of a CPU that is offline',
});
