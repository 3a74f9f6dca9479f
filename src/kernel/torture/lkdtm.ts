/**
 * Makes the kernel fail in every way there is, to see that the failure is reported. @linux drivers/misc/lkdtm.c, as of 2.6.24
 */
import { bus } from '#memory/bus';
import { vmlinux } from '#memory/image';
import { stack_alloc } from '#memory/stack';
import { NULL, type Ptr, READ_ONCE, struct, u32 } from '#memory/struct';
import { call_pointer, kernel_function } from '#memory/symbols';
import { smp_call_function_single } from '#smp/call_function';
import { local_irq_disable, preempt_disable, raw_smp_processor_id } from '#smp/irqflags';
import { BUG_ON, WARN_ON, panic } from '#smp/printk';
import { wait_event } from '#smp/sched';
import { spin_lock, spinlock_t } from '#smp/spinlock';

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
/** Goes round and round with preemption off. */
export const LKDTM_SOFTLOCKUP = 12;
/** Goes round and round with interrupts off. */
export const LKDTM_HARDLOCKUP_BUSY = 13;
/** Takes a lock that it never gives back: the second time it spins. */
export const LKDTM_SPINLOCK = 14;
/** Sleeps, and nobody wakes it. */
export const LKDTM_HUNG_TASK = 15;

const word = struct('lkdtm_word', { value: u32 });

const recurse = kernel_function('lkdtm_recurse', (depth: number): number => {
  stack_alloc(word).value = depth;
  return recurse(depth + 1) + 1;
});

/** Never written: what a CPU looks at that goes round and round. */
const lkdtm_never = vmlinux.DEFINE('lkdtm_never', word);
const lock_me_up = vmlinux.DEFINE('lock_me_up', spinlock_t);

function go_round(): void {
  while (READ_ONCE(lkdtm_never, 'value') === 0);
}

/** Does it here and now. */
export const lkdtm_do = kernel_function('lkdtm_do_action', (which: Ptr): number => {
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
    case LKDTM_SOFTLOCKUP:
      preempt_disable();
      go_round();
      break;
    case LKDTM_HARDLOCKUP_BUSY:
      local_irq_disable();
      go_round();
      break;
    case LKDTM_SPINLOCK:
      spin_lock(lock_me_up);
      break;
    case LKDTM_HUNG_TASK:
      wait_event(lkdtm_never.addr, () => READ_ONCE(lkdtm_never, 'value') !== 0);
      break;
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
