/** Fills the heap of the host's thread, not the machine's memory. */
import { scenario, shared } from 'smplab';

const x = shared('x');
const kept: number[][] = [];

function hoard(): void {
  x.value = 1;
  for (;;) kept.push(Array.from({ length: 1_000_000 }, (_, at) => at));
}

function look(): void {
  x.value += 1;
}

export default scenario({ on: [hoard, look], races: 'ignore' });
