/**
 * Stop-machine: run a function while every other CPU spins with interrupts off. @linux kernel/stop_machine.c, as of 2.6.24 (spec 7.7)
 *
 * Lock order: cpu_add_remove_lock > cpu_bitmask_lock > stopmachine_mutex.
 */
import { atomic_inc, atomic_read, atomic_set, atomic_t } from '#memory/atomic';
import { bus } from '#memory/bus';
import { NR_CPUS } from '#memory/cpumask';
import { vmlinux } from '#memory/image';
import { stack_alloc } from '#memory/stack';
import { type Ptr, READ_ONCE, WRITE_ONCE, ptr, struct, u32 } from '#memory/struct';
import { type KernelFunction, call_pointer, kernel_function } from '#memory/symbols';
import { EventType, Milestone } from '#trace/events';
import { complete, completion, init_completion, wait_for_completion } from './completion.ts';
import { first_online_cpu, next_online_cpu } from './cpumask.ts';
import {
  local_irq_disable,
  local_irq_enable,
  preempt_disable,
  preempt_enable_no_resched,
  raw_smp_processor_id,
} from './irqflags.ts';
import { lock_cpu_hotplug, unlock_cpu_hotplug } from './hotplug_lock.ts';
import { mutex, mutex_lock, mutex_unlock } from './mutex.ts';
import {
  PF_REAP,
  kthread_create,
  kthread_stop,
  preempt_check_resched,
  task_struct,
  wake_up_process,
} from './sched.ts';

const STOPMACHINE_WAIT = 0;
const STOPMACHINE_PREPARE = 1;
const STOPMACHINE_DISABLE_IRQ = 2;
const STOPMACHINE_EXIT = 3;

/** All of these are guarded by stopmachine_mutex; `state` is written by the stop thread only, and read by the helpers. */
const stopmachine_mutex = vmlinux.DEFINE('stopmachine_mutex', mutex);
const stopmachine_state = vmlinux.DEFINE('stopmachine_state', u32);
const stopmachine_num_threads = vmlinux.DEFINE('stopmachine_num_threads', u32);
const stopmachine_thread_ack = vmlinux.DEFINE('stopmachine_thread_ack', atomic_t);

/** On the stack of who asks. */
const stop_machine_data = struct('stop_machine_data', { fn: ptr, data: ptr, done: completion });

/** A helper on every other CPU: follows the announced states and acknowledges each. */
const stopmachine = kernel_function('stopmachine', (_data: Ptr): number => {
  let irqs_disabled = false;
  let prepared = false;
  // Running at all is the first acknowledgement.
  atomic_inc(stopmachine_thread_ack);
  let seen = STOPMACHINE_WAIT;
  while (seen !== STOPMACHINE_EXIT) {
    const last = seen;
    bus.waitUntil(stopmachine_state.addr, () => READ_ONCE(stopmachine_state, 'value') !== last);
    seen = READ_ONCE(stopmachine_state, 'value');
    if (seen === STOPMACHINE_PREPARE && !prepared) {
      // Everybody is in place: from here no task may get the CPU in between.
      preempt_disable();
      prepared = true;
      atomic_inc(stopmachine_thread_ack);
    } else if (seen === STOPMACHINE_DISABLE_IRQ && !irqs_disabled) {
      local_irq_disable();
      irqs_disabled = true;
      atomic_inc(stopmachine_thread_ack);
    }
  }
  atomic_inc(stopmachine_thread_ack);
  if (irqs_disabled) local_irq_enable();
  if (prepared) preempt_enable_no_resched();
  return 0;
});

/** Announces a state and waits until every helper has acknowledged it. */
function stopmachine_set_state(state: number): void {
  atomic_set(stopmachine_thread_ack, 0);
  // The reset before the announcement: pairs with the helpers' increments, which follow their read of the state.
  WRITE_ONCE(stopmachine_state, 'value', state);
  wait_for_acks();
}

