import {
  DEFINE_PER_CPU,
  __get_cpu_var,
  atomic_read,
  atomic_set,
  cpu_clear,
  cpu_isset,
  cpu_online_map,
  cpumask_t,
  cpus_and,
  cpus_copy,
  cpus_weight,
  scenario,
  smp_mb,
  smp_processor_id,
  test_and_clear_bit,
} from 'smplab';
import type { call_function_data } from '../internal/call-function-many.ts';
import broken from './scenario.ts';

const scratch = DEFINE_PER_CPU('cfd_scratch', cpumask_t);

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    // Nothing is for anybody while the count is 0, and the count is the last thing that is filled in.
    cfd_fill(data: call_function_data, mask: cpumask_t, func: number, info: number): number {
      data.func = func;
      data.info = info;
      const others = __get_cpu_var(scratch);
      cpus_and(others, mask, cpu_online_map);
      cpu_clear(smp_processor_id(), others);
      cpus_copy(data.cpumask, others);
      const refs = cpus_weight(others);
      // Function and mask before the count: pairs with the walker, which looks at the mask and then at the count.
      smp_mb();
      atomic_set(data.refs, refs);
      return refs;
    },
    cfd_take(data: call_function_data): boolean {
      const cpu = smp_processor_id();
      if (!cpu_isset(cpu, data.cpumask)) return false;
      smp_mb();
      if (atomic_read(data.refs) === 0) return false;
      return test_and_clear_bit(cpu, data.cpumask.addr);
    },
  },
});
