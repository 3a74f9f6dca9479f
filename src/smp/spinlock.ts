/**
 * Spinlocks. @linux include/linux/spinlock.h, include/asm-x86/spinlock_*.h, as of 2.6.24 (not ticket locks: those came later)
 * Zeroed memory is an unlocked lock. Leaves out: read-write spinlocks, lockdep (a checker reads the trace instead).
 */
import { bus } from '#memory/bus';
import { type StructView, s32, struct, u32 } from '#memory/struct';
import { AccessKind, EventType, LockKind, LockOperation } from '#trace/events';
import {
  local_irq_disable,
  local_irq_enable,
  local_irq_restore,
  local_irq_save,
  inc_preempt_count,
} from './irqflags.ts';
import { preempt_enable } from './sched.ts';

/** `owner_cpu` is CPU + 1 of the holder, for reports: owned by the holder. */
export const spinlock_t = struct('spinlock_t', { slock: u32, owner_cpu: s32 });
export type spinlock_t = StructView<typeof spinlock_t>;

/**
 * @param tried 1 for a trylock: it does not wait, so its place in the lock order does not matter (checkers/lockdep)
 * @plain
 */
function acquired(lock: spinlock_t, tried: number): void {
  bus.storeLocal32(lock.addr + 4, bus.cpu + 1);
  bus.emit(EventType.LOCK, lock.addr, LockOperation.ACQUIRED, LockKind.SPINLOCK, tried);
}

/** @plain */
function released(lock: spinlock_t): void {
  bus.emit(EventType.LOCK, lock.addr, LockOperation.RELEASED, LockKind.SPINLOCK, 0);
  bus.storeLocal32(lock.addr + 4, 0);
}

function raw_spin_unlock(lock: spinlock_t): void {
  released(lock);
  // Release: pairs with the exchange of the next holder.
  bus.store32Marked(lock.addr, 0, AccessKind.RELEASE);
}

/** A spinner takes interrupts if its flag is on (spec 6.6). */
export function spin_lock(lock: spinlock_t): void {
  inc_preempt_count();
  bus.acquire32(lock.addr, 1);
  acquired(lock, 0);
}

/** True if it got the lock. */
export function spin_trylock(lock: spinlock_t): boolean {
  inc_preempt_count();
  if (bus.exchange32(lock.addr, 1) !== 0) {
    preempt_enable();
    return false;
  }
  acquired(lock, 1);
  return true;
}

export function spin_unlock(lock: spinlock_t): void {
  released(lock);
  bus.store32Marked(lock.addr, 0, AccessKind.RELEASE);
  preempt_enable();
}

export function spin_lock_irq(lock: spinlock_t): void {
  local_irq_disable();
  spin_lock(lock);
}

export function spin_unlock_irq(lock: spinlock_t): void {
  raw_spin_unlock(lock);
  local_irq_enable();
  preempt_enable();
}

/** Answers the flags that spin_unlock_irqrestore takes. */
export function spin_lock_irqsave(lock: spinlock_t): boolean {
  const flags = local_irq_save();
  spin_lock(lock);
  return flags;
}

export function spin_unlock_irqrestore(lock: spinlock_t, flags: boolean): void {
  raw_spin_unlock(lock);
  local_irq_restore(flags);
  preempt_enable();
}

export function spin_is_locked(lock: spinlock_t): boolean {
  return bus.load32Marked(lock.addr, AccessKind.ONCE) !== 0;
}
