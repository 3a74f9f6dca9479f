import {
  DEFINE,
  NULL,
  cpu_clear,
  cpu_set,
  cpumask_t,
  get_cpu,
  kernel_function,
  preempt_disable,
  preempt_enable,
  put_cpu,
  scenario,
} from 'smplab';
import {
  call_function_patches,
  init_call_function,
  smp_call_function_many,
} from '../internal/call-function-many.ts';

/** CPUs that may have this address space in their TLB. Each leaves by itself, at any time. */
const mm_cpumask = DEFINE('mm_cpumask', cpumask_t);

const flush_tlb_func = kernel_function('flush_tlb_func', (): void => {});

/** Another address space is switched to. */
export function leave_mm(): void {
  cpu_clear(get_cpu(), mm_cpumask);
  put_cpu();
}

export function flush_tlb_mm(): void {
  preempt_disable();
  smp_call_function_many(mm_cpumask, flush_tlb_func.addr, NULL, 1);
  preempt_enable();
}

export default scenario({
  name: 'a cross call to the CPUs of an address space, while they leave it',
  cpus: 3,
  races: 'ignore',
  setup(): void {
    init_call_function();
    for (let cpu = 0; cpu < 3; cpu++) cpu_set(cpu, mm_cpumask);
  },
  patches: call_function_patches,
  on: [flush_tlb_mm, leave_mm, leave_mm],
});
