/** Does not even load. */
import { scenario, shared } from 'smplab';

const x = shared('x');

if (x.addr !== 0) throw new Error('not today');

export default scenario({ each: () => (x.value += 1) });
