/** Which of the two x86 kernels this is: their SMP code differs in 2.6.24. */
import { bus } from '#memory/bus';
import { MACHINE_BLOCK, MachineWord } from '#memory/layout';

/** True on the 32-bit kernel. Immutable after power-on. */
export function is_i386(): boolean {
  return bus.loadLocal32(MACHINE_BLOCK + MachineWord.I386 * 4) !== 0;
}
