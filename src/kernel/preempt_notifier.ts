/**
 * Preemption notifiers: tell a task's owner when it leaves a CPU and when it comes back (spec 5.5). Who calls them is the
 * scheduler (smp/sched); here is who comes to be called.
 *
 * @linux kernel/sched.c, include/linux/preempt.h, as of 2.6.24
 */
import { NULL, type Ptr, addressOf, ptr, variableAt } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { current_task, preempt_notifier, preempt_ops } from '#smp/sched';
import type { StructView } from '#memory/struct';

export { preempt_notifier, preempt_ops };

type notifier = StructView<typeof preempt_notifier>;

/** @param ops address of preempt_ops: sched_in(notifier, cpu), sched_out(notifier, next task) */
export function preempt_notifier_init(pn: notifier, ops: Ptr): void {
  pn.link = NULL;
  pn.ops = ops;
}

/**
 * In front of the running task's list. No lock: only the task itself changes its list, and the scheduler reads it on the
 * CPU the task runs on.
 */
export const preempt_notifier_register = kernel_function(
  'preempt_notifier_register',
  (pn: notifier): void => {
    const head = current_task().preempt_notifiers;
    pn.link = head.next;
    head.next = pn.addr;
  },
);

/** Removes it from the running task's list. */
export const preempt_notifier_unregister = kernel_function(
  'preempt_notifier_unregister',
  (pn: notifier): void => {
    let place = variableAt(ptr, addressOf(current_task().preempt_notifiers, 'next'));
    while (place.value !== NULL) {
      if (place.value === pn.addr) {
        place.value = pn.link;
        return;
      }
      place = variableAt(ptr, addressOf(preempt_notifier.at(place.value), 'link'));
    }
  },
);
