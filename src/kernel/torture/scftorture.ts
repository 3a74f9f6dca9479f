/**
 * Exercises cross calls, as a load and as something to time. @linux kernel/scftorture.c, as of 5.10 (the idea; its shape is ours)
 */
import { vmlinux } from '#memory/image';
import { __get_cpu_var } from '#memory/percpu';
import { NULL, type Ptr, READ_ONCE, WRITE_ONCE, u32 } from '#memory/struct';
import { kernel_function } from '#memory/symbols';
import { on_each_cpu, smp_call_function_single } from '#smp/call_function';
import { preempt_check_resched } from '#smp/sched';

/** Written by scf_stop, read by busy CPUs. */
const scf_stopping = vmlinux.DEFINE('scf_stopping', u32);
/** What a busy CPU counts in: owned by whoever spins. */
const scf_spins = vmlinux.DEFINE_PER_CPU('scf_spins', u32);

/** The called function: does nothing, so that what is timed is the call. */
const scf_handler = kernel_function('scf_handler', (_info: Ptr): void => {});

/** Calls `cpu` `rounds` times and waits each time. */
export const scf_torture_single = kernel_function(
  'scf_torture_single',
  (cpu: number, rounds: number): number => {
    for (let round = 0; round < rounds; round++) smp_call_function_single(cpu, scf_handler, NULL, 0, 1);
    return 0;
  },
);

/** As scf_torture_single, and lets the busy CPUs go at the end. */
export const scf_torture_single_then_stop = kernel_function(
  'scf_torture_single_then_stop',
  (cpu: number, rounds: number): number => {
    scf_torture_single(cpu, rounds);
    return scf_stop();
  },
);

/** Calls every CPU `rounds` times and waits each time. */
export const scf_torture_all = kernel_function('scf_torture_all', (rounds: number): number => {
  for (let round = 0; round < rounds; round++) on_each_cpu(scf_handler, NULL, 0, 1);
  return 0;
});

/** Keeps this CPU busy with memory operations, interrupts on, until scf_stop. */
export const scf_busy = kernel_function('scf_busy', (): number => {
  let rounds = 0;
  while (READ_ONCE(scf_stopping, 'value') === 0) {
    __get_cpu_var(scf_spins).value = ++rounds | 0;
    preempt_check_resched();
  }
  return rounds | 0;
});

/** Lets busy CPUs go. */
export const scf_stop = kernel_function('scf_stop', (): number => {
  WRITE_ONCE(scf_stopping, 'value', 1);
  return 0;
});

export const scf_start = kernel_function('scf_start', (): number => {
  WRITE_ONCE(scf_stopping, 'value', 0);
  return 0;
});
