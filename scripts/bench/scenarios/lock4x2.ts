/** Four CPUs, each two rounds of lock, add one, unlock: 8! / (2!)^4 = 2,520 Mazurkiewicz traces. */
import { DEFINE, scenario, shared, spin_lock, spin_unlock, spinlock_t } from 'smplab';

const lock = DEFINE('lock', spinlock_t);
const x = shared('x');

function rounds(): void {
  for (let round = 0; round < 2; round++) {
    spin_lock(lock);
    x.value = x.value + 1;
    spin_unlock(lock);
  }
}

export default scenario({
  name: 'four CPUs, two rounds under a lock',
  on: [rounds, rounds, rounds, rounds],
  check: () => x.value === 8,
});
