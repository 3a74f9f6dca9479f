/**
 * Tasks, and who runs on a CPU. @linux kernel/sched.c, kernel/kthread.c, kernel/fork.c, as of 2.6.24
 *
 * A CPU's thread has one stack, so tasks nest: a kernel thread that preempts a task, or runs while a task sleeps, runs
 * on top of it and must end before it goes on. Kernel threads here are the stop-machine threads, which do. User tasks
 * never nest: a second one waits until the first is done.
 *
 * A task moves only where it can be preempted or sleeps: its thread then is another CPU (cpu-worker/exchange.ts), so
 * nothing about the CPU is kept in a variable over such a place. With preemption or interrupts off it stays.
 *
 * Leaves out: time slices, priorities beyond "kernel threads first", load balancing, wait queues (a sleeper waits for
 * memory to change, architecture wall 6).
 */
import { EAGAIN, EINVAL } from '#base/errno';
import { bus, currentCpu } from '#memory/bus';
import { cpu_isset, cpumask_t, cpus_copy, cpus_intersects } from '#memory/cpumask';
import { vmlinux } from '#memory/image';
import { CpuWord, MACHINE_BLOCK, MachineWord, TASK_BYTES } from '#memory/layout';
import { list_head } from '#memory/list';
import { __get_cpu_var, per_cpu, per_cpu_ptr } from '#memory/percpu';
import {
  NULL,
  type Ptr,
  READ_ONCE,
  type StructView,
  WRITE_ONCE,
  addressOf,
  char,
  ptr,
  s32,
  struct,
  u32,
  xchg,
} from '#memory/struct';
import { type KernelFunction, call_pointer, kernel_function } from '#memory/symbols';
import { AccessKind, EventType } from '#trace/events';
import { arch } from './arch.ts';
import { NR_CPUS, cpu_online_map, cpu_possible_map, first_online_cpu, next_online_cpu } from './cpumask.ts';
import { should_fail_allocation } from './fault_inject.ts';
import {
  in_atomic,
  might_sleep,
  preempt_count,
  dec_preempt_count,
  inc_preempt_count,
  preempt_enable_no_resched,
} from './irqflags.ts';
import { KERN_ERR, dump_stack, panic, printk, report_finding } from './printk.ts';

export const TASK_FREE = 0;
export const TASK_NEW = 1;
export const TASK_RUNNABLE = 2;
export const TASK_RUNNING = 3;
export const TASK_SLEEPING = 4;
export const TASK_DEAD = 5;

export const PF_KTHREAD = 1;
/** The host waits for this task's end. */
export const PF_HOST = 2;

/** Nobody waits for this task: its structure is free as soon as it ends. */
export const PF_REAP = 4;

/** exit_code of a task that an oops ended. */
export const KILLED = -0x7fffffff;

/**
 * `pid` comes first: the trace reads it from here. The task owns its fields while it runs; before that, who made it;
 * `state` and `next` are guarded by the run queue's lock, under which `state` and the queue's counts are written; who only looks, and
 * comes again or asks under the lock, does so without it: hence ONCE.
 */
export const task_struct = struct('task_struct', {
  pid: u32,
  state: u32,
  flags: u32,
  /** the CPU it runs on, or is queued for */
  cpu: u32,
  fn: ptr,
  arg0: u32,
  arg1: u32,
  arg2: u32,
  arg3: u32,
  exit_code: s32,
  next: ptr,
  /** identity of the address space: host processes differ in it, kernel threads have 0 */
  mm: u32,
  signal_pending: u32,
  /** times it has gone to sleep or waited for a CPU: the laboratory's count, for who watches tasks */
  nvcsw: u32,
  preempt_notifiers: list_head,
  comm: char(16),
  /** argument of a system call that takes a name */
  text: char(96),
  cpus_allowed: cpumask_t,
});
export type task_struct = StructView<typeof task_struct>;

export const rq = struct('rq', {
  /** raw: taken with interrupts off, held for a few stores */
  lock: u32,
  kthreads: ptr,
  users: ptr,
  nr_kthreads: u32,
  nr_users: u32,
  /** tasks the host has posted, newest first; anybody pushes, this CPU takes all */
  inbox: ptr,
  /** the running task, NULL in the idle loop: owned by this CPU, read by cpu_down */
  curr: ptr,
  /** TIF_NEED_RESCHED of whoever runs: set and read by this CPU alone, see set_need_resched */
  need_resched: u32,
});
export const runqueues = vmlinux.DEFINE_PER_CPU('runqueues', rq);
const last_pid = vmlinux.DEFINE('last_pid', u32);

