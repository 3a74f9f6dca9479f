/** The check throws. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function increment(): void {
  x.value += 1;
}

export default scenario({
  on: [increment, increment],
  check() {
    if (x.value !== 2) throw new Error('lost an increment');
  },
  races: 'ignore',
});
