/**
 * The record of a parallel run: each thread's operations on memory in its own order, with what they read and wrote. It takes
 * the place of the thread's trace ring, event by event; a thread that becomes another CPU goes on in its own.
 */
import { EVENT_WORDS } from './events.ts';
import { RING_HEADER_WORDS } from './ring.ts';

/** In the header of the ring: whether operations are recorded. */
export const RECORDING = 2;

export const RecordWord = {
  /** RecordType | bytes << 8 */
  HEAD: 0,
  ADDRESS: 1,
  /** low and high word of what was read */
  READ: 2,
  READ_HIGH: 3,
  /** of what was written */
  WRITTEN: 4,
  WRITTEN_HIGH: 5,
  /** address of the kernel function that did it */
  SITE: 6,
} as const;

export const RecordType = {
  LOAD: 1,
  STORE: 2,
  RMW: 3,
  /** a fence, or an interrupt taken or sent: everything before is in memory */
  DRAIN: 4,
  /** many bytes at once, in no order that is known: READ = how many */
  BULK: 5,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

export interface Recorded {
  readonly type: RecordType;
  readonly address: number;
  readonly size: number;
  readonly read: number;
  readonly readHigh: number;
  readonly written: number;
  readonly writtenHigh: number;
  readonly site: number;
}

/** Empties a record and begins another. At rest. */
export function beginRecord(words: Int32Array, base: number): void {
  words[base] = 0;
  words[base + RECORDING] = 1;
}

/** What a thread's record holds, and how many operations did not fit. At rest. */
export function readRecord(
  words: Int32Array,
  base: number,
): { readonly operations: Recorded[]; readonly lost: number } {
  const made = words[base]!;
  const kept = Math.min(made, words[base + 1]!);
  const operations = Array.from({ length: kept }, (_, index): Recorded => {
    const at = base + RING_HEADER_WORDS + index * EVENT_WORDS;
    const word = (which: number): number => words[at + which]! >>> 0;
    const head = word(RecordWord.HEAD);
    return {
      type: (head & 0xff) as RecordType,
      size: head >>> 8,
      address: word(RecordWord.ADDRESS),
      read: word(RecordWord.READ),
      readHigh: word(RecordWord.READ_HIGH),
      written: word(RecordWord.WRITTEN),
      writtenHigh: word(RecordWord.WRITTEN_HIGH),
      site: word(RecordWord.SITE),
    };
  });
  return { operations, lost: made - kept };
}
