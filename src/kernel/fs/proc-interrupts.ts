/**
 * Text of /proc/interrupts: what each online CPU has taken since power-on.
 *
 * @linux arch/x86/kernel/irq_64.c (show_interrupts), as of 2.6.24
 * Leaves out: lines of vectors that this machine does not have: a timer, NMIs, devices. The counts are the processor's
 * (cpu-worker counts where it enters an interrupt), so that counting is no operation of the kernel's.
 */
import { bus } from '#memory/bus';
import { CpuWord, Pending, cpuBlock } from '#memory/layout';
import { kernel_function } from '#memory/symbols';
import { NR_CPUS, first_online_cpu, next_online_cpu } from '#smp/cpumask';

/** Interrupts of one kind that a CPU has taken. @param vector one of Pending */
export function kstat_irqs(cpu: number, vector: number): number {
  const word = CpuWord.INTERRUPTS + (31 - Math.clz32(vector));
  return bus.loadLocal32(cpuBlock(bus.layout, cpu) + word * 4) >>> 0;
}

function line(label: string, vector: number, meaning: string): string {
  let text = `${label}: `;
  for (let cpu = first_online_cpu(); cpu < NR_CPUS; cpu = next_online_cpu(cpu))
    text += `${String(kstat_irqs(cpu, vector)).padStart(10)} `;
  return `${text}  ${meaning}\n`;
}

export const proc_interrupts = kernel_function('show_interrupts', (): string => {
  let text = '           ';
  for (let cpu = first_online_cpu(); cpu < NR_CPUS; cpu = next_online_cpu(cpu))
    text += `CPU${String(cpu).padEnd(8)}`;
  text += '\n';
  text += line('RES', Pending.RESCHEDULE, 'Rescheduling interrupts');
  text += line('CAL', Pending.CALL_FUNCTION, 'function call interrupts');
  text += line('TLB', Pending.INVALIDATE_TLB, 'TLB shootdowns');
  return text;
});
