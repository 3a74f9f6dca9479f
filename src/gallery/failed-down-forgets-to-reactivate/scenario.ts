import {
  CPU_DOWN_PREPARE,
  DEFINE,
  NOTIFY_BAD,
  NOTIFY_OK,
  READ_ONCE,
  WRITE_ONCE,
  cpu_clear,
  cpu_down,
  cpu_online,
  cpu_online_map,
  cpu_set,
  cpumask_t,
  cpus_and,
  cpus_clear,
  cpus_copy,
  cpus_empty,
  expect,
  kernel_function,
  notifier_block,
  old_func,
  register_cpu_notifier,
  scenario,
  set_cpus_allowed,
  shared,
  stack_alloc,
} from 'smplab';

const EINVAL = 22;

/** CPUs that tasks may be put on. A CPU that is to go leaves it first. Guarded by cpu_add_remove_lock. */
export const cpu_active_map = DEFINE('cpu_active_map', cpumask_t);

/** A driver that cannot do without its CPU just now. */
const device_busy = shared('device_busy');
const device_nb = DEFINE('device_nb', notifier_block);
const device_cpu_callback = kernel_function('device_cpu_callback', (_nb: number, action: number): number =>
  action === CPU_DOWN_PREPARE && READ_ONCE(device_busy, 'value') !== 0 ? NOTIFY_BAD : NOTIFY_OK,
);

/** A task goes only where CPUs are active. */
export const activeOnly = {
  set_cpus_allowed(mask: cpumask_t): number {
    const usable = stack_alloc(cpumask_t);
    cpus_and(usable, mask, cpu_active_map);
    return cpus_empty(usable) ? -EINVAL : (old_func('set_cpus_allowed')(mask) as number);
  },
};

export default scenario({
  name: 'a driver refuses that its CPU goes offline, and a task is sent there afterwards',
  cpus: 3,
  races: 'ignore',
  setup(): void {
    cpus_copy(cpu_active_map, cpu_online_map);
    device_nb.notifier_call = device_cpu_callback.addr;
    register_cpu_notifier(device_nb);
  },
  patches: {
    ...activeOnly,
    _cpu_down(cpu: number, tasks_frozen: number): unknown {
      cpu_clear(cpu, cpu_active_map);
      return old_func('_cpu_down')(cpu, tasks_frozen);
    },
  },
  on: [
    function offline(): void {
      cpu_down(2);
      if (!cpu_online(2)) return;
      const only_2 = stack_alloc(cpumask_t);
      cpus_clear(only_2);
      cpu_set(2, only_2);
      expect(set_cpus_allowed(only_2) === 0, 'CPU 2 is online, and no task may run there');
    },
    function use_device(): void {
      WRITE_ONCE(device_busy, 'value', 1);
      WRITE_ONCE(device_busy, 'value', 0);
    },
  ],
});
