/** Two locks, taken in two orders: each CPU can end up with the lock the other one wants. */
import { DEFINE, scenario, spin_lock, spin_unlock, spinlock_t } from 'smplab';

const parent = DEFINE('parent_lock', spinlock_t);
const child = DEFINE('child_lock', spinlock_t);

function rename(): void {
  spin_lock(parent);
  spin_lock(child);
  spin_unlock(child);
  spin_unlock(parent);
}

function remove(): void {
  spin_lock(child);
  spin_lock(parent);
  spin_unlock(parent);
  spin_unlock(child);
}

export default scenario({ on: [rename, remove] });
