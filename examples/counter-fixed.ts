/** counter.ts, mended: a lock around the read and the write. */
import { DEFINE, scenario, shared, spin_lock, spin_unlock, spinlock_t } from 'smplab';

const lock = DEFINE('lock', spinlock_t);
const counter = shared('counter');

function increment(): void {
  spin_lock(lock);
  counter.value = counter.value + 1;
  spin_unlock(lock);
}

export default scenario({
  on: [increment, increment],
  check: () => counter.value === 2 || `counter is ${counter.value}`,
});
