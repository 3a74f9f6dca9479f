/** SCTBench "reorder_5": 4 setters and a checker. */
import { reorder, reorderFixed } from './reorder.ts';

export default reorder(4);
export const fixed: ReturnType<typeof reorderFixed> = reorderFixed(4);
