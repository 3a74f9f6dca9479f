import { scenario } from 'smplab';
import broken from './scenario.ts';

// The kernel as it is: its broadcast goes to the CPUs in the online map, one by one.
export default scenario({ ...broken, patches: {} });
