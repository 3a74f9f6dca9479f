import {
  CALL_FUNCTION_VECTOR,
  DEFINE,
  INIT_LIST_HEAD,
  NULL,
  READ_ONCE,
  WRITE_ONCE,
  call_pointer,
  char,
  cpu_clear,
  cpu_isset,
  cpu_online_map,
  cpumask_t,
  cpus_and,
  cpus_copy,
  cpus_weight,
  kernel_function,
  list_add_tail,
  list_head,
  preempt_disable,
  preempt_enable,
  ptr,
  scenario,
  send_IPI_mask,
  smp_call_function,
  smp_processor_id,
  spin_lock,
  spin_lock_irqsave,
  spin_unlock,
  spin_unlock_irqrestore,
  spinlock_t,
  stack_alloc,
  struct,
  type StructView,
  u32,
  waitUntil,
} from 'smplab';
import { flush_smp_call_function_queue, init_call_single } from '../internal/call-single.ts';

const CPUS = 3;
const CSD_FLAG_WAIT = 1;

/** On the stack of a sender that waits. `cpumask` and `refs` are guarded by `lock`. */
const call_function_data = struct('call_function_data', {
  list: list_head,
  func: ptr,
  info: ptr,
  flags: u32,
  lock: spinlock_t,
  refs: u32,
  cpumask: cpumask_t,
});
type call_function_data = StructView<typeof call_function_data>;

/** Calls in flight. Changed under the lock, walked without. */
const call_function_queue = DEFINE('call_function_queue', list_head);
const call_function_lock = DEFINE('call_function_lock', spinlock_t);

/** Who stands on the entry finds the way on. */
function list_del_rcu(entry: list_head): void {
  const { next, prev } = entry;
  list_head.at(next).prev = prev;
  WRITE_ONCE(list_head.at(prev), 'next', next);
}

/** The target's side: any call in flight may be for this CPU. Interrupts are off. */
function generic_smp_call_function_interrupt(): void {
  const cpu = smp_processor_id();
  const head = call_function_queue.addr;
  for (
    let at = READ_ONCE(call_function_queue, 'next');
    at !== head;
    at = READ_ONCE(list_head.at(at), 'next')
  ) {
    const data = call_function_data.container(at, 'list');
    if (!cpu_isset(cpu, data.cpumask)) continue;
    call_pointer(data.func, data.info);
    spin_lock(data.lock);
    cpu_clear(cpu, data.cpumask);
    data.refs -= 1;
    const refs = data.refs;
    spin_unlock(data.lock);
    if (refs !== 0) continue;
    spin_lock(call_function_lock);
    list_del_rcu(data.list);
    spin_unlock(call_function_lock);
    // The sender goes on, and its stack with it. Others may still stand on the entry.
    if ((data.flags & CSD_FLAG_WAIT) !== 0) WRITE_ONCE(data, 'flags', 0);
  }
}

/** Before the sender's stack becomes something else. */
const smp_call_function_mask_quiesce_stack = kernel_function(
  'smp_call_function_mask_quiesce_stack',
  (_mask: cpumask_t): void => {},
);

function initialise(data: call_function_data, func: number, info: number): void {
  data.func = func;
  data.info = info;
  data.flags = CSD_FLAG_WAIT;
  data.lock.slock = 0;
  data.refs = cpus_weight(data.cpumask);
}

/** Another function's locals, where those of the call were. */
const next_function = kernel_function('next_function', (): void => {
  stack_alloc(struct('locals', { text: char(256) })).text = 'g'.repeat(255);
});

const work = kernel_function('work', (): void => {});

export default scenario({
  name: 'a call descriptor on the stack, and somebody who still stands on it',
  cpus: CPUS,
  races: 'ignore',
  setup(): void {
    INIT_LIST_HEAD(call_function_queue);
    init_call_single(CPUS);
  },
  patches: {
    smp_call_function_interrupt(): void {
      generic_smp_call_function_interrupt();
      flush_smp_call_function_queue();
    },
    // For calls that wait, which keep their descriptor here.
    native_smp_call_function_mask(mask: cpumask_t, func: number, info: number): number {
      preempt_disable();
      const data = stack_alloc(call_function_data);
      // The mask was an argument by value: the sender's own, while targets take themselves out of the descriptor's.
      const targets = stack_alloc(cpumask_t);
      cpus_and(targets, mask, cpu_online_map);
      cpu_clear(smp_processor_id(), targets);
      cpus_copy(data.cpumask, targets);
      initialise(data, func, info);
      const flags = spin_lock_irqsave(call_function_lock);
      list_add_tail(data.list, call_function_queue);
      spin_unlock_irqrestore(call_function_lock, flags);
      send_IPI_mask(targets, CALL_FUNCTION_VECTOR);
      waitUntil(() => READ_ONCE(data, 'flags') === 0);
      smp_call_function_mask_quiesce_stack(cpu_online_map);
      preempt_enable();
      return 0;
    },
  },
  on: [
    function call_and_go_on(): void {
      smp_call_function(work, NULL, 0, 1);
      next_function();
    },
    function call(): void {
      smp_call_function(work, NULL, 0, 1);
    },
  ],
});
