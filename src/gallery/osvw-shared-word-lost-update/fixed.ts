import { DEFINE, type Ptr, old_func, scenario, spin_lock, spin_unlock, spinlock_t } from 'smplab';
import broken, { svm_init_osvw } from './scenario.ts';

/** Guards osvw_len and osvw_status. Taken with interrupts off. */
const osvw_lock = DEFINE('osvw_lock', spinlock_t);

export default scenario({
  ...broken,
  patches: {
    svm_hardware_enable(garbage: Ptr): void {
      old_func('svm_hardware_enable')(garbage);
      spin_lock(osvw_lock);
      svm_init_osvw();
      spin_unlock(osvw_lock);
    },
  },
});
