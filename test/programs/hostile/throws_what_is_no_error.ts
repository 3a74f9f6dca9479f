/** What is thrown is not even an Error. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function toss(): void {
  x.value = 1;
  // oxlint-disable-next-line typescript/only-throw-error -- the point
  throw null;
}

export default scenario({
  on: [
    toss,
    function look() {
      x.value += 1;
    },
  ],
  races: 'ignore',
});
