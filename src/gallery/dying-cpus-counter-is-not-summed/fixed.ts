import { CPU_DYING, NOTIFY_OK, scenario } from 'smplab';
import broken, { fold } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    // On the dying CPU while everybody else stands still: nobody is in the middle of a sum, and the bit is still set.
    percpu_counter_hotcpu_callback(_nb: number, action: number, cpu: number): number {
      if (action === CPU_DYING) fold(cpu);
      return NOTIFY_OK;
    },
  },
});
