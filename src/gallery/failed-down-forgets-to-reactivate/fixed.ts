import { cpu_clear, cpu_online, cpu_set, old_func, scenario } from 'smplab';
import broken, { activeOnly, cpu_active_map } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    ...activeOnly,
    // What was done first is undone last.
    _cpu_down(cpu: number, tasks_frozen: number): unknown {
      cpu_clear(cpu, cpu_active_map);
      const error = old_func('_cpu_down')(cpu, tasks_frozen);
      if (cpu_online(cpu)) cpu_set(cpu, cpu_active_map);
      return error;
    },
  },
});
