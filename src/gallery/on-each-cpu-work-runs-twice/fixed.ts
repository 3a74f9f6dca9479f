import { lock_cpu_hotplug, raw_smp_processor_id, scenario, unlock_cpu_hotplug } from 'smplab';
import broken, { flush_on_others, lru_add_drain_per_cpu } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    // With the lock no CPU goes, and a worker stays where it is.
    schedule_on_each_cpu(): void {
      lock_cpu_hotplug();
      const orig = raw_smp_processor_id();
      lru_add_drain_per_cpu();
      flush_on_others(orig);
      unlock_cpu_hotplug();
    },
  },
});
