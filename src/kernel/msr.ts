/**
 * Model-specific registers of the executing CPU.
 *
 * @linux include/asm-x86/msr.h, as of 2.6.24
 * Leaves out: paravirtualisation, reading another CPU's (rdmsr_on_cpu).
 */
import { EFAULT } from '#base/errno';
import { arch } from '#smp/arch';
import { do_general_protection } from './traps.ts';

/** A register the processor does not have is an oops. */
export function rdmsrl(msr: number): bigint {
  const value = arch.rdmsr(msr);
  if (value === undefined) do_general_protection(`rdmsr of 0x${msr.toString(16)}`);
  return value;
}

/** A register or a value the processor does not take is an oops. */
export function wrmsrl(msr: number, value: bigint): void {
  if (!arch.wrmsr(msr, value)) {
    do_general_protection(`wrmsr of 0x${msr.toString(16)} with 0x${BigInt.asUintN(64, value).toString(16)}`);
  }
}

/** As wrmsrl, by halves: low, high. */
export function wrmsr(msr: number, low: number, high: number): void {
  wrmsrl(msr, (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0));
}

/** The value, or -EFAULT: never an oops. */
export function rdmsr_safe(msr: number): bigint | number {
  return arch.rdmsr(msr) ?? -EFAULT;
}

/** 0, or -EFAULT: never an oops. */
export function wrmsr_safe(msr: number, value: bigint): number {
  return arch.wrmsr(msr, value) ? 0 : -EFAULT;
}
