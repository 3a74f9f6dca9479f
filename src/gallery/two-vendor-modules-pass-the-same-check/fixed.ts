import { DEFINE, type Ptr, mutex, mutex_lock, mutex_unlock, old_func, scenario } from 'smplab';
import broken from './scenario.ts';

/** From the look at kvm_x86_ops until everything that follows from it is done. */
const vendor_module_lock = DEFINE('vendor_module_lock', mutex);

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    kvm_init(opaque: Ptr, vcpu_size: number, module: Ptr): unknown {
      mutex_lock(vendor_module_lock);
      const result = old_func('kvm_init')(opaque, vcpu_size, module);
      mutex_unlock(vendor_module_lock);
      return result;
    },
    kvm_exit(): void {
      mutex_lock(vendor_module_lock);
      old_func('kvm_exit')();
      mutex_unlock(vendor_module_lock);
    },
  },
});
