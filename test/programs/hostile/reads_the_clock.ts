/** Does what the host's clock says. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function stamp(): void {
  x.value = performance.now() * 1000;
}

function look(): void {
  x.value += 1;
}

export default scenario({ on: [stamp, look], races: 'ignore' });
