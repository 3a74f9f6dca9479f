import { scenario } from 'smplab';
import { vcpusCachedHere } from '../internal/vcpus-on-cpu.ts';
import broken from './scenario.ts';

// kvm-54 itself: it is told of CPU_DYING, when no task can run any more.
export default scenario({ ...broken, patches: vcpusCachedHere });
