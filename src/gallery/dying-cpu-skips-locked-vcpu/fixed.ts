import { scenario } from 'smplab';
import { vcpusCachedHere } from '../internal/vcpus-on-cpu.ts';
import broken from './scenario.ts';

export default scenario({ ...broken, patches: vcpusCachedHere });
