/**
 * Sleeping locks. @linux kernel/mutex.c, kernel/rwsem.c, as of 2.6.24
 * Zeroed memory is an unlocked lock. A sleeper waits for the lock's word to change and then competes for it again, so
 * there is no queue and no fairness. Leaves out: the debug variant, interruptible locking.
 */
import { bus } from '#memory/bus';
import { CpuWord } from '#memory/layout';
import { type StructView, s32, struct, u32 } from '#memory/struct';
import { AccessKind, EventType, LockOperation } from '#trace/events';
import { might_sleep } from './irqflags.ts';
import { wait_event } from './sched.ts';

/** `owner` is the holder's task (1 where there is none), 0 when free. */
export const mutex = struct('mutex', { owner: u32 });
export type mutex = StructView<typeof mutex>;

/** Who holds a mutex: the task, or 1 for code that runs before there are tasks. */
function holder(): number {
  const task = bus.registers.get(CpuWord.CURRENT_TASK);
  return task === 0 ? 1 : task;
}

/** True if it got the mutex. */
export function mutex_trylock(lock: mutex): boolean {
  if (bus.compareExchange32(lock.addr, 0, holder()) !== 0) return false;
  bus.emit(EventType.LOCK, lock.addr, LockOperation.ACQUIRED, 1, 0);
  return true;
}

export function mutex_lock(lock: mutex): void {
  might_sleep('mutex_lock');
  while (!mutex_trylock(lock)) {
    bus.emit(EventType.LOCK, lock.addr, LockOperation.CONTENDED, 1, 0);
    wait_event(lock.addr, () => bus.load32Marked(lock.addr, AccessKind.ONCE) === 0);
  }
}

export function mutex_unlock(lock: mutex): void {
  bus.emit(EventType.LOCK, lock.addr, LockOperation.RELEASED, 1, 0);
  // Release: pairs with the compare-and-exchange of the next holder.
  bus.store32Marked(lock.addr, 0, AccessKind.RELEASE);
}

export function mutex_is_locked(lock: mutex): boolean {
  return bus.load32Marked(lock.addr, AccessKind.ONCE) !== 0;
}

/** `count`: -1 a writer, n > 0 that many readers. */
export const rw_semaphore = struct('rw_semaphore', { count: s32 });
export type rw_semaphore = StructView<typeof rw_semaphore>;

function sem_count(sem: rw_semaphore): number {
  return bus.load32Marked(sem.addr, AccessKind.ONCE) | 0;
}

export function down_read(sem: rw_semaphore): void {
  might_sleep('down_read');
  for (;;) {
    const count = sem_count(sem);
    if (count >= 0 && (bus.compareExchange32(sem.addr, count, count + 1) | 0) === count) return;
    if (count < 0) wait_event(sem.addr, () => sem_count(sem) >= 0);
  }
}

export function up_read(sem: rw_semaphore): void {
  bus.add32(sem.addr, -1);
}

export function down_write(sem: rw_semaphore): void {
  might_sleep('down_write');
  while (bus.compareExchange32(sem.addr, 0, -1) !== 0) wait_event(sem.addr, () => sem_count(sem) === 0);
}

export function up_write(sem: rw_semaphore): void {
  bus.store32Marked(sem.addr, 0, AccessKind.RELEASE);
}
