/** SCTBench "wronglock": one CPU guards the data with one lock, seven with another. Fixed, all with the same. */
import { DEFINE, type Scenario, expect, scenario, shared, spin_lock, spin_unlock, spinlock_t } from 'smplab';

const right = DEFINE('right', spinlock_t);
const wrong = DEFINE('wrong', spinlock_t);
const data = shared('data');

function count(): void {
  spin_lock(right);
  const before = data.value;
  data.value += 1;
  expect(data.value === before + 1, 'somebody else counts, too');
  spin_unlock(right);
}

function wronglock(lock: typeof right): Scenario {
  function count_too(): void {
    spin_lock(lock);
    data.value += 1;
    spin_unlock(lock);
  }
  return scenario({ on: [count, ...Array.from({ length: 7 }, () => count_too)], races: 'report' });
}

export default wronglock(wrong);
export const fixed: Scenario = wronglock(right);
