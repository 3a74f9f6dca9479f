import {
  DEFINE,
  NULL,
  cpu_up,
  kernel_function,
  mutex,
  mutex_lock,
  mutex_unlock,
  old_func,
  raw_smp_processor_id,
  s32,
  scenario,
  stop_machine_run,
  struct,
  u32,
} from 'smplab';

/** Guards the ratings and which clock is in use. */
export const clocksource_mutex = DEFINE('clocksource_mutex', mutex);
const clocksource = struct('clocksource', { rating: s32 });
export const clocksource_tsc = DEFINE('clocksource_tsc', clocksource);
const timekeeper = DEFINE('timekeeper', struct('timekeeper', { changes: u32 }));

const change_clocksource = kernel_function('change_clocksource', (): number => {
  timekeeper.changes += 1;
  return 0;
});

/** Another clock is to be used: nobody may read the time while it changes. Must hold clocksource_mutex. */
export function clocksource_select(): void {
  stop_machine_run(change_clocksource, NULL, raw_smp_processor_id());
}

const clocksource_register = kernel_function('clocksource_register', (): void => {
  mutex_lock(clocksource_mutex);
  clocksource_select();
  mutex_unlock(clocksource_mutex);
});

/** The time stamp counters of two CPUs were found to differ: this clock is not to be chosen any more. */
const mark_tsc_unstable = kernel_function('mark_tsc_unstable', (): void => {
  mutex_lock(clocksource_mutex);
  clocksource_tsc.rating = 0;
  mutex_unlock(clocksource_mutex);
});

export function register(): void {
  clocksource_register();
}

export function online(): void {
  cpu_up(3);
}

export default scenario({
  name: 'a clock is registered while a CPU with another time comes online',
  cpus: 4,
  online: 3,
  races: 'ignore',
  setup(): void {
    clocksource_tsc.rating = 300;
  },
  patches: {
    // check_tsc_sync_source, on the CPU that boots the other: here the two always differ.
    __cpu_up(cpu: number): unknown {
      const error = old_func('__cpu_up')(cpu);
      mark_tsc_unstable();
      return error;
    },
  },
  on: [register, online],
  check: () => clocksource_tsc.rating === 0 || 'the bad clock has kept its rating',
});
