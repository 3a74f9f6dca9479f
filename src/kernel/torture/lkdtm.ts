/**
 * Makes the kernel fail in every way there is, to see that the failure is reported. @linux drivers/misc/lkdtm.c, as of 2.6.24
 */
import { bus } from '#memory/bus';
import { stack_alloc } from '#memory/stack';
import { NULL, type Ptr, struct, u32 } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { smp_call_function_single } from '#smp/call_function';
import { local_irq_disable, raw_smp_processor_id } from '#smp/irqflags';
import { BUG_ON, WARN_ON, panic } from '#smp/printk';

export const LKDTM_WARNING = 1;
export const LKDTM_BUG = 2;
export const LKDTM_PANIC = 3;
/** Reads through a null pointer. */
export const LKDTM_EXCEPTION = 4;
/** Reads where no memory is. */
export const LKDTM_WILD = 5;
/** Runs out of kernel stack. */
export const LKDTM_OVERFLOW = 6;
/** Loops without ever touching memory: only the host can end it. */
export const LKDTM_LOOP = 7;
/** Waits for what nobody will do. */
export const LKDTM_SPINLOCKUP = 8;
/** As LKDTM_SPINLOCKUP, with interrupts off. */
export const LKDTM_HARDLOCKUP = 9;
/** Throws a JavaScript exception: a defect of kernel code that no kernel could have. */
export const LKDTM_THROW = 10;
/** Jumps through a pointer that is no function. */
export const LKDTM_EXEC = 11;

const word = struct('lkdtm_word', { value: u32 });

const recurse = kernel_function('lkdtm_recurse', (depth: number): number => {
  stack_alloc(word).value = depth;
  return recurse(depth + 1) + 1;
});

/** Does it here and now. */
const lkdtm_do = kernel_function('lkdtm_do_action', (which: Ptr): number => {
  switch (which) {
    case LKDTM_WARNING:
      WARN_ON(true, 'lkdtm_do_action');
      break;
    case LKDTM_BUG:
      BUG_ON(true, 'lkdtm_do_action');
      break;
    case LKDTM_PANIC:
      return panic('dumptest');
    case LKDTM_EXCEPTION:
      return word.at(NULL).value;
    case LKDTM_WILD:
      return word.at(0xbad0bad0).value;
    case LKDTM_OVERFLOW:
      return recurse(0);
    case LKDTM_LOOP:
      // oxlint-disable-next-line eslint/no-unmodified-loop-condition -- that is what it is for
      while (which === LKDTM_LOOP);
      break;
    case LKDTM_SPINLOCKUP:
      bus.waitUntil(0, () => false);
      break;
    case LKDTM_HARDLOCKUP:
      local_irq_disable();
      bus.waitUntil(0, () => false);
      break;
    case LKDTM_THROW:
      throw new TypeError('lkdtm: undefined is not a function');
    case LKDTM_EXEC:
      return call_pointer(0x1234) as number;
    default:
      break;
  }
  return 0;
});

/** In process context on this CPU. */
export const lkdtm_direct = kernel_function('lkdtm_direct', (which: number): number => lkdtm_do(which));

/** In the interrupt handler of another CPU. */
export const lkdtm_in_interrupt = kernel_function(
  'lkdtm_in_interrupt',
  (which: number, cpu: number): number =>
    cpu === raw_smp_processor_id() ? lkdtm_do(which) : smp_call_function_single(cpu, lkdtm_do, which, 0, 1),
);
