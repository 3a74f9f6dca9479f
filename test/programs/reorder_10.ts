/** SCTBench "reorder_10": 9 setters and a checker. */
import { reorder, reorderFixed } from './reorder.ts';

export default reorder(9);
export const fixed: ReturnType<typeof reorderFixed> = reorderFixed(9);
