/** One counter for all CPUs, and no lock: both read 0, both write 1. */
import { scenario, shared } from 'smplab';

const hits = shared('hits');

function hit(): void {
  hits.value = hits.value + 1;
}

export default scenario({
  each: hit,
  check: () => hits.value === 2 || `${hits.value} of 2 hits counted`,
});
