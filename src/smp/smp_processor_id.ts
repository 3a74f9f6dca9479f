/**
 * This CPU's number, asked for where it means something. @linux lib/smp_processor_id.c (CONFIG_DEBUG_PREEMPT), as of 2.6.24
 * Leaves out: system_state. Boot code here has no task, or asks with preemption off.
 */
import { bus, currentCpu } from '#memory/bus';
import { NR_CPUS } from '#memory/cpumask';
import { CpuWord } from '#memory/layout';
import { NULL, type Ptr } from '#memory/struct';
import { KERN_ERR, dump_stack, printk, report_finding } from './printk.ts';
import { PF_KTHREAD, task_struct } from './sched.ts';

/** True if the task can be nowhere else: local reads, because looking must not be a scheduling point. */
function is_bound(task: Ptr, cpu: number): boolean {
  // Kernel threads here are bound to the CPU they were made for, whatever their mask says.
  if ((bus.loadLocal32(task + task_struct.offsetof('flags')) & PF_KTHREAD) !== 0) return true;
  const mask = task + task_struct.offsetof('cpus_allowed');
  for (let word = 0; word < NR_CPUS >>> 5; word++) {
    const only = word === cpu >>> 5 ? (1 << (cpu & 31)) >>> 0 : 0;
    if (bus.loadLocal32(mask + word * 4) >>> 0 !== only) return false;
  }
  return true;
}

/** True where the answer of smp_processor_id is still right when the caller looks at it. */
function stays_on_cpu(cpu: number): boolean {
  const { registers } = bus;
  if (registers.preemptCount !== 0 || registers.hardirqCount !== 0 || !registers.irqsEnabled) return true;
  const task = registers.get(CpuWord.CURRENT_TASK);
  return task === NULL || is_bound(task, cpu);
}

/** This CPU's number. Complains where the task could go on on another CPU before it uses the answer. */
export function smp_processor_id(): number {
  const cpu = currentCpu();
  if (!stays_on_cpu(cpu)) {
    const { comm, pid } = task_struct.at(bus.registers.get(CpuWord.CURRENT_TASK));
    const title = `BUG: using smp_processor_id() in preemptible code: ${comm}`;
    report_finding('bug', title, `preempt_count 0, interrupts on, pid ${pid}`);
    printk(KERN_ERR, `BUG: using smp_processor_id() in preemptible [00000000] code: ${comm}/${pid}`);
    dump_stack();
  }
  return cpu;
}
