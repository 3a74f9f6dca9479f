/** What two flows seem to share is an ordinary variable: every CPU has its own. */
import { scenario } from 'smplab';

let counter = 0;

function increment(): void {
  counter += 1;
}

export default scenario({ on: [increment, increment], check: () => counter === 2 });
