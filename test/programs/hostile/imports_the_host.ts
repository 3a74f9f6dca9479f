/** Wants something other than smplab. */
import { readFileSync } from 'node:fs';
import { scenario, shared } from 'smplab';

const x = shared('x');

function read(): void {
  x.value = readFileSync('/etc/hostname').length;
}

export default scenario({ on: [read, read] });