/** The task that runs on this CPU. In the idle loop there is none, and its fields are an oops. */
export function current_task(): task_struct {
  return task_struct.at(bus.registers.get(CpuWord.CURRENT_TASK));
}

function lock_queue(queue: StructView<typeof rq>): boolean {
  const enabled = bus.registers.irqsEnabled;
  arch.cli();
  bus.acquire32(queue.addr, 1);
  return enabled;
}

function unlock_queue(queue: StructView<typeof rq>, enabled: boolean): void {
  bus.store32Marked(queue.addr, 0, AccessKind.RELEASE);
  if (enabled) arch.sti();
}

/** Takes a task structure. NULL if the machine's task table is full. */
function alloc_task_struct(): Ptr {
  const { tasks, nrTasks } = bus.layout;
  for (let index = 0; index < nrTasks; index++) {
    const address = tasks + index * TASK_BYTES;
    const state = address + task_struct.offsetof('state');
    if (bus.load32Marked(state, AccessKind.ONCE) !== TASK_FREE) continue;
    if (bus.compareExchange32(state, TASK_FREE, TASK_NEW) === TASK_FREE) return address;
  }
  return NULL;
}

/** Gives a task structure back; its exit code has been read. */
export function free_task(task: task_struct): void {
  bus.store32Marked(task.addr + task_struct.offsetof('state'), TASK_FREE, AccessKind.RELEASE);
}

/**
 * A kernel thread, bound to a CPU, not yet running. @linux kthread_create + kthread_bind
 * @returns the task, or -ENOMEM / -EAGAIN (then the value is negative)
 */
export const kthread_create = kernel_function(
  'kthread_create',
  (fn: Ptr, data: Ptr, cpu: number, comm: string): number => {
    const error = should_fail_allocation('kthread_create', comm);
    if (error !== 0) return error;
    const address = alloc_task_struct();
    if (address === NULL) return -EAGAIN;
    const task = task_struct.at(address);
    task.pid = bus.add32(last_pid.addr, 1) + 2;
    task.flags = PF_KTHREAD;
    task.cpu = cpu;
    task.fn = fn;
    task.arg0 = data;
    task.arg1 = 0;
    task.arg2 = 0;
    task.arg3 = 0;
    task.exit_code = 0;
    task.mm = 0;
    task.preempt_notifiers.next = NULL;
    task.signal_pending = 0;
    cpus_copy(task.cpus_allowed, cpu_possible_map);
    task.comm = comm;
    return address;
  },
);

/** A user task that starts running `fn(arg0)` on a CPU. Made by the kernel itself; the host posts its own. */
export const user_thread = kernel_function('kernel_thread', (fn: Ptr, arg0: number, cpu: number): number => {
  const address = kthread_create(fn, arg0, cpu, 'init');
  if (address < 0) return address;
  task_struct.at(address).flags = PF_HOST | PF_REAP;
  wake_up_process(address);
  return address;
});

/** Queues a task on its CPU and lets that CPU know. */
export const wake_up_process = kernel_function('wake_up_process', (address: Ptr): void => {
  const task = task_struct.at(address);
  const { cpu } = task;
  const queue = per_cpu(runqueues, cpu);
  inc_preempt_count();
  const enabled = lock_queue(queue);
  task.next = NULL;
  WRITE_ONCE(task, 'state', TASK_RUNNABLE);
  const preempts = (task.flags & PF_KTHREAD) !== 0;
  if (preempts) {
    queue.kthreads = append(queue.kthreads, address);
    WRITE_ONCE(queue, 'nr_kthreads', queue.nr_kthreads + 1);
  } else {
    queue.users = append(queue.users, address);
    WRITE_ONCE(queue, 'nr_users', queue.nr_users + 1);
  }
  unlock_queue(queue, enabled);
  // For this CPU no interrupt tells: who waits gets it here, if preemption is on.
  if (cpu !== currentCpu()) arch.sendIpi(cpu, RESCHEDULE_VECTOR);
  else if (preempts) set_need_resched();
  preempt_enable();
});

const RESCHEDULE_VECTOR = 1;

