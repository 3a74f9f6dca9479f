/**
 * SCTBench "token_ring": three CPUs hand a value on, and a fourth expects that they went in the order of the ring. Fixed,
 * each waits for the one before it.
 */
import {
  DEFINE,
  type Scenario,
  expect,
  scenario,
  shared,
  spin_lock,
  spin_unlock,
  spinlock_t,
  waitUntil,
} from 'smplab';

const lock = DEFINE('lock', spinlock_t);
const x1 = shared('x1', 1);
const x2 = shared('x2', 2);
const x3 = shared('x3', 1);
const done1 = shared('done1');
const done2 = shared('done2');
const done3 = shared('done3');
type Word = typeof x1;

function tokenRing(isFixed: boolean): Scenario {
  const pass = (from: Word, to: Word, done: Word, before: Word | undefined, step: number): void => {
    if (isFixed && before !== undefined) waitUntil(() => before.value === 1);
    spin_lock(lock);
    to.value = (from.value + step) % 4;
    done.value = 1;
    spin_unlock(lock);
  };
  function first(): void {
    pass(x3, x1, done1, undefined, 1);
  }
  function second(): void {
    pass(x1, x2, done2, done1, 0);
  }
  function third(): void {
    pass(x2, x3, done3, done2, 0);
  }
  function look(): void {
    spin_lock(lock);
    if (done1.value === 1 && done2.value === 1 && done3.value === 1)
      expect(x1.value === x2.value && x2.value === x3.value, 'the ring was not gone round in its order');
    spin_unlock(lock);
  }
  return scenario({ on: [first, second, third, look], races: 'report' });
}

export default tokenRing(false);
export const fixed: Scenario = tokenRing(true);
