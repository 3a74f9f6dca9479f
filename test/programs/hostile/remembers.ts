/** Keeps state outside the machine's memory: no run finds what the one before it found. */
import { scenario, shared } from 'smplab';

const x = shared('x');
let runs = 0;

function count(): void {
  runs += 1;
  x.value = runs;
  if (runs % 2 === 0) x.value += 1;
}

function look(): void {
  x.value += 1;
}

export default scenario({ on: [count, look], races: 'ignore' });
