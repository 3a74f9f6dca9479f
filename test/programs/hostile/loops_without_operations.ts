/** A CPU computes for ever and never touches memory again: no step comes at which it could be stopped. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function spin(): void {
  x.value = 1;
  let turns = 0;
  while (turns >= 0) turns = (turns + 1) % 1000;
}

function look(): void {
  x.value += 1;
}

export default scenario({ on: [spin, look], races: 'ignore' });
