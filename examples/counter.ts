/** Two CPUs count. Sometimes one of the two is lost. */
import { scenario, shared } from 'smplab';

const counter = shared('counter');

function increment(): void {
  counter.value = counter.value + 1;
}

export default scenario({
  on: [increment, increment],
  check: () => counter.value === 2 || `counter is ${counter.value}`,
});