function append(head: Ptr, address: Ptr): Ptr {
  if (head === NULL) return address;
  append_chain(head, address);
  return head;
}

function append_chain(head: Ptr, chain: Ptr): void {
  let last = task_struct.at(head);
  while (last.next !== NULL) last = task_struct.at(last.next);
  last.next = chain;
}

/** Stops the thread: waits for its end and answers its exit code. @linux kthread_stop */
export const kthread_stop = kernel_function('kthread_stop', (address: Ptr): number => {
  const task = task_struct.at(address);
  const state = address + task_struct.offsetof('state');
  wait_event(state, () => bus.load32Marked(state, AccessKind.ACQUIRE) === TASK_DEAD);
  const result = task.exit_code;
  free_task(task);
  return result;
});

/** Queues what the host posted, oldest first. */
function take_inbox(queue: StructView<typeof rq>): void {
  if (READ_ONCE(queue, 'inbox') === NULL) return;
  const enabled = lock_queue(queue);
  let posted = xchg(queue, 'inbox', NULL);
  let reversed = NULL;
  while (posted !== NULL) {
    const task = task_struct.at(posted);
    const { next } = task;
    task.next = reversed;
    reversed = posted;
    WRITE_ONCE(queue, 'nr_users', queue.nr_users + 1);
    posted = next;
  }
  if (queue.users === NULL) queue.users = reversed;
  else append_chain(queue.users, reversed);
  unlock_queue(queue, enabled);
}

/** Takes the next task off this CPU's queue: kernel threads first, user tasks only if `users`. */
function pick_next_task(users: boolean): Ptr {
  const queue = __get_cpu_var(runqueues);
  if (users) take_inbox(queue);
  if (READ_ONCE(queue, 'nr_kthreads') === 0 && (!users || READ_ONCE(queue, 'nr_users') === 0)) {
    // Who comes later tells by an interrupt, and none has been taken since that look.
    clear_need_resched();
    return NULL;
  }
  const enabled = lock_queue(queue);
  let next = queue.kthreads;
  if (next !== NULL) {
    queue.kthreads = task_struct.at(next).next;
    WRITE_ONCE(queue, 'nr_kthreads', queue.nr_kthreads - 1);
  } else if (users) {
    next = queue.users;
    if (next !== NULL) {
      queue.users = task_struct.at(next).next;
      WRITE_ONCE(queue, 'nr_users', queue.nr_users - 1);
    }
  }
  unlock_queue(queue, enabled);
  return next;
}

/** True if anybody waits for this CPU. What the idle loop waits for. */
export function rq_has_work(): boolean {
  const queue = __get_cpu_var(runqueues);
  return (
    READ_ONCE(queue, 'nr_kthreads') !== 0 ||
    READ_ONCE(queue, 'nr_users') !== 0 ||
    READ_ONCE(queue, 'inbox') !== NULL
  );
}

/**
 * Runs a task from its start to its end, on top of whatever this CPU was doing. Preemption is off before and after, so
 * that nobody gets this CPU, or takes it away, while who runs on it is half said.
 */
function context_switch(next: Ptr): void {
  const previous = bus.registers.get(CpuWord.CURRENT_TASK);
  const saved_count = bus.registers.preemptCount;
  const task = task_struct.at(next);
  WRITE_ONCE(task, 'state', TASK_RUNNING);
  WRITE_ONCE(__get_cpu_var(runqueues), 'curr', next);
  bus.registers.set(CpuWord.CURRENT_TASK, next);
  bus.emit(EventType.TASK, next, task.pid, 1, 0);
  bus.registers.set(CpuWord.PREEMPT_COUNT, 0);
  const result = arch.runTask(task.fn, task.arg0, task.arg1, task.arg2, task.text);
  // What an oops left behind is the oops's fault, and has been told.
  if (result !== KILLED) check_preempt_balance(task);
  // The task may have moved: this may be another CPU.
  bus.registers.set(CpuWord.PREEMPT_COUNT, saved_count);
  do_exit(task, result, previous);
}

/** A task that ends has given back what it took of the preemption count. @linux the note in do_exit, kernel/exit.c */
function check_preempt_balance(task: task_struct): void {
  const count = preempt_count();
  if (count === 0) return;
  const title = `note: ${task.comm} exited with preempt_count ${count}`;
  report_finding('bug', title, `pid ${task.pid}`);
  printk(KERN_ERR, `note: ${task.comm}[${task.pid}] exited with preempt_count ${count}`);
}

