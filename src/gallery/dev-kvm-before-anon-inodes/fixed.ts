import { scenario } from 'smplab';
import { anonInodesFirst } from '../internal/livepatches.ts';
import broken from './scenario.ts';

export default scenario({ ...broken, patches: anonInodesFirst });
