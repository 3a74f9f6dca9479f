/** Where a machine's search words are (layout: SearchWord). */
import { type Geometry, MACHINE_BLOCK, MachineWord, type SearchWord } from './layout.ts';
import { searchRegion } from './search.ts';

/** Word index of the first. */
export const SEARCH_BASE: number = (MACHINE_BLOCK >>> 2) + MachineWord.SEARCH;

/** Word index of one. */
export function searchWord(word: (typeof SearchWord)[keyof typeof SearchWord]): number {
  return SEARCH_BASE + word;
}

/** Word index of the policy's words. */
export function policyWords(layout: Geometry): number {
  return (layout.search + searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity).policy) >>> 2;
}

/** Bytes from the start of the search region that belong to a moment of the machine, not to a campaign. */
export function schedulingBytes(layout: Geometry): number {
  return searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity).segments;
}
