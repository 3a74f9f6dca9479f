/**
 * The part of memory that a search writes down, behind everything a snapshot keeps: what each actor is about to do, the
 * policy's words, store buffers, the prefix to follow, who has touched which word, and the operation log.
 */
import { ACTORS_PER_CPU, POLICY_WORDS } from '#base/strategy';
import { OP_WORDS } from '#trace/operations';

/** Stores a CPU's buffer holds. A CPU whose buffer is full waits until one reaches memory. */
export const STORE_BUFFER_ENTRIES = 32;
export const BufferWord = { ADDRESS: 0, SIZE: 1, LOW: 2, HIGH: 3, SITE: 4, KIND: 5 } as const;
export const BUFFER_WORDS = 8;

/** Stretches of steps a prefix may have. */
export const SEGMENTS_MAX = 1 << 15;

/** What goes back to the start of a run goes in lines of 256 bytes: few are written, and pages are mostly not. */
export const LINE_SHIFT = 8;

/** Byte distances from the start of the region. */
export interface SearchRegion {
  readonly policy: number;
  readonly nextHead: number;
  readonly nextAddress: number;
  readonly nextSize: number;
  readonly nextVisible: number;
  readonly buffers: number;
  /** pairs: actor, steps */
  readonly segments: number;
  /** 16 bits for each word of memory below the heap's end: 0 nobody, actor + 1, or SHARED */
  readonly owners: number;
  /** a byte for each line below the heap's end: 1 = written since the last restore */
  readonly dirty: number;
  /** how many lines have been written since, and their numbers in the order of the first write */
  readonly dirtyLines: number;
  readonly log: number;
  readonly bytes: number;
}

/** A word that more than one actor is known to use. */
export const SHARED = 0xffff;

function align(bytes: number): number {
  return Math.ceil(bytes / 64) * 64;
}

/** Pure: host and CPU threads compute the same from the same input. */
export function searchRegion(nrPossible: number, heapEnd: number, logCapacity: number): SearchRegion {
  const actors = nrPossible * ACTORS_PER_CPU;
  const on = logCapacity > 0 ? 1 : 0;
  let at = 0;
  const take = (bytes: number): number => {
    const start = at;
    at = align(at + bytes);
    return start;
  };
  return {
    policy: take(POLICY_WORDS * 4),
    nextHead: take(actors * 4),
    nextAddress: take(actors * 4),
    nextSize: take(actors * 4),
    nextVisible: take(actors),
    buffers: take(nrPossible * STORE_BUFFER_ENTRIES * BUFFER_WORDS * 4),
    segments: take(on * SEGMENTS_MAX * 8),
    owners: take(on * (heapEnd >>> 2) * 2),
    dirty: take(on * (heapEnd >>> LINE_SHIFT)),
    dirtyLines: take(on * ((heapEnd >>> LINE_SHIFT) + 1) * 4),
    log: take(logCapacity * OP_WORDS * 4),
    bytes: at,
  };
}

export function searchBytes(nrPossible: number, heapEnd: number, logCapacity: number): number {
  return searchRegion(nrPossible, heapEnd, logCapacity).bytes;
}
