/** Waits for what nobody does. */
import { scenario, shared, waitUntil } from 'smplab';

const x = shared('x');

function wait(): void {
  waitUntil(() => x.value === 3);
}

function write(): void {
  x.value = 1;
}

export default scenario({ on: [wait, write], races: 'ignore' });
