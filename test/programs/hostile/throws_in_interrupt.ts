/** A device's handler throws, whatever it interrupts. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function increment(): void {
  x.value += 1;
}

export default scenario({
  on: [increment, increment],
  interrupts: [
    {
      cpu: 1,
      handler() {
        if (x.value === 1) throw new TypeError('the handler did not expect one');
      },
    },
  ],
  races: 'ignore',
});
