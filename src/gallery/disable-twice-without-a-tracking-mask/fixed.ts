import { scenario } from 'smplab';
import broken from './scenario.ts';

// kvm-54 itself: cpus_hardware_enabled, one bit for each CPU, which only that CPU tests and sets.
export default scenario({ ...broken, patches: {} });
