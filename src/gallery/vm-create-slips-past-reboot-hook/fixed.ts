import {
  NOTIFY_OK,
  NULL,
  SYSTEM_RUNNING,
  hardware_disable,
  kvm_lock,
  old_func,
  on_each_cpu,
  scenario,
  spin_lock,
  spin_unlock,
  system_state,
} from 'smplab';
import { enable_all_locked } from '../internal/on-demand.ts';
import broken from './scenario.ts';

const EBUSY = 16;

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    // Too early: system_state has not changed yet.
    kvm_reboot: (): number => NOTIFY_OK,
    // Upstream's syscore hook runs here, after system_state.
    sysdev_shutdown(): void {
      old_func('sysdev_shutdown')();
      spin_lock(kvm_lock);
      on_each_cpu(hardware_disable, NULL, 0, 1);
      spin_unlock(kvm_lock);
    },
    kvm_create_vm(): unknown {
      spin_lock(kvm_lock);
      const going_down = system_state.value !== SYSTEM_RUNNING;
      if (!going_down) enable_all_locked();
      spin_unlock(kvm_lock);
      return going_down ? -EBUSY >>> 0 : old_func('kvm_create_vm')();
    },
  },
});