/** Nobody gives up the CPU while he has it for himself. @linux __schedule_bug */
function check_schedule_debug(): void {
  if (!in_atomic()) return;
  const running = bus.registers.get(CpuWord.CURRENT_TASK);
  const { comm, pid } = running === NULL ? IDLE : task_struct.at(running);
  const count = `0x${preempt_count().toString(16).padStart(8, '0')}`;
  report_finding('bug', `BUG: scheduling while atomic: ${comm}`, `preempt_count ${count}, pid ${pid}`);
  printk(KERN_ERR, `BUG: scheduling while atomic: ${comm}/${pid}/${count}`);
  dump_stack();
}

const IDLE = { comm: 'swapper', pid: 0 } as const;

/** True while a CPU runs its idle task. */
export function idle_cpu(cpu: number): boolean {
  return READ_ONCE(per_cpu(runqueues, cpu), 'curr') === NULL;
}

/** Address to watch for a change of idle_cpu. */
export function idle_cpu_word(cpu: number): Ptr {
  return addressOf(per_cpu(runqueues, cpu), 'curr');
}

/** The end of a task: once it is called dead, its structure belongs to who waits for it. */
function do_exit(task: task_struct, result: number, previous: Ptr): void {
  bus.emit(EventType.TASK, task.addr, task.pid, 0, 1);
  const is_host = (task.flags & PF_HOST) !== 0;
  const reap = (task.flags & PF_REAP) !== 0;
  // Nobody asks how the first task ended: its death is the machine's.
  if (is_host && reap && result === KILLED) panic('Attempted to kill init!');
  task.exit_code = result;
  bus.registers.set(CpuWord.CURRENT_TASK, previous);
  WRITE_ONCE(__get_cpu_var(runqueues), 'curr', previous);
  // Release: whoever sees TASK_DEAD sees the exit code. Pairs with kthread_stop and the host.
  const state = reap ? TASK_FREE : TASK_DEAD;
  bus.store32Marked(task.addr + task_struct.offsetof('state'), state, AccessKind.RELEASE);
  if (is_host) {
    bus.count32(MACHINE_BLOCK + MachineWord.TASKS_OPEN * 4, -1);
    arch.ringHost();
  }
}

/**
 * Runs who waits for this CPU, from the idle loop. A task that has lost its own CPU has its turn between two of them: it may hold
 * what they wait for, and those that come may never end.
 */
export const schedule = kernel_function('schedule', (): void => {
  for (let next = pick_next_task(true); next !== NULL; next = pick_next_task(true)) {
    context_switch(next);
    if (arch.offline() || arch.orphansNow()) return;
  }
});

/**
 * A kernel thread takes the CPU from the running code, if that may be preempted. Fires the current task's preempt
 * notifiers around it (spec 5.5).
 */
export const preempt_schedule = kernel_function('preempt_schedule', (): void => {
  do {
    inc_preempt_count();
    for (let next = pick_next_task(false); next !== NULL; next = pick_next_task(false)) {
      const running = bus.registers.get(CpuWord.CURRENT_TASK);
      // A task that sleeps, or waits for a CPU, is not running though it is the current one.
      const runs = running !== NULL && READ_ONCE(task_struct.at(running), 'state') === TASK_RUNNING;
      if (runs) fire_sched_out_preempt_notifiers(running, next);
      context_switch(next);
      if (runs) {
        // If this CPU went offline under the task, the task goes on elsewhere.
        if (arch.offline()) {
          arch.migrate(running);
          lift_restriction(running, currentCpu());
        }
        fire_sched_in_preempt_notifiers(running);
      }
    }
    preempt_enable_no_resched();
  } while (need_resched());
});

/** Preemption on again; who waited for that runs now. */
export function preempt_enable(): void {
  if (!dec_preempt_count()) preempt_enable_no_resched();
  if (should_resched()) preempt_schedule();
}

/** Where preemption may happen: count zero, interrupts on, not in an interrupt, somebody waits. */
export function preempt_check_resched(): void {
  if (should_resched()) preempt_schedule();
}

/** @plain */
function should_resched(): boolean {
  const { registers } = bus;
  if (registers.preemptCount !== 0 || registers.hardirqCount !== 0 || !registers.irqsEnabled) return false;
  return need_resched();
}

