/** What must always hold throws instead. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function increment(): void {
  x.value += 1;
}

export default scenario({
  on: [increment, increment],
  always() {
    if (x.value === 1) throw new Error('one');
  },
  races: 'ignore',
});
