/** Being inside a hardware interrupt. @linux include/linux/hardirq.h, as of 2.6.24. Leaves out: softirqs. */
import { bus } from '#memory/bus';
import { CpuWord } from '#memory/layout';

export function irq_enter(): void {
  const { registers } = bus;
  registers.set(CpuWord.HARDIRQ_COUNT, registers.hardirqCount + 1);
}

/** What waited for the interrupt's end is looked at on the way out (cpu-worker, interrupt return). */
export function irq_exit(): void {
  const { registers } = bus;
  registers.set(CpuWord.HARDIRQ_COUNT, registers.hardirqCount - 1);
}
