/** Declares a scenario and keeps it to itself. */
import { scenario, shared } from 'smplab';

const x = shared('x');

function increment(): void {
  x.value += 1;
}

export const mine: ReturnType<typeof scenario> = scenario({ on: [increment, increment] });
