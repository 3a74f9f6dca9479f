import {
  DEFINE,
  NULL,
  cpu_set,
  cpumask_t,
  kernel_function,
  preempt_disable,
  preempt_enable,
  scenario,
} from 'smplab';
import {
  call_function_patches,
  init_call_function,
  smp_call_function_many,
} from '../internal/call-function-many.ts';

/** Two CPUs that only take calls. */
const targets = DEFINE('targets', cpumask_t);

const work = kernel_function('work', (): void => {});

function call_targets(): void {
  preempt_disable();
  smp_call_function_many(targets, work.addr, NULL, 1);
  preempt_enable();
}

export default scenario({
  name: 'a call descriptor is used again while somebody stands on it',
  cpus: 4,
  races: 'ignore',
  setup(): void {
    init_call_function();
    cpu_set(2, targets);
    cpu_set(3, targets);
  },
  patches: call_function_patches,
  on: [
    function call_twice(): void {
      call_targets();
      call_targets();
    },
    function call_once(): void {
      call_targets();
    },
  ],
});
