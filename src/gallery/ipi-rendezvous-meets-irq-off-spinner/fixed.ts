import { NULL, kernel_function, raw_smp_processor_id, scenario, stop_machine_run } from 'smplab';
import broken, { mtrr } from './scenario.ts';

/** The machine stands still around this. */
const mtrr_work_handler = kernel_function('mtrr_work_handler', (): number => {
  mtrr.value += 1;
  return 0;
});

export default scenario({
  ...broken,
  patches: {
    // Threads meet, not interrupts: a CPU whose task holds a lock is only held once that task can be preempted.
    set_mtrr(): void {
      stop_machine_run(mtrr_work_handler, NULL, raw_smp_processor_id());
    },
  },
});
