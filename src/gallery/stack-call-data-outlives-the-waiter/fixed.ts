import {
  NULL,
  first_cpu,
  type cpumask_t,
  kernel_function,
  next_cpu,
  scenario,
  smp_processor_id,
  stack_alloc,
} from 'smplab';
import { call_single_data, csd_lock, generic_exec_single } from '../internal/call-single.ts';
import broken from './scenario.ts';

const quiesce_dummy = kernel_function('quiesce_dummy', (): void => {});

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    // Handlers do not interrupt each other: a CPU that takes another call has left the list.
    smp_call_function_mask_quiesce_stack(mask: cpumask_t): void {
      const data = stack_alloc(call_single_data);
      data.flags = 0;
      for (let cpu = first_cpu(mask); cpu < broken.cpus; cpu = next_cpu(cpu, mask)) {
        if (cpu === smp_processor_id()) continue;
        csd_lock(data);
        data.func = quiesce_dummy.addr;
        data.info = NULL;
        generic_exec_single(cpu, data, true);
      }
    },
  },
});
