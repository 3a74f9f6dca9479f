import { DEFINE, type kvm, old_func, scenario, spin_lock, spin_unlock, spinlock_t } from 'smplab';
import broken from './scenario.ts';

/** Upstream: a member of struct kvm. */
const requests_lock = DEFINE('requests_lock', spinlock_t);

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    // Who finds the bit set has waited for who set it.
    kvm_flush_remote_tlbs(vm: kvm): void {
      spin_lock(requests_lock);
      old_func('kvm_flush_remote_tlbs')(vm);
      spin_unlock(requests_lock);
    },
  },
});
