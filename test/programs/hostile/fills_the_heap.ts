/** Keeps more with each run, where no restore reaches: the heap of whoever searches it fills up. */
import { scenario, shared } from 'smplab';

const kept: number[][] = [];
const count = shared('count');

function keep(): void {
  count.value += 1;
  kept.push(Array.from({ length: 10_000 }, (_, index) => index));
}

export default scenario({ on: [keep, keep], races: 'ignore' });
