import { cpu_add_remove_lock, mutex_lock, mutex_unlock, old_func, scenario } from 'smplab';
import { hardware_enable_all } from '../internal/on-demand.ts';
import broken from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    // No CPU is on its way while the count changes and the broadcast runs: upstream's cpus_read_lock.
    kvm_create_vm(): unknown {
      mutex_lock(cpu_add_remove_lock);
      hardware_enable_all();
      mutex_unlock(cpu_add_remove_lock);
      return old_func('kvm_create_vm')();
    },
  },
});
