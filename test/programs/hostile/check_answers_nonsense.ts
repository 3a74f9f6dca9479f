/** The check answers something that is no answer. */
import { type CheckAnswer, scenario, shared } from 'smplab';

const x = shared('x');

function increment(): void {
  x.value += 1;
}

export default scenario({
  on: [increment, increment],
  check: () => x.value as unknown as CheckAnswer,
  races: 'ignore',
});
