import { old_func, scenario, smp_processor_id } from 'smplab';
import broken, { stop_machine_unpark, throughStopper } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    ...throughStopper,
    // The CPU itself does it, before anybody can be put there.
    smp_callin(): void {
      old_func('smp_callin')();
      stop_machine_unpark(smp_processor_id());
    },
  },
});
