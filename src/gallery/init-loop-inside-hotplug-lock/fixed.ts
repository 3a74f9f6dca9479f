import {
  cpu_add_remove_lock,
  cpu_chain,
  mutex_lock,
  mutex_unlock,
  raw_notifier_chain_register,
  scenario,
} from 'smplab';
import broken, { zs_cpu_nb, zs_register_cpu_notifier } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    // cpu_notifier_register_begin, the registration without a lock, cpu_notifier_register_done.
    zs_init(): void {
      mutex_lock(cpu_add_remove_lock);
      zs_register_cpu_notifier();
      raw_notifier_chain_register(cpu_chain, zs_cpu_nb);
      mutex_unlock(cpu_add_remove_lock);
    },
  },
});
