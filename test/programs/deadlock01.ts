/** SCTBench "deadlock01": two locks, taken in two orders. Fixed, in one. */
import { DEFINE, type Scenario, scenario, shared, spin_lock, spin_unlock, spinlock_t } from 'smplab';

const a = DEFINE('a', spinlock_t);
const b = DEFINE('b', spinlock_t);
/** Guarded by a and b. */
const counter = shared('counter');

function up(): void {
  spin_lock(a);
  spin_lock(b);
  counter.value += 1;
  spin_unlock(b);
  spin_unlock(a);
}

function deadlock01(first: typeof a, second: typeof a): Scenario {
  function down(): void {
    spin_lock(first);
    spin_lock(second);
    counter.value -= 1;
    spin_unlock(second);
    spin_unlock(first);
  }
  return scenario({ on: [up, down], check: () => counter.value === 0 });
}

export default deadlock01(b, a);
export const fixed: Scenario = deadlock01(a, b);
