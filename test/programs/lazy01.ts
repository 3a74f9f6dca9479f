/** SCTBench "lazy01": fails when the last CPU finds what both others did. Fixed, it expects no more than that. */
import { DEFINE, type Scenario, expect, scenario, shared, spin_lock, spin_unlock, spinlock_t } from 'smplab';

const lock = DEFINE('lock', spinlock_t);
/** Guarded by lock. */
const data = shared('data');

function add(amount: number): void {
  spin_lock(lock);
  data.value += amount;
  spin_unlock(lock);
}

function add_one(): void {
  add(1);
}

function add_two(): void {
  add(2);
}

function lazy01(atMost: number): Scenario {
  function look(): void {
    spin_lock(lock);
    expect(data.value <= atMost, `more than ${atMost}`);
    spin_unlock(lock);
  }
  return scenario({ on: [look, add_one, add_two] });
}

export default lazy01(2);
export const fixed: Scenario = lazy01(3);
