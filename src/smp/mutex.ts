/**
 * Sleeping locks. @linux kernel/mutex.c, kernel/rwsem.c, as of 2.6.24
 * Zeroed memory is an unlocked lock. A sleeper waits for the lock's word to change and then competes for it again, so
 * there is no queue and no fairness. Leaves out: the debug variant, interruptible locking.
 */
import { bus } from '#memory/bus';
import { CpuWord } from '#memory/layout';
import { type Ptr, type StructView, s32, struct, u32 } from '#memory/struct';
import { AccessKind, EventType, LockKind, LockOperation } from '#trace/events';
import { might_sleep } from './irqflags.ts';
import { KERN_ERR, dump_stack, printk, report_finding } from './printk.ts';
import { wait_event } from './sched.ts';

/** `owner` is the holder's task (1 where there is none), 0 when free. */
export const mutex = struct('mutex', { owner: u32 });
export type mutex = StructView<typeof mutex>;

/**
 * Who holds a mutex: the task, or 1 for code that runs before there are tasks.
 * @plain
 */
function holder(): number {
  const task = bus.registers.get(CpuWord.CURRENT_TASK);
  return task === 0 ? 1 : task;
}

/** @plain */
function lock_event(lock: { readonly addr: Ptr }, operation: LockOperation, kind: LockKind, tried = 0): void {
  bus.emit(EventType.LOCK, lock.addr, operation, kind, tried);
}

/** What a lock's word is in memory that was freed: POISON_FREE of kernel/page in every byte. */
const POISON = 0x6b6b6b6b;

/** Somebody takes a lock where there is none any more. @linux the check of lock->magic, kernel/mutex-debug.c */
function in_freed_memory(where: string, lock: Ptr): void {
  const title = `BUG: ${where}: lock in freed memory`;
  report_finding('bug', title, `lock at 0x${lock.toString(16)}, which holds 0x6b6b6b6b`);
  printk(KERN_ERR, title);
  dump_stack();
}

/** @param tried 1 if the caller goes on without the mutex where it does not get it */
function try_to_own(lock: mutex, tried: number): boolean {
  const found = bus.compareExchange32(lock.addr, 0, holder());
  if (found === POISON) {
    in_freed_memory('mutex_lock', lock.addr);
    // Poison is not zero, but no holder's either: 2.6.24, which counts, takes such a mutex for a free one.
    if (bus.compareExchange32(lock.addr, POISON, holder()) !== POISON) return false;
  } else if (found !== 0) return false;
  lock_event(lock, LockOperation.ACQUIRED, LockKind.MUTEX, tried);
  return true;
}

/** True if it got the mutex. */
export function mutex_trylock(lock: mutex): boolean {
  return try_to_own(lock, 1);
}

export function mutex_lock(lock: mutex): void {
  might_sleep('mutex_lock');
  while (!try_to_own(lock, 0)) {
    lock_event(lock, LockOperation.CONTENDED, LockKind.MUTEX);
    wait_event(lock.addr, () => bus.load32Marked(lock.addr, AccessKind.ONCE) === 0);
  }
}

export function mutex_unlock(lock: mutex): void {
  lock_event(lock, LockOperation.RELEASED, LockKind.MUTEX);
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
    if (count === POISON) in_freed_memory('down_read', sem.addr);
    if (count >= 0 && (bus.compareExchange32(sem.addr, count, count + 1) | 0) === count) break;
    if (count >= 0) continue;
    lock_event(sem, LockOperation.CONTENDED, LockKind.RWSEM_READ);
    wait_event(sem.addr, () => sem_count(sem) >= 0);
  }
  lock_event(sem, LockOperation.ACQUIRED, LockKind.RWSEM_READ);
}

export function up_read(sem: rw_semaphore): void {
  lock_event(sem, LockOperation.RELEASED, LockKind.RWSEM_READ);
  bus.add32(sem.addr, -1);
}

export function down_write(sem: rw_semaphore): void {
  might_sleep('down_write');
  for (;;) {
    const found = bus.compareExchange32(sem.addr, 0, -1);
    if (found === 0) break;
    // So many readers never go: the writer waits for ever, as in Linux, but says why.
    if (found === POISON) in_freed_memory('down_write', sem.addr);
    lock_event(sem, LockOperation.CONTENDED, LockKind.RWSEM_WRITE);
    wait_event(sem.addr, () => sem_count(sem) === 0);
  }
  lock_event(sem, LockOperation.ACQUIRED, LockKind.RWSEM_WRITE);
}

export function up_write(sem: rw_semaphore): void {
  lock_event(sem, LockOperation.RELEASED, LockKind.RWSEM_WRITE);
  bus.store32Marked(sem.addr, 0, AccessKind.RELEASE);
}
