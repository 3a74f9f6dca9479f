/** A flow calls itself until its thread has no stack. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function dive(depth: number): number {
  return depth + dive(depth + 1);
}

function diver(): void {
  x.value = dive(x.value);
}

export default scenario({
  on: [
    diver,
    function look() {
      x.value += 1;
    },
  ],
  races: 'ignore',
});
