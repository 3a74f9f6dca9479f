/** Ends the thread that it runs on. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function leave(): void {
  x.value = 1;
  process.exit(7);
}

function look(): void {
  x.value += 1;
}

export default scenario({ on: [leave, look], races: 'ignore' });
