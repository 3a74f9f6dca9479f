import { CPU_DYING, NOTIFY_OK, NULL, type Ptr, hardware_disable, old_func, scenario } from 'smplab';
import broken, { dying } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    // The event is on the right CPU already.
    kvm_cpu_hotplug(nb: Ptr, action: number, cpu: number): unknown {
      if (action !== CPU_DYING) return old_func('kvm_cpu_hotplug')(nb, action, cpu);
      dying.value = 1;
      hardware_disable(NULL);
      dying.value = 0;
      return NOTIFY_OK;
    },
  },
});