function wait_for_acks(): void {
  const threads = stopmachine_num_threads.value;
  bus.waitUntil(stopmachine_thread_ack.addr, () => atomic_read(stopmachine_thread_ack) === threads);
}

const stop_machine = kernel_function('stop_machine', (): number => {
  atomic_set(stopmachine_thread_ack, 0);
  stopmachine_num_threads.value = 0;
  WRITE_ONCE(stopmachine_state, 'value', STOPMACHINE_WAIT);
  let error = 0;
  const me = raw_smp_processor_id();
  for (let cpu = first_online_cpu(); cpu < NR_CPUS; cpu = next_online_cpu(cpu)) {
    if (cpu === me) continue;
    const thread = kthread_create(stopmachine.addr, cpu, cpu, 'kstopmachine');
    if (thread < 0) {
      error = thread;
      break;
    }
    task_struct.at(thread).flags |= PF_REAP;
    wake_up_process(thread);
    stopmachine_num_threads.value += 1;
  }
  wait_for_acks();
  if (error !== 0) {
    stopmachine_set_state(STOPMACHINE_EXIT);
    return error;
  }
  // Own preemption, own interrupts: each goes off just before the helpers are told to do the same.
  preempt_disable();
  stopmachine_set_state(STOPMACHINE_PREPARE);
  local_irq_disable();
  stopmachine_set_state(STOPMACHINE_DISABLE_IRQ);
  bus.emit(EventType.HOTPLUG, Milestone.MACHINE_STOPPED, raw_smp_processor_id(), 0, 0);
  return 0;
});

const restart_machine = kernel_function('restart_machine', (): void => {
  bus.emit(EventType.HOTPLUG, Milestone.MACHINE_RUNS, raw_smp_processor_id(), 0, 0);
  stopmachine_set_state(STOPMACHINE_EXIT);
  local_irq_enable();
  preempt_enable_no_resched();
});

/**
 * The stop thread. In Linux it stays until kthread_stop; here its end is that stay: what it returns is kept in its task
 * until kthread_stop reads it (a thread bound to a CPU that has just died could not run there any more).
 */
const do_stop = kernel_function('do_stop', (smdata: Ptr): number => {
  const stop = stop_machine_data.at(smdata);
  let result = stop_machine();
  if (result === 0) {
    result = call_pointer(stop.fn, stop.data) as number;
    restart_machine();
  }
  complete(stop.done);
  return result;
});

/**
 * Starts the stop thread and waits until the machine runs again.
 * @param cpu where to run `fn`; NR_CPUS = here
 * @returns the stop thread, for kthread_stop to read its result, or a negative errno if it could not be made
 */
export const __stop_machine_run = kernel_function(
  '__stop_machine_run',
  (fn: KernelFunction<[Ptr], number>, data: Ptr, cpu: number): number => {
    const smdata = stack_alloc(stop_machine_data);
    smdata.fn = fn.addr;
    smdata.data = data;
    init_completion(smdata.done);
    mutex_lock(stopmachine_mutex);
    const where = cpu === NR_CPUS ? raw_smp_processor_id() : cpu;
    const thread = kthread_create(do_stop.addr, smdata.addr, where, 'kstopmachine');
    if (thread >= 0) {
      wake_up_process(thread);
      // A stop thread bound to this CPU gets it here: no interrupt tells us of a thread we queued ourselves.
      preempt_check_resched();
      wait_for_completion(smdata.done);
    }
    mutex_unlock(stopmachine_mutex);
    return thread;
  },
);

/**
 * Runs `fn(data)` while the rest of the machine stands still.
 * @param cpu where; NR_CPUS = here
 * @returns what `fn` returned, or why the machine could not be stopped
 */
export const stop_machine_run = kernel_function(
  'stop_machine_run',
  (fn: KernelFunction<[Ptr], number>, data: Ptr, cpu: number): number => {
    lock_cpu_hotplug();
    const thread = __stop_machine_run(fn, data, cpu);
    const result = thread < 0 ? thread : kthread_stop(thread);
    unlock_cpu_hotplug();
    return result;
  },
);
