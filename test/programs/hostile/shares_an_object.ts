/** Puts into memory what no memory can hold. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function put(): void {
  x.value = { owner: 'cpu0' } as unknown as number;
}

function look(): void {
  x.value += 1;
}

export default scenario({ on: [put, look], races: 'ignore' });
