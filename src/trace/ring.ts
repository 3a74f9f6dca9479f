import { EVENT_WORDS, type EventType, type TraceEvent } from './events.ts';

/**
 * Words in front of a ring's records: events written so far, capacity in events, whether it goes round (1) or stops when it is
 * full (0), then five spare.
 */
export const RING_HEADER_WORDS = 8;

/** Bytes a ring of `capacity` events takes. */
export function ringBytes(capacity: number): number {
  return (RING_HEADER_WORDS + capacity * EVENT_WORDS) * 4;
}

/**
 * Appends one event. The ring belongs to one CPU, so nothing here is atomic; readers look at quiescence.
 * When it is full, the event is counted and not kept: the start of a trace is what explains it. One that goes round keeps
 * the latest instead: what a long run ends with.
 * @param base word index of the ring's header
 * @param where packed: cpu | context << 8 | depth << 16
 */
export function appendEvent(
  words: Int32Array,
  base: number,
  sequence: number,
  type: EventType,
  where: number,
  pid: number,
  a: number,
  b: number,
  c: number,
  d: number,
): void {
  const written = words[base]!;
  words[base] = written + 1;
  const capacity = words[base + 1]!;
  let slot = written;
  if (written >>> 0 >= capacity) {
    if (words[base + 2] === 0) return;
    slot = (written >>> 0) % capacity;
  }
  const at = base + RING_HEADER_WORDS + slot * EVENT_WORDS;
  words[at] = sequence;
  words[at + 1] = type | (pid << 8);
  words[at + 2] = where;
  words[at + 3] = a;
  words[at + 4] = b;
  words[at + 5] = c;
  words[at + 6] = d;
}

/** From now on the ring goes round. Its capacity is a power of two: the count may wrap. */
export function makeRingRound(words: Int32Array, base: number): void {
  words[base + 2] = 1;
}

/** Forgets what a ring holds. Call at quiescence. */
export function clearRing(words: Int32Array, base: number): void {
  words[base] = 0;
}

/** What a ring holds, and how many events did not fit. */
export interface RingContents {
  readonly events: TraceEvent[];
  readonly lost: number;
}

/** Reads a whole ring. Call at quiescence. */
export function readRing(words: Int32Array, base: number): RingContents {
  const written = words[base]! >>> 0;
  const capacity = words[base + 1]!;
  const kept = Math.min(written, capacity);
  const oldest = words[base + 2] === 0 ? 0 : written - kept;
  const events: TraceEvent[] = [];
  for (let index = 0; index < kept; index++) {
    const at = base + RING_HEADER_WORDS + ((oldest + index) % capacity) * EVENT_WORDS;
    const where = words[at + 2]!;
    events.push({
      sequence: words[at]! >>> 0,
      type: (words[at + 1]! & 0xff) as EventType,
      pid: words[at + 1]! >>> 8,
      cpu: where & 0xff,
      context: (where >>> 8) & 0xff,
      depth: where >>> 16,
      a: words[at + 3]! >>> 0,
      b: words[at + 4]! >>> 0,
      c: words[at + 5]! >>> 0,
      d: words[at + 6]! >>> 0,
    });
  }
  return { events, lost: written - kept };
}

/** All CPUs' events in machine order. */
export function mergeEvents(perCpu: readonly (readonly TraceEvent[])[]): TraceEvent[] {
  return perCpu.flat().toSorted((left, right) => left.sequence - right.sequence);
}
