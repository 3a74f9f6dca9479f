/** Two flows that share nothing: nothing to interleave, and no reason to call it clean. */
import { scenario, shared } from 'smplab';

const x = shared('x');
const y = shared('y');

export default scenario({
  on: [
    function mine() {
      x.value = 1;
    },
    function yours() {
      y.value = 1;
    },
  ],
});
