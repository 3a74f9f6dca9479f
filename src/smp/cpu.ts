/**
 * CPU hotplug. @linux kernel/cpu.c, as of 2.6.24 (spec 7.1-7.6)
 *
 * Lock order: cpu_add_remove_lock > cpu_bitmask_lock > stopmachine_mutex > call_lock.
 */
import { EBUSY, EINVAL } from '#base/errno';
import { vmlinux } from '#memory/image';
import { stack_alloc } from '#memory/stack';
import { NULL, type Ptr, s32, struct, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import {
  NR_CPUS,
  cpu_clear,
  cpu_online,
  cpu_online_map,
  cpu_possible,
  cpu_present,
  cpu_set,
  cpumask_t,
  cpus_clear,
  cpus_copy,
  cpus_empty,
  first_cpu,
  first_online_cpu,
  next_cpu,
  next_online_cpu,
  num_online_cpus,
} from './cpumask.ts';
import { should_fail } from './fault_inject.ts';
import { cpu_bitmask_lock } from './hotplug_lock.ts';
import { mutex, mutex_lock, mutex_unlock } from './mutex.ts';
import {
  NOTIFY_BAD,
  __raw_notifier_call_chain,
  type notifier_block,
  raw_notifier_chain_register,
  raw_notifier_chain_unregister,
  raw_notifier_head,
} from './notifier.ts';
import { BUG_ON, KERN_ERR, KERN_INFO, KERN_WARNING, WARN_ON, printk } from './printk.ts';
import {
  current_task,
  idle_cpu,
  idle_cpu_word,
  kthread_stop,
  set_cpus_allowed,
  wait_event,
} from './sched.ts';
import { __cpu_die, __cpu_disable, __cpu_up } from './smpboot.ts';
import { __stop_machine_run } from './stop_machine.ts';

export { lock_cpu_hotplug, unlock_cpu_hotplug } from './hotplug_lock.ts';

export const CPU_ONLINE = 0x0002;
export const CPU_UP_PREPARE = 0x0003;
export const CPU_UP_CANCELED = 0x0004;
export const CPU_DOWN_PREPARE = 0x0005;
export const CPU_DOWN_FAILED = 0x0006;
export const CPU_DEAD = 0x0007;
export const CPU_LOCK_ACQUIRE = 0x0008;
export const CPU_LOCK_RELEASE = 0x0009;
export const CPU_DYING = 0x000a;
/** ORed to the others while tasks are frozen for suspend; never to the two LOCK actions. */
export const CPU_TASKS_FROZEN = 0x0010;

/** Held for the whole of cpu_up and cpu_down, and by who registers a notifier. */
export const cpu_add_remove_lock = vmlinux.DEFINE('cpu_add_remove_lock', mutex);
/** Guarded by cpu_add_remove_lock. */
export const cpu_chain = vmlinux.DEFINE('cpu_chain', raw_notifier_head);
/** Nonzero: cpu_up and cpu_down answer -EBUSY. Guarded by cpu_add_remove_lock. */
export const cpu_hotplug_disabled = vmlinux.DEFINE('cpu_hotplug_disabled', u32);

export const register_cpu_notifier = kernel_function(
  'register_cpu_notifier',
  (nb: notifier_block): number => {
    mutex_lock(cpu_add_remove_lock);
    const result = raw_notifier_chain_register(cpu_chain, nb);
    mutex_unlock(cpu_add_remove_lock);
    return result;
  },
);

export const unregister_cpu_notifier = kernel_function(
  'unregister_cpu_notifier',
  (nb: notifier_block): void => {
    mutex_lock(cpu_add_remove_lock);
    raw_notifier_chain_unregister(cpu_chain, nb);
    mutex_unlock(cpu_add_remove_lock);
  },
);

/** Where take_cpu_down finds what it needs: on the stack of _cpu_down. */
const take_cpu_down_param = struct('take_cpu_down_param', { mod: u32, hcpu: u32 });

/** Runs on the dying CPU with the machine stopped. CPU_DYING comes first; then the CPU may still refuse (5.3). */
export const take_cpu_down = kernel_function('take_cpu_down', (param: Ptr): number => {
  const { mod, hcpu } = take_cpu_down_param.at(param);
  cpu_notify(CPU_DYING | mod, hcpu, -1, NULL);
  const error = __cpu_disable();
  if (error < 0) return error;
  sched_idle_next();
  return 0;
});

/** The idle task runs next on this CPU: here that is where the stop thread returns to. */
const sched_idle_next = kernel_function('sched_idle_next', (): void => {});

/** Calls the CPU chain. @param nr_calls address of a counter, or NULL */
function cpu_notify(action: number, cpu: number, nr_to_call: number, nr_calls: Ptr): number {
  return __raw_notifier_call_chain(cpu_chain, action, cpu, nr_to_call, nr_calls);
}

const counter_t = struct('int', { value: s32 });

/**
 * As cpu_notify, of the two actions that may be refused. An injected veto is one more notifier's, behind all others: it has been
 * called, and counts as one that has not prepared.
 */
function cpu_ask(action: number, name: string, cpu: number, nr_calls: Ptr): number {
  const answer = cpu_notify(action, cpu, -1, nr_calls);
  if (answer === NOTIFY_BAD || should_fail('notifier-veto', name) === 0) return answer;
  counter_t.at(nr_calls).value += 1;
  return NOTIFY_BAD;
}

/** Must hold cpu_add_remove_lock. */
export const _cpu_down = kernel_function('_cpu_down', (cpu: number, tasks_frozen: number): number => {
  const mod = tasks_frozen !== 0 ? CPU_TASKS_FROZEN : 0;
  if (num_online_cpus() === 1) return -EBUSY;
  if (!cpu_possible(cpu) || !cpu_online(cpu)) return -EINVAL;

  cpu_notify(CPU_LOCK_ACQUIRE, cpu, -1, NULL);
  const nr_calls = stack_alloc(counter_t);
  nr_calls.value = 0;
  let error = cpu_ask(CPU_DOWN_PREPARE | mod, 'CPU_DOWN_PREPARE', cpu, nr_calls.addr);
  if (error === NOTIFY_BAD) {
    // Who said no has not prepared: tell only those before it.
    nr_calls.value -= 1;
    cpu_notify(CPU_DOWN_FAILED | mod, cpu, nr_calls.value, NULL);
    printk(KERN_WARNING, `_cpu_down: attempt to take down CPU ${cpu} failed`);
    cpu_notify(CPU_LOCK_RELEASE, cpu, -1, NULL);
    return -EINVAL;
  }

  // The running task must not be on the CPU that dies.
  const old_allowed = stack_alloc(cpumask_t);
  cpus_copy(old_allowed, current_task().cpus_allowed);
  const elsewhere = stack_alloc(cpumask_t);
  cpus_copy(elsewhere, cpu_online_map);
  cpu_clear(cpu, elsewhere);
  set_cpus_allowed(elsewhere);

  const param = stack_alloc(take_cpu_down_param);
  param.mod = mod;
  param.hcpu = cpu;
  mutex_lock(cpu_bitmask_lock);
  const thread = __stop_machine_run(take_cpu_down, param.addr, cpu);
  mutex_unlock(cpu_bitmask_lock);

  if (thread < 0 || cpu_online(cpu)) {
    // The CPU stays. CPU_DYING may have been sent all the same: KVM has switched it off and does not hear of this.
    const answer = cpu_notify(CPU_DOWN_FAILED | mod, cpu, -1, NULL);
    BUG_ON(answer === NOTIFY_BAD, '_cpu_down: CPU_DOWN_FAILED was refused');
    error = thread < 0 ? thread : 0;
  } else {
    // Point of no return is behind us: the CPU is out of the map and only has to stop.
    wait_event(idle_cpu_word(cpu), () => idle_cpu(cpu));
    __cpu_die(cpu);
    const answer = cpu_notify(CPU_DEAD | mod, cpu, -1, NULL);
    BUG_ON(answer === NOTIFY_BAD, '_cpu_down: CPU_DEAD was refused');
    check_for_tasks(cpu);
    error = 0;
  }
  if (thread >= 0) error = kthread_stop(thread);
  set_cpus_allowed(old_allowed);
  cpu_notify(CPU_LOCK_RELEASE, cpu, -1, NULL);
  return error;
});

/** A dead CPU with a task of its own is a bug of the scheduler's migration notifier. */
const check_for_tasks = kernel_function('check_for_tasks', (cpu: number): void => {
  WARN_ON(!idle_cpu(cpu), `check_for_tasks: CPU ${cpu} is dead and runs a task`);
});

/**
 * Takes a CPU offline.
 * @returns 0, -EBUSY (hotplug disabled, the last CPU, CPU 0), -EINVAL (not online, or a notifier refused), or what
 *   stopping the machine failed with
 */
export const cpu_down = kernel_function('cpu_down', (cpu: number): number => {
  mutex_lock(cpu_add_remove_lock);
  const error = cpu_hotplug_disabled.value !== 0 ? -EBUSY : _cpu_down(cpu, 0);
  mutex_unlock(cpu_add_remove_lock);
  return error;
});

/** Must hold cpu_add_remove_lock. */
export const _cpu_up = kernel_function('_cpu_up', (cpu: number, tasks_frozen: number): number => {
  const mod = tasks_frozen !== 0 ? CPU_TASKS_FROZEN : 0;
  if (cpu_online(cpu) || !cpu_present(cpu)) return -EINVAL;

  cpu_notify(CPU_LOCK_ACQUIRE, cpu, -1, NULL);
  const nr_calls = stack_alloc(counter_t);
  nr_calls.value = 0;
  let result = 0;
  // Point of no return for a veto: after UP_PREPARE only the hardware can still fail.
  if (cpu_ask(CPU_UP_PREPARE | mod, 'CPU_UP_PREPARE', cpu, nr_calls.addr) === NOTIFY_BAD) {
    nr_calls.value -= 1;
    printk(KERN_WARNING, `_cpu_up: attempt to bring up CPU ${cpu} failed`);
    result = -EINVAL;
  } else {
    mutex_lock(cpu_bitmask_lock);
    result = __cpu_up(cpu);
    mutex_unlock(cpu_bitmask_lock);
    if (result === 0) {
      BUG_ON(!cpu_online(cpu), '_cpu_up: __cpu_up answered 0 and the CPU is not online');
      cpu_notify(CPU_ONLINE | mod, cpu, -1, NULL);
    }
  }
  if (result !== 0) cpu_notify(CPU_UP_CANCELED | mod, cpu, nr_calls.value, NULL);
  cpu_notify(CPU_LOCK_RELEASE, cpu, -1, NULL);
  return result;
});

/**
 * Brings a CPU online.
 * @returns 0, -EBUSY (hotplug disabled), -EINVAL (impossible, absent, already online, or a notifier refused), or what
 *   starting it failed with
 */
export const cpu_up = kernel_function('cpu_up', (cpu: number): number => {
  if (!cpu_possible(cpu)) {
    printk(KERN_ERR, `can't online cpu ${cpu} because it is not configured as may-hotadd at boot time`);
    return -EINVAL;
  }
  mutex_lock(cpu_add_remove_lock);
  const error = cpu_hotplug_disabled.value !== 0 ? -EBUSY : _cpu_up(cpu, 0);
  mutex_unlock(cpu_add_remove_lock);
  return error;
});

/** CPUs that suspend took down, for enable_nonboot_cpus. Guarded by cpu_add_remove_lock. */
const frozen_cpus = vmlinux.DEFINE('frozen_cpus', cpumask_t);

/** Takes every CPU but the first online one down, as suspend does. */
export const disable_nonboot_cpus = kernel_function('disable_nonboot_cpus', (): number => {
  let error = 0;
  mutex_lock(cpu_add_remove_lock);
  const first = first_online_cpu();
  cpus_clear(frozen_cpus);
  printk(KERN_INFO, 'Disabling non-boot CPUs ...');
  for (let cpu = first_online_cpu(); cpu < NR_CPUS && error === 0; cpu = next_online_cpu(cpu)) {
    if (cpu === first) continue;
    error = _cpu_down(cpu, 1);
    if (error === 0) {
      cpu_set(cpu, frozen_cpus);
      printk(KERN_INFO, `CPU${cpu} is down`);
    } else {
      printk(KERN_ERR, `Error taking CPU${cpu} down: ${error}`);
    }
  }
  if (error === 0) {
    BUG_ON(num_online_cpus() > 1, 'disable_nonboot_cpus: more than one CPU is left');
    // Nobody may bring a CPU up behind suspend's back.
    cpu_hotplug_disabled.value = 1;
  } else {
    printk(KERN_ERR, 'Non-boot CPUs are not disabled');
  }
  mutex_unlock(cpu_add_remove_lock);
  return error;
});

/** Brings back what disable_nonboot_cpus took down. */
export const enable_nonboot_cpus = kernel_function('enable_nonboot_cpus', (): void => {
  mutex_lock(cpu_add_remove_lock);
  cpu_hotplug_disabled.value = 0;
  if (!cpus_empty(frozen_cpus)) {
    printk(KERN_INFO, 'Enabling non-boot CPUs ...');
    for (let cpu = first_cpu(frozen_cpus); cpu < NR_CPUS; cpu = next_cpu(cpu, frozen_cpus)) {
      const error = _cpu_up(cpu, 1);
      if (error === 0) printk(KERN_INFO, `CPU${cpu} is up`);
      else printk(KERN_WARNING, `Error taking CPU${cpu} up: ${error}`);
    }
    cpus_clear(frozen_cpus);
  }
  mutex_unlock(cpu_add_remove_lock);
});
