/** SCTBench "reorder_4": 3 setters and a checker. */
import { reorder, reorderFixed } from './reorder.ts';

export default reorder(3);
export const fixed: ReturnType<typeof reorderFixed> = reorderFixed(3);
