import {
  DEFINE,
  NULL,
  READ_ONCE,
  WRITE_ONCE,
  atomic_inc,
  atomic_read,
  atomic_set,
  atomic_t,
  call,
  cpu_online_map,
  first_cpu,
  kernel_function,
  kthread_create,
  kthread_stop,
  local_irq_disable,
  local_irq_enable,
  next_cpu,
  preempt_disable,
  preempt_enable,
  raw_smp_processor_id,
  scenario,
  shared,
  smp_call_function,
  stop_machine_run,
  waitUntil,
  wake_up_process,
} from 'smplab';

const CPUS = 3;

const STOPMACHINE_WAIT = 0;
export const STOPMACHINE_PREPARE = 1;
export const STOPMACHINE_DISABLE_IRQ = 2;
export const STOPMACHINE_EXIT = 3;

const state = shared('stopmachine_state');
const num_threads = shared('stopmachine_num_threads');
const thread_ack = DEFINE('stopmachine_thread_ack', atomic_t);

/** Something waits for CPU 1. What a helper that yields looks at. */
const kswapd_woken = shared('kswapd_woken');

const flush_tlb = kernel_function('flush_tlb', (): void => {});

/** A kernel thread that unmaps memory: every CPU has to forget it. */
const kswapd = kernel_function('kswapd', (): number => {
  smp_call_function(flush_tlb, NULL, 0, 1);
  return 0;
});

/** Until the machine is prepared, a helper lets others have the CPU. */
function wait_and_yield(last: number): void {
  if (last !== STOPMACHINE_WAIT || raw_smp_processor_id() !== 1) {
    waitUntil(() => READ_ONCE(state, 'value') !== last);
    return;
  }
  waitUntil(() => READ_ONCE(state, 'value') !== last || READ_ONCE(kswapd_woken, 'value') === 1);
  if (READ_ONCE(kswapd_woken, 'value') === 1) call('preempt_schedule');
  waitUntil(() => READ_ONCE(state, 'value') !== last);
}

const stopmachine_2_6_14 = kernel_function('stopmachine_2_6_14', (): number => {
  let irqs_off = false;
  let prepared = false;
  atomic_inc(thread_ack);
  let seen = STOPMACHINE_WAIT;
  while (seen !== STOPMACHINE_EXIT) {
    wait_and_yield(seen);
    seen = READ_ONCE(state, 'value');
    if (seen === STOPMACHINE_PREPARE && !prepared) {
      preempt_disable();
      prepared = true;
      atomic_inc(thread_ack);
    } else if (seen === STOPMACHINE_DISABLE_IRQ && !irqs_off) {
      local_irq_disable();
      irqs_off = true;
      atomic_inc(thread_ack);
    }
  }
  atomic_inc(thread_ack);
  if (irqs_off) local_irq_enable();
  if (prepared) preempt_enable();
  return 0;
});

/** Announces a state and waits until every helper has acknowledged it. */
export function stopmachine_set_state(next: number): void {
  atomic_set(thread_ack, 0);
  WRITE_ONCE(state, 'value', next);
  wait_for_acks();
}

function wait_for_acks(): void {
  const threads = num_threads.value;
  waitUntil(() => atomic_read(thread_ack) === threads);
}

/** Helpers are made, and have come to life. */
export function start_helpers(): void {
  atomic_set(thread_ack, 0);
  num_threads.value = 0;
  WRITE_ONCE(state, 'value', STOPMACHINE_WAIT);
  const me = raw_smp_processor_id();
  for (let cpu = first_cpu(cpu_online_map); cpu < CPUS; cpu = next_cpu(cpu, cpu_online_map)) {
    if (cpu === me) continue;
    const thread = kthread_create(stopmachine_2_6_14.addr, 0, cpu, 'kstopmachine');
    wake_up_process(thread);
    num_threads.value += 1;
  }
  wait_for_acks();
}

const sync = kernel_function('sync', (): number => 0);

export default scenario({
  name: 'the machine is stopped while a kernel thread calls every CPU',
  cpus: CPUS,
  races: 'ignore',
  patches: {
    // Its own interrupts go off first.
    stop_machine(): number {
      start_helpers();
      local_irq_disable();
      stopmachine_set_state(STOPMACHINE_PREPARE);
      stopmachine_set_state(STOPMACHINE_DISABLE_IRQ);
      return 0;
    },
    restart_machine(): void {
      stopmachine_set_state(STOPMACHINE_EXIT);
      local_irq_enable();
    },
  },
  on: {
    0: function stop(): void {
      stop_machine_run(sync, NULL, 0);
    },
    2: function wake_kswapd(): void {
      const thread = kthread_create(kswapd.addr, 0, 1, 'kswapd');
      wake_up_process(thread);
      WRITE_ONCE(kswapd_woken, 'value', 1);
      kthread_stop(thread);
    },
  },
});
