import {
  NOTIFY_OK,
  NULL,
  __raw_notifier_call_chain,
  call,
  cpu_chain,
  old_func,
  type Ptr,
  scenario,
  smp_processor_id,
} from 'smplab';
import broken from './scenario.ts';

/** A number no event of 2.6.24 has. */
const CPU_STARTING = 0x000b;

export default scenario({
  ...broken,
  patches: {
    // The starting CPU tells the chain of itself, with interrupts off, before it is in the online map.
    smp_callin(): void {
      old_func('smp_callin')();
      __raw_notifier_call_chain(cpu_chain, CPU_STARTING, smp_processor_id(), -1, NULL);
    },
    kvm_cpu_hotplug(nb: Ptr, action: number, cpu: number): unknown {
      if (action !== CPU_STARTING) return old_func('kvm_cpu_hotplug')(nb, action, cpu);
      call('hardware_enable', NULL);
      return NOTIFY_OK;
    },
  },
});
