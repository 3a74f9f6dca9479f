/** Interrupt flag, preemption count, and what they mean for the running code. @linux include/linux/{irqflags,preempt,hardirq}.h, as of 2.6.24 */
import { bus, currentCpu } from '#memory/bus';
import { CpuWord } from '#memory/layout';
import { arch } from './arch.ts';
import { KERN_ERR, WARN_ON, dump_stack, printk, report_finding } from './printk.ts';

/** @plain */
export function local_irq_disable(): void {
  arch.cli();
}

/** @plain */
export function local_irq_enable(): void {
  arch.sti();
}

/**
 * Answers the flags that local_irq_restore takes: true if interrupts were on.
 * @plain
 */
export function local_irq_save(): boolean {
  const enabled = bus.registers.irqsEnabled;
  arch.cli();
  return enabled;
}

/** @plain */
export function local_irq_restore(enabled: boolean): void {
  if (enabled) arch.sti();
  else arch.cli();
}

/** @plain */
export function irqs_disabled(): boolean {
  return !bus.registers.irqsEnabled;
}

/** @plain */
export function in_interrupt(): boolean {
  return bus.registers.hardirqCount !== 0;
}

/** @plain */
export function preempt_count(): number {
  return bus.registers.preemptCount;
}

/**
 * True where the code may not sleep: interrupts off, preemption off, or in an interrupt.
 * @plain
 */
export function in_atomic(): boolean {
  const { registers } = bus;
  return registers.preemptCount !== 0 || registers.hardirqCount !== 0;
}

/** Up to here an interrupt may come that lets a kernel thread have the CPU. */
export function preempt_disable(): void {
  bus.preemptionOff();
  inc_preempt_count();
}

/**
 * Preemption off where whoever takes the CPU may as well do so at the operation that comes next.
 * @plain
 */
export function inc_preempt_count(): void {
  const { registers } = bus;
  registers.set(CpuWord.PREEMPT_COUNT, registers.preemptCount + 1);
}

/** Preemption on, without looking whether somebody waits for the CPU. */
export function preempt_enable_no_resched(): void {
  if (!dec_preempt_count()) WARN_ON(true, 'preempt_enable_no_resched: preemption count below zero');
}

/**
 * False if there was nothing to take one from.
 * @plain
 */
export function dec_preempt_count(): boolean {
  const { registers } = bus;
  const count = registers.preemptCount;
  if (count <= 0) return false;
  registers.set(CpuWord.PREEMPT_COUNT, count - 1);
  return true;
}

/** Complains when code that may sleep runs where nobody may, whether it will sleep this time or not. @linux __might_sleep */
export function might_sleep(where: string): void {
  const atomic = in_atomic();
  const off = irqs_disabled();
  if (!atomic && !off) return;
  const title = `BUG: sleeping function called from invalid context at ${where}`;
  const state = `in_atomic(): ${Number(atomic)}, irqs_disabled(): ${Number(off)}`;
  report_finding('bug', title, state);
  printk(KERN_ERR, title);
  printk(KERN_ERR, state);
  dump_stack();
}

/**
 * This CPU's number, for a caller who does not mind that it may change; else see smp_processor_id.
 * @plain
 */
export function raw_smp_processor_id(): number {
  return currentCpu();
}