/**
 * Whether this CPU has been told that kernel threads wait for it. In Linux whoever queues one says so in the running task's
 * flags, and then interrupts. Here the interrupt's handler does, so that a look at the flag is no look at what others write:
 * it comes at every preempt_enable, and what it depended on would have to be an operation. What is lost is a preemption
 * between the two, which finds the queue locked until the interrupt is on its way.
 * @plain
 */
export function need_resched(): boolean {
  return bus.loadLocal32(runqueues.addr + NEED_RESCHED + bus.perCpuOffset) !== 0;
}

/** @plain */
export function set_need_resched(): void {
  bus.storeLocal32(runqueues.addr + NEED_RESCHED + bus.perCpuOffset, 1);
}

/** @plain */
function clear_need_resched(): void {
  bus.storeLocal32(runqueues.addr + NEED_RESCHED + bus.perCpuOffset, 0);
}

/**
 * Who runs on a CPU, said by the laboratory: no scheduling point.
 * @plain
 */
export function set_curr(cpu: number, task: Ptr): void {
  bus.storeLocal32(per_cpu_ptr(runqueues, cpu) + CURR, task);
}

const NEED_RESCHED = rq.offsetof('need_resched');
const CURR = rq.offsetof('curr');
const NVCSW = task_struct.offsetof('nvcsw');

/**
 * Sleeps until `condition` over memory holds. Interrupts are taken and kernel threads run meanwhile.
 * @param watch address of the word whose change ends the wait
 */
export const wait_event = kernel_function('wait_event', (watch: Ptr, condition: () => boolean): void => {
  might_sleep('wait_event');
  if (condition()) return;
  check_schedule_debug();
  const running = bus.registers.get(CpuWord.CURRENT_TASK);
  if (running === NULL) {
    bus.waitUntil(watch, condition);
    return;
  }
  sched_out(running, TASK_SLEEPING);
  sleep_until(watch, condition, running);
  sched_in(running);
});

/** The running task stops running. */
function sched_out(running: Ptr, state: number): void {
  inc_preempt_count();
  bus.count32(running + NVCSW, 1);
  WRITE_ONCE(task_struct.at(running), 'state', state);
  fire_sched_out_preempt_notifiers(running, NULL);
  preempt_enable();
}

/** The current task runs again, on a CPU where it may. */
function sched_in(running: Ptr): void {
  inc_preempt_count();
  while (arch.misplaced(running)) {
    preempt_enable();
    arch.migrate(running);
    inc_preempt_count();
  }
  lift_restriction(running, currentCpu());
  WRITE_ONCE(task_struct.at(running), 'state', TASK_RUNNING);
  fire_sched_in_preempt_notifiers(running);
  preempt_enable();
}

/** A sleeper's CPU is free for others: a task that waits for one may have it, and the sleeper goes on as its CPU. */
function sleep_until(watch: Ptr, condition: () => boolean, running: Ptr): void {
  // A kernel thread has a task below it on its stack, and would take that along.
  const bound = (task_struct.at(running).flags & PF_KTHREAD) !== 0;
  for (;;) {
    bus.waitUntil(watch, () => arch.offline() || condition() || (!bound && arch.orphans()));
    if (arch.offline()) arch.migrate(running, watch, condition);
    else if (condition()) return;
    else if (!bound) arch.adopt();
    // Who waited for the CPU that this one is now was announced to its former thread.
    preempt_check_resched();
  }
}

/** As wait_event, for at most `timeout_us` simulated microseconds; answers whether the condition held. */
export const wait_event_timeout = kernel_function(
  'wait_event_timeout',
  (watch: Ptr, condition: () => boolean, timeout_us: number): boolean => {
    might_sleep('wait_event_timeout');
    if (condition()) return true;
    check_schedule_debug();
    return bus.waitUntilTimeout(watch, condition, timeout_us);
  },
);

/**
 * Restricts the running task to `mask`, and moves it there if it is not.
 * Where no CPU of the mask is idle, the task waits for one to be.
 * @returns 0, or -EINVAL for a mask without an online CPU
 */
export const set_cpus_allowed = kernel_function('set_cpus_allowed', (mask: cpumask_t): number => {
  const task = current_task();
  // With preemption off here no CPU goes offline.
  inc_preempt_count();
  const error = cpus_intersects(mask, cpu_online_map) ? 0 : -EINVAL;
  if (error === 0) cpus_copy(task.cpus_allowed, mask);
  const misplaced = arch.misplaced(task.addr);
  preempt_enable();
  if (misplaced) {
    check_schedule_debug();
    sched_out(task.addr, TASK_RUNNABLE);
    sched_in(task.addr);
  }
  return error;
});

