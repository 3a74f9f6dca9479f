/**
 * SCTBench "reorder": setters write a and then b; a checker must see both or neither, and sees one of them half-way.
 * Fixed, all hold a lock.
 */
import {
  DEFINE,
  READ_ONCE,
  type Scenario,
  WRITE_ONCE,
  expect,
  s32,
  scenario,
  shared,
  spin_lock,
  spin_unlock,
  spinlock_t,
} from 'smplab';

const lock = DEFINE('lock', spinlock_t);
const a = shared('a');
const b = DEFINE('b', s32);

function set(): void {
  WRITE_ONCE(a, 'value', 1);
  WRITE_ONCE(b, 'value', -1);
}

function check(): void {
  if (READ_ONCE(a, 'value') === 0 && READ_ONCE(b, 'value') === 0) return;
  if (READ_ONCE(a, 'value') === 1 && READ_ONCE(b, 'value') === -1) return;
  expect(false, 'a setter was seen half-way');
}

function locked(body: () => void): void {
  spin_lock(lock);
  body();
  spin_unlock(lock);
}

function set_locked(): void {
  locked(set);
}

function check_locked(): void {
  locked(check);
}

/** With so many setters. */
export function reorder(setters: number): Scenario {
  return scenario({ on: [...Array.from({ length: setters }, () => set), check] });
}

export function reorderFixed(setters: number): Scenario {
  return scenario({ on: [...Array.from({ length: setters }, () => set_locked), check_locked] });
}
