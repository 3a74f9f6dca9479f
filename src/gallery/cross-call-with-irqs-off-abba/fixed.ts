import { scenario, smp_call_function } from 'smplab';
import broken, { resync } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    // Whatever needed the interrupts off is over when the others are called.
    clock_was_changed(): void {
      smp_call_function(resync, 0, 0, 1);
    },
  },
});
