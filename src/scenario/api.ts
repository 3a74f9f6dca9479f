/**
 * What a scenario may import from `smplab`: its own declarations, memory as the kernel sees it, and the kernel's own
 * functions under their own names. Kernel functions that have no export here are called by name: `call('kvm_init', ...)`.
 */
// First: it decides every address.
import '#kernel/image';
import { assert } from '#base/assert';
import { call_pointer, symbolAddress } from '#memory/symbols';

export { scenario } from './definition.ts';
export type { CheckAnswer, DeviceInterrupt, Scenario, ScenarioDefinition } from './definition.ts';
export { DEFINE, DEFINE_PER_CPU, shared, sharedArray, waitUntil } from './shared.ts';
export { expect, fail } from './expect.ts';
export * from './kvm.ts';
export { litmusScenario } from './litmus.ts';

export {
  NULL,
  READ_ONCE,
  WRITE_ONCE,
  addressOf,
  array,
  char,
  cmpxchg,
  ptr,
  s32,
  smp_load_acquire,
  smp_mb,
  smp_store_release,
  struct,
  u16,
  u32,
  u64,
  u8,
  xchg,
} from '#memory/struct';
export type { Ptr, StructView, Variable } from '#memory/struct';
export { stack_alloc } from '#memory/stack';
export { kernel_function } from '#memory/symbols';
export {
  __clear_bit,
  __set_bit,
  atomic_add_return,
  atomic_add_unless,
  atomic_dec,
  atomic_dec_and_test,
  atomic_inc,
  atomic_inc_return,
  atomic_read,
  atomic_set,
  atomic_t,
  clear_bit,
  set_bit,
  test_and_clear_bit,
  test_and_set_bit,
  test_bit,
} from '#memory/atomic';
export { INIT_LIST_HEAD, list_add, list_add_tail, list_del, list_empty, list_head } from '#memory/list';
export {
  cpu_clear,
  cpu_isset,
  cpu_set,
  cpumask_t,
  cpus_and,
  cpus_clear,
  cpus_copy,
  cpus_empty,
  cpus_equal,
  cpus_weight,
  first_cpu,
  next_cpu,
} from '#memory/cpumask';

export { cpu_online, cpu_online_map, cpu_possible, cpu_possible_map, num_online_cpus } from '#smp/cpumask';
export { __get_cpu_var, get_cpu, get_cpu_var, per_cpu, per_cpu_ptr, put_cpu, put_cpu_var } from '#smp/percpu';
export {
  spin_is_locked,
  spin_lock,
  spin_lock_irq,
  spin_lock_irqsave,
  spin_trylock,
  spin_unlock,
  spin_unlock_irq,
  spin_unlock_irqrestore,
  spinlock_t,
} from '#smp/spinlock';
export {
  down_read,
  down_write,
  mutex,
  mutex_is_locked,
  mutex_lock,
  mutex_trylock,
  mutex_unlock,
  rw_semaphore,
  up_read,
  up_write,
} from '#smp/mutex';
export { complete, complete_all, completion, init_completion, wait_for_completion } from '#smp/completion';
export {
  in_interrupt,
  irqs_disabled,
  local_irq_disable,
  local_irq_enable,
  local_irq_restore,
  local_irq_save,
  might_sleep,
  preempt_disable,
  raw_smp_processor_id,
} from '#smp/irqflags';
export { smp_processor_id } from '#smp/smp_processor_id';
export { kthread_create, kthread_stop, preempt_enable, wait_event, wake_up_process } from '#smp/sched';
export {
  CALL_FUNCTION_VECTOR,
  call_data,
  call_data_struct,
  call_lock,
  on_each_cpu,
  send_IPI_mask,
  smp_call_function,
  smp_call_function_mask,
  smp_call_function_single,
} from '#smp/call_function';
export {
  CPU_DEAD,
  CPU_DOWN_FAILED,
  CPU_DOWN_PREPARE,
  CPU_DYING,
  CPU_ONLINE,
  CPU_UP_CANCELED,
  CPU_UP_PREPARE,
  cpu_down,
  cpu_up,
  lock_cpu_hotplug,
  register_cpu_notifier,
  unlock_cpu_hotplug,
  unregister_cpu_notifier,
} from '#smp/cpu';
export { NOTIFY_BAD, NOTIFY_DONE, NOTIFY_OK, NOTIFY_STOP, notifier_block } from '#smp/notifier';
export { stop_machine_run } from '#smp/stop_machine';
export { BUG_ON, WARN_ON, panic, printk } from '#smp/printk';
export { kfree, kmalloc, kmem_cache_alloc, kmem_cache_create, kmem_cache_free, kzalloc } from '#kernel/slab';
export { GFP_KERNEL } from '#kernel/gfp';

/** Calls a kernel function by its name, as kallsyms has it. */
export function call(name: string, a?: unknown, b?: unknown, c?: unknown, d?: unknown): unknown {
  const address = symbolAddress(name);
  assert(address !== undefined, `call: no kernel function is called ${name}`);
  return call_pointer(address, a, b, c, d);
}
