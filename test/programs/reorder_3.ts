/** SCTBench "reorder_3": 2 setters and a checker. */
import { reorder, reorderFixed } from './reorder.ts';

export default reorder(2);
export const fixed: ReturnType<typeof reorderFixed> = reorderFixed(2);
