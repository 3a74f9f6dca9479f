/** Two CPUs count with the lock: this holds in every order. */
import { scenario } from 'smplab';
import { count_packet_locked, packets } from './statistics.ts';

export default scenario({
  on: [count_packet_locked, count_packet_locked],
  check: () => packets.value === 2 || `${packets.value} of 2 packets counted`,
});
