/**
 * Cross calls to one CPU as in 2.6.27 and later: each CPU has a queue of calls for it. Here one interrupt serves where Linux
 * has two.
 *
 * @linux kernel/smp.c, as of 2.6.31
 * Leaves out: calls whose memory the target frees.
 */
import {
  CALL_FUNCTION_VECTOR,
  DEFINE_PER_CPU,
  INIT_LIST_HEAD,
  READ_ONCE,
  __get_cpu_var,
  call_pointer,
  cpu_set,
  cpumask_t,
  cpus_clear,
  list_add_tail,
  list_del,
  list_empty,
  list_head,
  per_cpu,
  ptr,
  send_IPI_mask,
  smp_store_release,
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

/** Set while a descriptor is in use; the target clears it. */
const CSD_FLAG_LOCK = 1;

export const call_single_data = struct('call_single_data', {
  list: list_head,
  func: ptr,
  info: ptr,
  flags: u32,
});
export type call_single_data = StructView<typeof call_single_data>;

/** Calls for this CPU. Both guarded by `lock`, which is taken with interrupts off. */
const call_single_queue = DEFINE_PER_CPU(
  'call_single_queue',
  struct('call_single_queue', { list: list_head, lock: spinlock_t }),
);

export function init_call_single(cpus: number): void {
  for (let cpu = 0; cpu < cpus; cpu++) INIT_LIST_HEAD(per_cpu(call_single_queue, cpu).list);
}

export function csd_lock_wait(data: call_single_data): void {
  waitUntil(() => (READ_ONCE(data, 'flags') & CSD_FLAG_LOCK) === 0);
}

export function csd_lock(data: call_single_data): void {
  csd_lock_wait(data);
  data.flags = CSD_FLAG_LOCK;
}

/** Queues a locked descriptor. Only who finds the queue empty sends an interrupt: the rest is found with it. */
export function generic_exec_single(cpu: number, data: call_single_data, wait: boolean): void {
  const dst = per_cpu(call_single_queue, cpu);
  const flags = spin_lock_irqsave(dst.lock);
  const ipi = list_empty(dst.list);
  list_add_tail(data.list, dst.list);
  spin_unlock_irqrestore(dst.lock, flags);
  if (ipi) {
    const mask = stack_alloc(cpumask_t);
    cpus_clear(mask);
    cpu_set(cpu, mask);
    send_IPI_mask(mask, CALL_FUNCTION_VECTOR);
  }
  if (wait) csd_lock_wait(data);
}

/** Runs what is queued for this CPU. Interrupts are off. */
export function flush_smp_call_function_queue(): void {
  const queue = __get_cpu_var(call_single_queue);
  for (;;) {
    spin_lock(queue.lock);
    if (list_empty(queue.list)) break;
    const data = call_single_data.container(queue.list.next, 'list');
    list_del(data.list);
    spin_unlock(queue.lock);
    call_pointer(data.func, data.info);
    smp_store_release(data, 'flags', 0);
  }
  spin_unlock(queue.lock);
}
