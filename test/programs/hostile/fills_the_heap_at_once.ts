/** A loop that keeps more with each turn: one run fills the heap of whoever searches it. */
import { scenario, shared } from 'smplab';

const kept: number[][] = [];
const count = shared('count');

function keep(): void {
  for (;;) kept.push(Array.from({ length: 2_000 }, (_, index) => index));
}

function look(): void {
  count.value += 1;
}

export default scenario({ on: [keep, look, look], races: 'ignore' });
