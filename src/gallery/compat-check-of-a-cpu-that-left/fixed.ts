import { scenario } from 'smplab';
import { hotplugExcluded } from '../internal/livepatches.ts';
import broken from './scenario.ts';

export default scenario({ ...broken, patches: hotplugExcluded });
