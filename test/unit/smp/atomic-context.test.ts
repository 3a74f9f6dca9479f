import { describe, expect, it } from 'vitest';
import { CpuWord } from '#memory/layout';
import { u32 } from '#memory/struct';
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { kernel_function } from '#memory/symbols';
import { EventType, LockKind, LockOperation } from '#trace/events';
import { native_smp_call_function_mask, smp_call_function_single } from '#smp/call_function';
import { cpu_online_map, cpu_possible_map, cpus_clear, cpu_set, cpus_copy } from '#smp/cpumask';
import {
  local_irq_disable,
  local_irq_enable,
  might_sleep,
  preempt_disable,
  preempt_enable_no_resched,
} from '#smp/irqflags';
import { irq_enter, irq_exit } from '#smp/hardirq';
import {
  down_read,
  down_write,
  mutex,
  mutex_lock,
  mutex_trylock,
  mutex_unlock,
  rw_semaphore,
  up_read,
  up_write,
} from '#smp/mutex';
import { get_cpu, put_cpu } from '#smp/percpu';
import { current_task, schedule, set_cpus_allowed, user_thread, wait_event_timeout } from '#smp/sched';
import { smp_processor_id } from '#smp/smp_processor_id';
import { POISON_FREE } from '#kernel/page';
import { spin_lock, spin_trylock, spin_unlock, spinlock_t } from '#smp/spinlock';
import { type Bench, kernelBench } from '../../support/kernel-bench.ts';

const lock = vmlinux.DEFINE('context_test_mutex', mutex);
const sem = vmlinux.DEFINE('context_test_sem', rw_semaphore);
const spin = vmlinux.DEFINE('context_test_spin', spinlock_t);
const flag = vmlinux.DEFINE('context_test_flag', u32);
const nothing = kernel_function('context_test_nothing', (_info: number): number => 0);
const takes_one = kernel_function('context_test_takes_one', (times: number): number => {
  for (let count = 0; count < times; count++) preempt_disable();
  return 0;
});

/** Two possible CPUs, so that a task that may run on both is not bound to one. */
function bench(): Bench {
  const made = kernelBench({ possible: 2 });
  cpus_copy(current_task().cpus_allowed, cpu_possible_map);
  made.clearFindings();
  return made;
}

function titles(made: Bench): string[] {
  return made.findings().map(({ title }) => title);
}

/** A condition that does not hold when it is looked at first, and does when the wait looks. */
function secondLook(): () => boolean {
  let looks = 0;
  return () => ++looks > 1;
}

/** The three ways to be where nobody may sleep, and how to leave them. */
const contexts: readonly (readonly [string, string, () => void, () => void])[] = [
  ['preemption off', 'in_atomic(): 1, irqs_disabled(): 0', preempt_disable, preempt_enable_no_resched],
  ['interrupts off', 'in_atomic(): 0, irqs_disabled(): 1', local_irq_disable, local_irq_enable],
  ['in an interrupt', 'in_atomic(): 1, irqs_disabled(): 0', irq_enter, irq_exit],
];

describe('sleeping in atomic context', () => {
  it.each(contexts)('%s: might_sleep complains, and is content afterwards', (_name, state, enter, leave) => {
    const made = bench();
    enter();
    might_sleep('kmalloc');
    leave();
    might_sleep('kmalloc');
    const [finding, ...more] = made.findings();
    expect(more).toEqual([]);
    expect(finding).toMatchObject({
      kind: 'bug',
      title: 'BUG: sleeping function called from invalid context at kmalloc',
      detail: state,
    });
    expect(made.log()).toContain(state);
  });

  it('mutex_lock under a spinlock complains even if the mutex is free; a trylock may be tried', () => {
    const made = bench();
    spin_lock(spin);
    expect(mutex_trylock(lock)).toBe(true);
    mutex_unlock(lock);
    expect(titles(made)).toEqual([]);
    mutex_lock(lock);
    mutex_unlock(lock);
    spin_unlock(spin);
    expect(titles(made)).toEqual(['BUG: sleeping function called from invalid context at mutex_lock']);
  });

  it('who really gives up the CPU with preemption off is scheduling while atomic; who need not wait is not', () => {
    const made = bench();
    preempt_disable();
    wait_event_timeout(flag.addr, () => true, 1);
    expect(titles(made)).toEqual([
      'BUG: sleeping function called from invalid context at wait_event_timeout',
    ]);
    made.clearFindings();
    wait_event_timeout(flag.addr, secondLook(), 1);
    expect(titles(made)).toContain('BUG: scheduling while atomic: bench');
    preempt_enable_no_resched();
    made.clearFindings();
    wait_event_timeout(flag.addr, secondLook(), 1);
    expect(titles(made)).toEqual([]);
  });
});

