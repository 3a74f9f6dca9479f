import { scenario } from 'smplab';
import { enabledWhileStarting } from '../internal/livepatches.ts';
import broken from './scenario.ts';

export default scenario({ ...broken, patches: enabledWhileStarting });
