import { READ_ONCE, WRITE_ONCE, mutex_lock, mutex_unlock, scenario, shared, wait_event } from 'smplab';
import broken, { clocksource_mutex, clocksource_tsc, online, register } from './scenario.ts';

const watchdog_work = shared('watchdog_work');

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    // Only says so. What it takes to act on it is left to a thread that holds nothing.
    mark_tsc_unstable(): void {
      WRITE_ONCE(watchdog_work, 'value', 1);
    },
  },
  on: [
    register,
    online,
    function clocksource_watchdog_kthread(): void {
      wait_event(watchdog_work.addr, () => READ_ONCE(watchdog_work, 'value') === 1);
      mutex_lock(clocksource_mutex);
      clocksource_tsc.rating = 0;
      mutex_unlock(clocksource_mutex);
    },
  ],
});
