/**
 * Cross calls to many CPUs as in 2.6.37: each CPU has one descriptor for its calls, and a list of those in flight that
 * targets walk without a lock. Here one interrupt serves where Linux has two.
 *
 * @linux kernel/smp.c, as of 2.6.37
 * Leaves out: the shortcut for a single target, whose queue is another one; diagnostics of the lock bit.
 */
import {
  CALL_FUNCTION_VECTOR,
  DEFINE,
  DEFINE_PER_CPU,
  INIT_LIST_HEAD,
  READ_ONCE,
  WARN_ON,
  WRITE_ONCE,
  __get_cpu_var,
  atomic_add_return,
  atomic_set,
  atomic_t,
  call_pointer,
  cpu_clear,
  cpu_online_map,
  cpumask_t,
  cpus_and,
  cpus_weight,
  first_cpu,
  kernel_function,
  list_add,
  list_head,
  next_cpu,
  ptr,
  send_IPI_mask,
  smp_mb,
  smp_processor_id,
  smp_store_release,
  spin_lock,
  spin_lock_irqsave,
  spin_unlock,
  spin_unlock_irqrestore,
  spinlock_t,
  struct,
  type StructView,
  test_and_clear_bit,
  u32,
  waitUntil,
} from 'smplab';

const NR_CPUS = 256;
const CSD_FLAG_LOCK = 1;

/** Its owner's until it is on the list; then `cpumask` and `refs` are everybody's, and the last target unlocks it. */
export const call_function_data = struct('call_function_data', {
  list: list_head,
  func: ptr,
  info: ptr,
  flags: u32,
  refs: atomic_t,
  cpumask: cpumask_t,
});
export type call_function_data = StructView<typeof call_function_data>;

const cfd_data = DEFINE_PER_CPU('cfd_data', call_function_data);
/** Added to and removed from under the lock; walked without. */
const call_function = DEFINE(
  'call_function',
  struct('call_function', { queue: list_head, lock: spinlock_t }),
);

/** The last call with this descriptor is over. */
function csd_lock_wait(data: call_function_data): void {
  waitUntil(() => (READ_ONCE(data, 'flags') & CSD_FLAG_LOCK) === 0);
}

function csd_lock(data: call_function_data): void {
  csd_lock_wait(data);
  data.flags = CSD_FLAG_LOCK;
  smp_mb();
}

export function csd_unlock(data: call_function_data): void {
  smp_store_release(data, 'flags', 0);
}

/** Who stands on the entry finds the way on. */
function list_del_rcu(entry: list_head): void {
  const { next, prev } = entry;
  list_head.at(next).prev = prev;
  WRITE_ONCE(list_head.at(prev), 'next', next);
}

/** Whether the call is for this CPU, which then is no longer in its mask. */
export const cfd_take = kernel_function('cfd_take', (data: call_function_data): boolean =>
  test_and_clear_bit(smp_processor_id(), data.cpumask.addr),
);

/** Fills in a locked descriptor, and says how many targets it has. */
export const cfd_fill = kernel_function(
  'cfd_fill',
  (data: call_function_data, mask: cpumask_t, func: number, info: number): number => {
    data.func = func;
    data.info = info;
    cpus_and(data.cpumask, mask, cpu_online_map);
    cpu_clear(smp_processor_id(), data.cpumask);
    const refs = cpus_weight(data.cpumask);
    atomic_set(data.refs, refs);
    return refs;
  },
);

/** What becomes of a call without a target. */
export const cfd_without_target = kernel_function(
  'cfd_without_target',
  (_data: call_function_data): boolean => false,
);

/** Runs `func(info)` on the online CPUs of a mask that others may change, but for this one. Preemption is off. */
export const smp_call_function_many = kernel_function(
  'smp_call_function_many',
  (mask: cpumask_t, func: number, info: number, wait: number): void => {
    const me = smp_processor_id();
    let cpu = first_cpu(mask);
    if (cpu === me) cpu = next_cpu(cpu, mask);
    if (cpu >= NR_CPUS) return;

    const data = __get_cpu_var(cfd_data);
    csd_lock(data);
    if (cfd_fill(data, mask, func, info) === 0 && cfd_without_target(data)) return;
    const flags = spin_lock_irqsave(call_function.lock);
    list_add(data.list, call_function.queue);
    spin_unlock_irqrestore(call_function.lock, flags);
    // The list before the interrupt: pairs with the interrupt's walk.
    smp_mb();
    send_IPI_mask(data.cpumask, CALL_FUNCTION_VECTOR);
    if (wait !== 0) csd_lock_wait(data);
  },
);

/** The target's side: any call in flight may be for this CPU. Interrupts are off. */
export function generic_smp_call_function_interrupt(): void {
  const head = call_function.queue.addr;
  for (
    let at = READ_ONCE(call_function.queue, 'next');
    at !== head;
    at = READ_ONCE(list_head.at(at), 'next')
  ) {
    const data = call_function_data.container(at, 'list');
    if (!cfd_take(data)) continue;
    call_pointer(data.func, data.info);
    const refs = atomic_add_return(-1, data.refs);
    WARN_ON(refs < 0, 'generic_smp_call_function_interrupt: refs < 0');
    if (refs !== 0) continue;
    spin_lock(call_function.lock);
    list_del_rcu(data.list);
    spin_unlock(call_function.lock);
    csd_unlock(data);
  }
}

/** What makes this kernel's cross calls those of 2.6.37; for `setup` and `patches`. */
export function init_call_function(): void {
  INIT_LIST_HEAD(call_function.queue);
}
export const call_function_patches = { smp_call_function_interrupt: generic_smp_call_function_interrupt };
