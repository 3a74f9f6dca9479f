/** Two CPUs count without the lock: wrong on purpose. */
import { scenario } from 'smplab';
import { count_packet, packets } from './statistics.ts';

export default scenario({
  on: [count_packet, count_packet],
  check: () => packets.value === 2 || `${packets.value} of 2 packets counted`,
});
