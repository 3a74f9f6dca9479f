import { READ_ONCE, __get_cpu_var, preempt_disable, preempt_enable, scenario } from 'smplab';
import broken, { log_wait, printk_pending } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    // this_cpu_write: nobody gets between finding the place and writing to it.
    wake_up_klogd(): void {
      if (READ_ONCE(log_wait, 'value') === 0) return;
      preempt_disable();
      __get_cpu_var(printk_pending).value = 1;
      preempt_enable();
    },
  },
});
