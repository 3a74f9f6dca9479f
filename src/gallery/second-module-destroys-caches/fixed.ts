import { scenario } from 'smplab';
import { checksBeforeCaches } from '../internal/livepatches.ts';
import broken from './scenario.ts';

export default scenario({ ...broken, patches: checksBeforeCaches });