describe('smp_processor_id', () => {
  const complaint = 'BUG: using smp_processor_id() in preemptible code: bench';

  it('complains where the task may go on elsewhere', () => {
    const made = bench();
    expect(smp_processor_id()).toBe(0);
    expect(titles(made)).toEqual([complaint]);
  });

  it.each(contexts)('%s: the answer stays right', (_name, _state, enter, leave) => {
    const made = bench();
    enter();
    smp_processor_id();
    leave();
    expect(titles(made)).toEqual([]);
  });

  it('get_cpu, a task bound to one CPU, and the idle task are content', () => {
    const made = bench();
    get_cpu();
    put_cpu();
    const { cpus_allowed } = current_task();
    cpus_clear(cpus_allowed);
    cpu_set(0, cpus_allowed);
    smp_processor_id();
    made.bus.registers.set(CpuWord.CURRENT_TASK, 0);
    smp_processor_id();
    expect(titles(made)).toEqual([]);
  });
});

describe('cross calls with interrupts off', () => {
  it('warn, because two of them wait for each other for ever; with interrupts on they do not', () => {
    const made = bench();
    native_smp_call_function_mask(cpu_online_map, nothing.addr, 0, 1);
    smp_call_function_single(0, nothing, 0, 0, 1);
    expect(titles(made)).toEqual([]);
    local_irq_disable();
    native_smp_call_function_mask(cpu_online_map, nothing.addr, 0, 1);
    local_irq_enable();
    expect(titles(made)).toEqual([
      'WARNING: at native_smp_call_function_mask: called with interrupts off, can deadlock',
    ]);
    made.clearFindings();
    local_irq_disable();
    smp_call_function_single(0, nothing, 0, 0, 1);
    local_irq_enable();
    expect(titles(made)).toEqual([
      'WARNING: at smp_call_function_single: called with interrupts off, can deadlock',
    ]);
  });
});

describe('preemption count at the end of a task', () => {
  it.each([0, 1, 2])('a task that leaves %i behind', (count) => {
    const made = bench();
    expect(user_thread(takes_one.addr, count, 0)).toBeGreaterThan(0);
    schedule();
    expect(titles(made)).toEqual(count === 0 ? [] : [`note: init exited with preempt_count ${count}`]);
    expect(made.bus.registers.preemptCount).toBe(0);
  });

  it('taking back what was never given warns', () => {
    const made = bench();
    preempt_enable_no_resched();
    expect(titles(made)).toEqual(['WARNING: at preempt_enable_no_resched: preemption count below zero']);
  });
});

describe('lock events', () => {
  const { ACQUIRED, RELEASED } = LockOperation;

  function lockEvents(made: Bench, addr: number): number[][] {
    const events = made.trace().filter((event) => event.type === EventType.LOCK && event.a === addr);
    return events.map(({ b, c, d }) => [b, c, d]);
  }

  it('every kind of lock tells when it is taken and let go, and whether it was only tried', () => {
    const made = bench();
    spin_lock(spin);
    spin_unlock(spin);
    expect(spin_trylock(spin)).toBe(true);
    spin_unlock(spin);
    mutex_lock(lock);
    mutex_unlock(lock);
    expect(mutex_trylock(lock)).toBe(true);
    mutex_unlock(lock);
    down_read(sem);
    up_read(sem);
    down_write(sem);
    up_write(sem);
    const taken = (kind: LockKind, tried: number): number[][] => [
      [ACQUIRED, kind, tried],
      [RELEASED, kind, 0],
    ];
    expect(lockEvents(made, spin.addr)).toEqual([
      ...taken(LockKind.SPINLOCK, 0),
      ...taken(LockKind.SPINLOCK, 1),
    ]);
    expect(lockEvents(made, lock.addr)).toEqual([...taken(LockKind.MUTEX, 0), ...taken(LockKind.MUTEX, 1)]);
    expect(lockEvents(made, sem.addr)).toEqual([
      ...taken(LockKind.RWSEM_READ, 0),
      ...taken(LockKind.RWSEM_WRITE, 0),
    ]);
  });
});

describe('set_cpus_allowed', () => {
  it('to a mask the task is in moves nobody and complains of nothing', () => {
    const made = bench();
    expect(set_cpus_allowed(cpu_online_map)).toBe(0);
    expect(titles(made)).toEqual([]);
  });
});

describe('a lock in freed memory', () => {
  const POISONED = 'lock in freed memory';
  const poison = (address: number): void => bus.fill(address, POISON_FREE, 4);

  it.each([
    ['mutex_lock', (): unknown => mutex_lock(lock)],
    ['mutex_trylock', (): unknown => mutex_trylock(lock)],
  ])('%s: a finding, and the mutex taken for a free one, as 2.6.24 does', (_name, take) => {
    const made = bench();
    poison(lock.addr);
    take();
    expect(titles(made)).toEqual([`BUG: mutex_lock: ${POISONED}`]);
    expect(lock.owner).toBe(current_task().addr);
    mutex_unlock(lock);
    take();
    expect(titles(made)).toHaveLength(1);
  });

  it('down_read: a finding, and one reader more', () => {
    const made = bench();
    poison(sem.addr);
    down_read(sem);
    expect(titles(made)).toEqual([`BUG: down_read: ${POISONED}`]);
    up_read(sem);
    expect(sem.count).toBe(0x6b6b6b6b);
  });
});
