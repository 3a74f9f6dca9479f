/** The code under test: a driver's statistics, counted with and without a lock. */
import { DEFINE, shared, spin_lock, spin_unlock, spinlock_t } from 'smplab';

const lock = DEFINE('lock', spinlock_t);
export const packets = shared('packets');

export function count_packet(): void {
  packets.value = packets.value + 1;
}

export function count_packet_locked(): void {
  spin_lock(lock);
  count_packet();
  spin_unlock(lock);
}