/** A task that is not misplaced on a CPU outside cpus_allowed has lost all it was restricted to: it may go anywhere now. */
function lift_restriction(task: Ptr, cpu: number): void {
  const { cpus_allowed } = task_struct.at(task);
  // Only the task itself writes its mask: a local read.
  const word = bus.loadLocal32(cpus_allowed.addr + (cpu >>> 5) * 4);
  if (((word >>> (cpu & 31)) & 1) === 0) cpus_copy(cpus_allowed, cpu_possible_map);
}

/** From now on `task`, or the idle task, runs on that CPU. Interrupts or preemption are off. */
export function task_moved(task: Ptr, cpu: number): void {
  if (task !== NULL) task_struct.at(task).cpu = cpu;
  WRITE_ONCE(per_cpu(runqueues, cpu), 'curr', task);
}

/**
 * Gives the tasks that wait for a dead CPU to others.
 * Must hold cpu_add_remove_lock; the CPU is dead, so nobody takes from its queue.
 */
export function migrate_live_tasks(dead: number): void {
  const queue = per_cpu(runqueues, dead);
  take_inbox(queue);
  const enabled = lock_queue(queue);
  let task = queue.users;
  queue.users = NULL;
  WRITE_ONCE(queue, 'nr_users', 0);
  unlock_queue(queue, enabled);
  while (task !== NULL) {
    const { next } = task_struct.at(task);
    task_struct.at(task).cpu = select_cpu(task);
    wake_up_process(task);
    task = next;
  }
}

/** The first online CPU a task may run on; where there is none, its restriction is lifted, as in Linux. */
function select_cpu(task: Ptr): number {
  for (let cpu = first_online_cpu(); cpu < NR_CPUS; cpu = next_online_cpu(cpu)) {
    if (task_may_run_on(task, cpu)) return cpu;
  }
  cpus_copy(task_struct.at(task).cpus_allowed, cpu_possible_map);
  return first_online_cpu();
}

/** True if the task may run on that CPU. */
function task_may_run_on(task: Ptr, cpu: number): boolean {
  return cpu_isset(cpu, task_struct.at(task).cpus_allowed);
}

/** Lets kernel threads that wait for this CPU run. */
export function yield_cpu(): void {
  preempt_check_resched();
}

/** One preemption notifier: its operations, and its place in the task's list. */
export const preempt_notifier = struct('preempt_notifier', { link: ptr, ops: ptr });
export type preempt_notifier = StructView<typeof preempt_notifier>;
export const preempt_ops = struct('preempt_ops', { sched_in: ptr, sched_out: ptr });

function fire_sched_in_preempt_notifiers(task: Ptr): void {
  let entry = task_struct.at(task).preempt_notifiers.next;
  while (entry !== NULL) {
    const notifier = preempt_notifier.at(entry);
    const next = notifier.link;
    call_pointer(preempt_ops.at(notifier.ops).sched_in, entry, currentCpu());
    entry = next;
  }
}

/** Interrupts are off around sched_out, as they are under the run queue's lock in Linux. */
function fire_sched_out_preempt_notifiers(task: Ptr, next_task: Ptr): void {
  let entry = task_struct.at(task).preempt_notifiers.next;
  if (entry === NULL) return;
  const enabled = bus.registers.irqsEnabled;
  arch.cli();
  while (entry !== NULL) {
    const notifier = preempt_notifier.at(entry);
    const next = notifier.link;
    call_pointer(preempt_ops.at(notifier.ops).sched_out, entry, next_task);
    entry = next;
  }
  if (enabled) arch.sti();
}

/** Interrupt return: the place where a reschedule IPI takes effect. */
export function preempt_schedule_irq(): void {
  if (preempt_count() === 0) preempt_check_resched();
}

/** The handler of the reschedule IPI: what matters happens on the way out of the interrupt. */
export const smp_reschedule_interrupt: KernelFunction<[], void> = kernel_function(
  'smp_reschedule_interrupt',
  (): void => {
    if (READ_ONCE(__get_cpu_var(runqueues), 'nr_kthreads') !== 0) set_need_resched();
  },
);
