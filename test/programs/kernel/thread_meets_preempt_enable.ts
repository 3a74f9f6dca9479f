/**
 * CPU 1 wakes a kernel thread of CPU 0 while that one goes in and out of preemption: whether preempt_enable() lets the
 * thread run depends on what CPU 1 has done by then.
 */
import {
  kernel_function,
  kthread_create,
  preempt_disable,
  preempt_enable,
  scenario,
  shared,
  wake_up_process,
} from 'smplab';

const x = shared('x');
const thread = kernel_function('thread_of_cpu0', (): number => {
  x.value = 10;
  return 0;
});

export default scenario({
  name: 'a kernel thread is woken on a CPU that goes in and out of preemption',
  races: 'ignore',
  on: [
    function worker(): void {
      preempt_disable();
      x.value = 1;
      preempt_enable();
      x.value = 2;
    },
    function waker(): void {
      wake_up_process(kthread_create(thread.addr, 0, 0, 'thread'));
    },
  ],
});
