/** SCTBench "twostage": two values kept in step under two locks, one taken after the other. Fixed, one within the other. */
import { DEFINE, type Scenario, expect, scenario, shared, spin_lock, spin_unlock, spinlock_t } from 'smplab';

const lock1 = DEFINE('lock1', spinlock_t);
const lock2 = DEFINE('lock2', spinlock_t);
/** Written under lock1, by one CPU. */
const data1 = shared('data1');
/** Guarded by lock2. */
const data2 = shared('data2');

function twostage(isFixed: boolean): Scenario {
  function write(): void {
    spin_lock(lock1);
    data1.value = 1;
    if (!isFixed) spin_unlock(lock1);
    spin_lock(lock2);
    data2.value = data1.value + 1;
    spin_unlock(lock2);
    if (isFixed) spin_unlock(lock1);
  }
  function read(): void {
    spin_lock(lock1);
    const one = data1.value;
    spin_unlock(lock1);
    if (one === 0) return;
    spin_lock(lock2);
    const two = data2.value;
    spin_unlock(lock2);
    expect(two === one + 1, 'the second stage is missing');
  }
  return scenario({ on: [write, read] });
}

export default twostage(false);
export const fixed: Scenario = twostage(true);
