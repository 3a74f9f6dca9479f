/** A schedule as bytes: the middle part of a token (token.ts says the form). */
import type { Actor } from '#base/strategy';
import type { Segment } from './executor.ts';
import { type ByteReader, type ByteWriter, damaged } from './token-bytes.ts';

/** More segments than a run of the longest step limit can have. */
const SEGMENTS_MAX = 4_000_000;
/** Rounds of a livelock are short; looking further back costs time and finds nothing. */
const PERIOD_MAX = 64;
/** Fewer copied segments are shorter as they are. */
const COPIED_MIN = 4;

const REPEAT = 0;

/** Each segment as one number above 0. Neighbours have different actors, so one actor fewer is in question. */
function codes(schedule: readonly Segment[], actors: readonly Actor[]): number[] {
  const numbers = new Map(actors.map((actor, number) => [actor, number]));
  const others = Math.max(1, actors.length - 1);
  let last = -1;
  return schedule.map(({ actor, steps }) => {
    const number = numbers.get(actor)!;
    const which = last < 0 ? number : number - (number > last ? 1 : 0);
    last = number;
    return 1 + (steps - 1) * others + which;
  });
}

/** How far back the segments from `at` on began before, and for how many they go on like that. */
function repetition(all: readonly number[], at: number): { period: number; count: number } {
  let best = { period: 0, count: 0 };
  for (let period = 1; period <= Math.min(PERIOD_MAX, at); period++) {
    let count = 0;
    while (at + count < all.length && all[at + count] === all[at + count - period]) count++;
    if (count > best.count) best = { period, count };
  }
  return best;
}

/** @param schedule joined segments: no two neighbours of one actor, none without steps */
export function writeSchedule(bytes: ByteWriter, schedule: readonly Segment[]): void {
  const actors = [...new Set(schedule.map(({ actor }) => actor))];
  bytes.varint(actors.length);
  for (const actor of actors) bytes.varint(actor);
  bytes.varint(schedule.length);
  for (const [index, { actor, steps }] of schedule.entries()) {
    if (steps < 1 || !Number.isSafeInteger(steps) || schedule[index - 1]?.actor === actor) {
      throw new RangeError(`writeSchedule: segment ${index} is not joined: actor ${actor}, ${steps} steps`);
    }
  }
  const all = codes(schedule, actors);
  // The first segment's number counts all actors and not all but one, but it is always 0: the table begins with it.
  for (let at = 0; at < all.length;) {
    const { period, count } = repetition(all, at);
    if (count >= COPIED_MIN) {
      bytes.varint(REPEAT);
      bytes.varint(period);
      bytes.varint(count);
      at += count;
    } else bytes.varint(all[at++]!);
  }
}

export function readSchedule(bytes: ByteReader): Segment[] {
  const actors = Array.from({ length: bytes.countOfBytes() }, () => bytes.varint());
  const length = bytes.varint();
  if (length > SEGMENTS_MAX || (length > 0 && actors.length === 0)) {
    throw damaged(`expected at most ${SEGMENTS_MAX} segments of ${actors.length} actors, got ${length}`);
  }
  const all: number[] = [];
  while (all.length < length) {
    const code = bytes.varint();
    if (code !== REPEAT) {
      all.push(code);
      continue;
    }
    const [period, count] = [bytes.varint(), bytes.varint()];
    if (period < 1 || period > all.length || count > length - all.length) {
      throw damaged(`expected to repeat at most ${all.length} segments back, got ${period} times ${count}`);
    }
    for (let copied = 0; copied < count; copied++) all.push(all[all.length - period]!);
  }
  return decoded(all, actors);
}

function decoded(all: readonly number[], actors: readonly Actor[]): Segment[] {
  const others = Math.max(1, actors.length - 1);
  let last = -1;
  return all.map((code) => {
    const which = (code - 1) % others;
    const steps = Math.floor((code - 1) / others) + 1;
    const number = last >= 0 && which >= last ? which + 1 : which;
    last = number;
    const actor = actors[number];
    if (actor === undefined) throw damaged(`expected one of ${actors.length} actors, got ${number}`);
    return { actor, steps };
  });
}
