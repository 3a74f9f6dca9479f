/** A flow that goes on after the scheduler has been told that it ended. */
import { scenario, shared } from 'smplab';

const x = shared('x');

// It awaits nothing that the machine has.
async function later(): Promise<void> {
  x.value = 1;
  await Promise.resolve();
  x.value = 2;
}

function look(): void {
  x.value += 1;
}

export default scenario({ on: [later, look], races: 'ignore' });
