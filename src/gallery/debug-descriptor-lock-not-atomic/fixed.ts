import { READ_ONCE, cmpxchg, scenario, waitUntil } from 'smplab';
import broken, { CSD_FLAG_LOCK, type call_single_data } from './scenario.ts';

export default scenario({
  ...broken,
  patches: {
    ...broken.patches,
    // Of those that see it clear only one sets it.
    csd_lock(csd: call_single_data): void {
      do waitUntil(() => (READ_ONCE(csd, 'flags') & CSD_FLAG_LOCK) === 0);
      while (cmpxchg(csd, 'flags', 0, CSD_FLAG_LOCK) !== 0);
    },
  },
});
