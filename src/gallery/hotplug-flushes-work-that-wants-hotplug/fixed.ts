import { NOTIFY_OK, NULL, __raw_notifier_call_chain, cpu_chain, old_func, scenario } from 'smplab';
import broken, { cleanup_workqueue_thread, cpu_hotplug_begin, cpu_hotplug_done } from './scenario.ts';

/** The number of an event that 2.6.24 does not have. */
const CPU_POST_DEAD = 0x000c;

export default scenario({
  ...broken,
  patches: {
    // One more event, when the lock is free again.
    _cpu_down(cpu: number, tasks_frozen: number): unknown {
      cpu_hotplug_begin();
      const error = old_func('_cpu_down')(cpu, tasks_frozen);
      cpu_hotplug_done();
      if (error === 0) __raw_notifier_call_chain(cpu_chain, CPU_POST_DEAD, cpu, -1, NULL);
      return error;
    },
    workqueue_cpu_callback(_nb: number, action: number): number {
      if (action === CPU_POST_DEAD) cleanup_workqueue_thread();
      return NOTIFY_OK;
    },
  },
});
