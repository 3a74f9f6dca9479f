/** There is no state to start from. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function increment(): void {
  x.value += 1;
}

export default scenario({
  setup() {
    throw new Error('no setup today');
  },
  on: [increment, increment],
});
