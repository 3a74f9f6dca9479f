import {
  CALL_FUNCTION_VECTOR,
  DEFINE_PER_CPU,
  READ_ONCE,
  __get_cpu_var,
  call_pointer,
  cmpxchg,
  cpu_set,
  cpumask_t,
  cpus_clear,
  expect,
  kernel_function,
  NULL,
  per_cpu,
  preempt_disable,
  preempt_enable,
  ptr,
  raw_smp_processor_id,
  scenario,
  send_IPI_mask,
  sharedArray,
  smp_store_release,
  stack_alloc,
  struct,
  type StructView,
  u32,
  waitUntil,
  xchg,
} from 'smplab';

export const CSD_FLAG_LOCK = 1;

/** `next` comes first: a list without a lock, newest first. */
const call_single_data = struct('call_single_data', { next: ptr, flags: u32, func: ptr, info: u32 });
export type call_single_data = StructView<typeof call_single_data>;

/** With diagnostics on: the one descriptor for calls to this CPU, whoever sends them. */
const csd_data = DEFINE_PER_CPU('csd_data', call_single_data);
const llist_head = struct('llist_head', { first: ptr });
const call_single_queue = DEFINE_PER_CPU('call_single_queue', llist_head);

/** Takes the lock bit: waits until it is clear, then sets it. Enough for a descriptor that only its CPU takes. */
const csd_lock = kernel_function('csd_lock', (csd: call_single_data): void => {
  waitUntil(() => (READ_ONCE(csd, 'flags') & CSD_FLAG_LOCK) === 0);
  csd.flags |= CSD_FLAG_LOCK;
});

/** True if the list was empty. */
function llist_add(csd: call_single_data, queue: StructView<typeof llist_head>): boolean {
  for (;;) {
    const first = READ_ONCE(queue, 'first');
    csd.next = first;
    if (cmpxchg(queue, 'first', first, csd.addr) === first) return first === NULL;
  }
}

/** The target's side: takes the whole list, and runs what is on it. */
function flush_smp_call_function_queue(): void {
  let at = xchg(__get_cpu_var(call_single_queue), 'first', NULL);
  while (at !== NULL) {
    const csd = call_single_data.at(at);
    const next = csd.next;
    expect(next !== at, 'a queue goes round in a circle');
    call_pointer(csd.func, csd.info);
    smp_store_release(csd, 'flags', 0);
    at = next;
  }
}

const answered = sharedArray('answered', 3);
/** Who asked has its answer. */
const answer = kernel_function('answer', (sender: number): void => {
  answered.set(sender, 1);
});

const smp_call_function_single_debug = kernel_function(
  'smp_call_function_single_debug',
  (cpu: number): void => {
    preempt_disable();
    const me = raw_smp_processor_id();
    const csd = per_cpu(csd_data, cpu);
    csd_lock(csd);
    csd.func = answer.addr;
    csd.info = me;
    if (llist_add(csd, per_cpu(call_single_queue, cpu))) {
      const mask = stack_alloc(cpumask_t);
      cpus_clear(mask);
      cpu_set(cpu, mask);
      send_IPI_mask(mask, CALL_FUNCTION_VECTOR);
    }
    waitUntil(() => (READ_ONCE(csd, 'flags') & CSD_FLAG_LOCK) === 0);
    expect(answered.get(me) === 1, 'a call is over and has not been made');
    preempt_enable();
  },
);

function ask(): void {
  smp_call_function_single_debug(2);
}

export default scenario({
  name: 'two CPUs send to a third through its one descriptor',
  cpus: 3,
  races: 'ignore',
  patches: { smp_call_function_interrupt: flush_smp_call_function_queue },
  on: [ask, ask],
});
