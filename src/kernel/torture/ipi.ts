/**
 * Storms of cross calls, each checked: it ran on every CPU it was for, once.
 *
 * A caller has preemption off around a call and its check, so no CPU leaves the online map meanwhile (it would need this one to
 * stop the machine); one may join it. @linux kernel/scftorture.c, as of 5.10 (the idea; its shape is ours)
 */
import { bus } from '#memory/bus';
import { NR_CPUS } from '#memory/cpumask';
import { per_cpu_ptr } from '#memory/percpu';
import { stack_alloc } from '#memory/stack';
import { NULL, type Ptr, array, struct, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { on_each_cpu, smp_call_function_mask, smp_call_function_single } from '#smp/call_function';
import {
  cpu_clear,
  cpu_isset,
  cpu_online,
  cpu_online_map,
  cpu_set,
  cpumask_t,
  cpus_clear,
  cpus_copy,
} from '#smp/cpumask';
import { preempt_disable, raw_smp_processor_id } from '#smp/irqflags';
import { preempt_enable } from '#smp/sched';
import {
  smptorture_ko,
  torture_count,
  torture_count_here,
  torture_now,
  torture_random,
  torture_stopping,
  torture_tally,
} from './smptorture.ts';

/** Calls that were executed, on the CPU that executed them. Written there, interrupts off. */
export const torture_executed = smptorture_ko.DEFINE_PER_CPU('torture_executed', u32);
/** Executions that callers have seen, or (of calls nobody waits for) have a right to, all CPUs together. */
export const torture_expected = smptorture_ko.DEFINE('torture_expected', u32);
/** Calls that a CPU which was online did not execute, and that a CPU executed twice. */
export const torture_missed = smptorture_ko.DEFINE('torture_missed', u32);
export const torture_repeated = smptorture_ko.DEFINE('torture_repeated', u32);

/** On the caller's stack: a byte for each CPU, how often it has executed this call. */
const torture_call = struct('torture_call', { ran: array(u32, NR_CPUS / 4) });

/** On the target, interrupts off. Counts in its own byte of the caller's, where the caller waits for that. */
const torture_handler = kernel_function('torture_handler', (info: Ptr): void => {
  const me = raw_smp_processor_id();
  torture_tally(per_cpu_ptr(torture_executed, me), 1);
  if (info !== NULL) torture_tally(info + (me & ~3), 1 << ((me & 3) * 8));
});

const SINGLE = 2;
const SINGLE_NOWAIT = 3;
const MASK = 4;
const EACH = 5;

function clear_call(call: Ptr, cpus: number): void {
  for (let at = 0; at < cpus; at += 4) bus.storeLocal32(call + at, 0);
}

function times_ran(call: Ptr, cpu: number): number {
  return (bus.loadLocal32(call + (cpu & ~3)) >>> ((cpu & 3) * 8)) & 0xff;
}

/** What the call came to on one CPU. @param due it was in the online map before the call; otherwise it may have joined since */
function check_target(call: Ptr, cpu: number, due: boolean): void {
  const times = times_ran(call, cpu);
  torture_tally(torture_expected.addr, times);
  if (times > 1) torture_tally(torture_repeated.addr, times - 1);
  if (times === 0 && due) torture_tally(torture_missed.addr, 1);
}

function call_single(slot: number, cpus: number): void {
  const call = stack_alloc(torture_call).addr;
  const cpu = torture_random(slot, cpus);
  clear_call(call, cpus);
  preempt_disable();
  const due = cpu_online(cpu);
  const begin = torture_now();
  const error = smp_call_function_single(cpu, torture_handler, call, 0, 1);
  const took = torture_now() - begin;
  check_target(call, cpu, due);
  torture_count_here();
  preempt_enable();
  torture_count(SINGLE, error, took);
}

/** Nobody waits, so what it is counted in may not be on a stack: the target's own counter, against what was due. */
function call_nowait(slot: number, cpus: number): void {
  const me_first = torture_random(slot, cpus);
  preempt_disable();
  // A CPU that joins while the call is made would be one more than was due: only those that are there are called.
  const cpu = cpu_online(me_first) ? me_first : raw_smp_processor_id();
  const begin = torture_now();
  const error = smp_call_function_single(cpu, torture_handler, NULL, 0, 0);
  const took = torture_now() - begin;
  torture_tally(torture_expected.addr, 1);
  torture_count_here();
  preempt_enable();
  torture_count(SINGLE_NOWAIT, error, took);
}

function call_many(slot: number, cpus: number, kind: number): void {
  const call = stack_alloc(torture_call).addr;
  clear_call(call, cpus);
  const mask = stack_alloc(cpumask_t);
  cpus_clear(mask);
  if (kind === MASK) {
    for (let cpu = 0; cpu < cpus; cpu++) if (torture_random(slot, 2) === 1) cpu_set(cpu, mask);
  }
  const online = stack_alloc(cpumask_t);
  preempt_disable();
  cpus_copy(online, cpu_online_map);
  // A mask call leaves its caller out.
  if (kind === MASK) cpu_clear(raw_smp_processor_id(), online);
  const begin = torture_now();
  const error =
    kind === MASK
      ? smp_call_function_mask(mask, torture_handler, call, 1)
      : on_each_cpu(torture_handler, call, 0, 1);
  const took = torture_now() - begin;
  for (let cpu = 0; cpu < cpus; cpu++) {
    const asked = kind === EACH || cpu_isset(cpu, mask);
    check_target(call, cpu, asked && cpu_isset(cpu, online));
    if (!asked && times_ran(call, cpu) !== 0) torture_tally(torture_repeated.addr, 1);
  }
  torture_count_here();
  preempt_enable();
  torture_count(kind, error, took);
}

/** Of ten calls: five to one CPU, one that nobody waits for, two to a mask, two to each. */
const one_call = kernel_function('ipi_torture_one', (slot: number, cpus: number): void => {
  const draw = torture_random(slot, 10);
  if (draw < 5) call_single(slot, cpus);
  else if (draw < 6) call_nowait(slot, cpus);
  else call_many(slot, cpus, draw < 8 ? MASK : EACH);
});

/** A caller makes `ops` cross calls of all kinds. */
export const ipi_torture = kernel_function(
  'ipi_torture',
  (slot: number, ops: number, cpus: number): number => {
    let made = 0;
    for (; made < ops && !torture_stopping(); made++) one_call(slot, cpus);
    return made;
  },
);
