/**
 * SCTBench "stringbuffer": append() asks another buffer for its length under that buffer's lock, and takes as many
 * characters under the lock again; between the two, they go. Fixed, it keeps the lock.
 */
import { DEFINE, type Scenario, expect, scenario, shared, spin_lock, spin_unlock, spinlock_t } from 'smplab';

const to_lock = DEFINE('to_lock', spinlock_t);
const from_lock = DEFINE('from_lock', spinlock_t);
/** Guarded by to_lock. */
const to_count = shared('to_count');
/** Guarded by from_lock. */
const from_count = shared('from_count', 3);

function stringbuffer(isFixed: boolean): Scenario {
  function append(): void {
    spin_lock(to_lock);
    spin_lock(from_lock);
    const length = from_count.value;
    if (!isFixed) spin_unlock(from_lock);
    const room = to_count.value;
    if (!isFixed) spin_lock(from_lock);
    expect(length <= from_count.value, 'characters are taken that are no longer there');
    spin_unlock(from_lock);
    to_count.value = room + length;
    spin_unlock(to_lock);
  }
  function erase(): void {
    spin_lock(from_lock);
    from_count.value = 0;
    spin_unlock(from_lock);
  }
  return scenario({ on: [append, erase] });
}

export default stringbuffer(false);
export const fixed: Scenario = stringbuffer(true);
