/** Replaces a function that the kernel does not have. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function increment(): void {
  x.value += 1;
}

export default scenario({ on: [increment, increment], patches: { kvm_unit: () => 0 } });
