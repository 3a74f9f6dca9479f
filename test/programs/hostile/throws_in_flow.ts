/** A flow throws in some interleavings: an exception that nobody in a kernel could have thrown. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function write(): void {
  x.value = 1;
}

function read(): void {
  if (x.value === 1) throw new RangeError('one is too many');
}

export default scenario({ on: [write, read], races: 'ignore' });
