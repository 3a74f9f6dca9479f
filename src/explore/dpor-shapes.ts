/**
 * Events taken out of their log: what a sleep set, a wakeup tree and a task keep of them, after the log is gone. Plain
 * data, so that a task can be sent to another process.
 */
import type { Actor } from '#base/strategy';
import { Flow, cpuOf, flowOf } from '#base/strategy';
import { GIVEN_SHIFT, SleeperTrait } from '#scheduler/follow';
import { Footprint, OP_WORDS, OpFlag, opFlags } from '#trace/operations';
import { EventFlag, type EventTable } from './dpor-events.ts';

export interface Shape {
  readonly actor: Actor;
  readonly steps: number;
  /** EventFlag. */
  readonly flags: number;
  /** As EventTable.ordinal. */
  readonly ordinal: number;
  /** Footprint, address and bytes, in turn. */
  readonly ranges: readonly number[];
  /** As EventTable.given, if there is one. */
  readonly given?: number;
  /**
   * In a sleep set: what begins with it is explored by another search, which cannot say what it found to be tried here.
   * So it covers only what surely begins with it (as in source-DPOR), and not what merely could.
   */
  readonly isForeign?: true;
  /** What it does is not known: the actor's next event, whatever that is. */
  readonly isUnknown?: true;
}

export function shapeOf(events: EventTable, event: number): Shape {
  const ranges: number[] = [];
  const { log } = events;
  if (events.does[event] !== Footprint.NONE)
    for (let record = events.record[event]!; record < events.recordEnd[event]!; record++) {
      const range = events.range(record);
      const isMany = (events.flags[event]! & EventFlag.MANY) !== 0;
      const isOwn = isMany && (opFlags(log.words[record * OP_WORDS]!) & OpFlag.FAULTED) !== 0;
      if (range[0] !== Footprint.NONE && !isOwn) ranges.push(...range);
    }
  const shape: Shape = {
    actor: events.actor[event]!,
    steps: events.steps[event]!,
    flags: events.flags[event]!,
    ordinal: events.ordinal[event]!,
    ranges,
  };
  return events.gives(event) ? { ...shape, given: events.given[event]! } : shape;
}

/** An actor's next event, whatever that is. */
export function unknownOf(actor: Actor): Shape {
  return { actor, steps: 1, flags: 0, ordinal: 0, ranges: [], isUnknown: true };
}

export function asForeign(shape: Shape): Shape {
  return { ...shape, isForeign: true };
}

function isForwarded(shape: Shape): boolean {
  return (shape.flags & (EventFlag.FORWARDED | EventFlag.MANY)) === EventFlag.FORWARDED;
}

/**
 * Whether the order of a shape that waits to be made, and an event of another actor that is made, matters. As
 * EventTable.depends, and where that asks who came first, the event did.
 */
export function shapeDepends(shape: Shape, events: EventTable, event: number): boolean {
  const flags = events.flags[event]!;
  if (shape.isUnknown === true || ((shape.flags | flags) & EventFlag.TIMEOUT) !== 0) return true;
  const actor = events.actor[event]!;
  if (((shape.flags | flags) & EventFlag.TAKES) !== 0) {
    if (shape.given === cpuOf(actor)) return true;
    if (events.gives(event) && events.given[event] === cpuOf(shape.actor)) return true;
  }
  const isEventForwarded = (flags & (EventFlag.FORWARDED | EventFlag.MANY)) === EventFlag.FORWARDED;
  if (cpuOf(shape.actor) === cpuOf(actor)) {
    const isFlushed = flowOf(shape.actor) === Flow.BUFFER;
    if (!isFlushed && flowOf(actor) !== Flow.BUFFER) return true;
    if (isFlushed && (flags & EventFlag.BUFFER) !== 0) return false;
    if (!isFlushed && (shape.flags & (EventFlag.ENTRY | EventFlag.DRAINS)) !== 0) return true;
    if (isFlushed ? isEventForwarded : isForwarded(shape)) return shape.ordinal === events.ordinal[event];
  } else if (isEventForwarded || isForwarded(shape)) return false;
  const { ranges } = shape;
  for (let at = 0; at < ranges.length; at += 3)
    if (events.conflictsRange(event, ranges[at]!, ranges[at + 1]!, ranges[at + 2]!)) return true;
  return false;
}

/** Two shapes of different actors; the first waits, the second is made. */
export function shapesDepend(waiting: Shape, made: Shape): boolean {
  if (waiting.isUnknown === true || made.isUnknown === true) return true;
  if (((waiting.flags | made.flags) & EventFlag.TIMEOUT) !== 0) return true;
  const isTake = ((waiting.flags | made.flags) & EventFlag.TAKES) !== 0;
  if (isTake && (waiting.given === cpuOf(made.actor) || made.given === cpuOf(waiting.actor))) return true;
  if (cpuOf(waiting.actor) === cpuOf(made.actor)) {
    const isFlushed = flowOf(waiting.actor) === Flow.BUFFER;
    if (!isFlushed && flowOf(made.actor) !== Flow.BUFFER) return true;
    if (isFlushed && (made.flags & EventFlag.BUFFER) !== 0) return false;
    if (!isFlushed && (waiting.flags & (EventFlag.ENTRY | EventFlag.DRAINS)) !== 0) return true;
    if (isForwarded(isFlushed ? made : waiting)) return waiting.ordinal === made.ordinal;
  } else if (isForwarded(waiting) || isForwarded(made)) return false;
  return rangesConflict(waiting.ranges, made.ranges);
}

function rangesConflict(a: readonly number[], b: readonly number[]): boolean {
  for (let one = 0; one < a.length; one += 3)
    for (let two = 0; two < b.length; two += 3) {
      if (((a[one]! | b[two]!) & Footprint.WRITES) === 0) continue;
      if (a[one + 1]! < b[two + 1]! + b[two + 2]! && b[two + 1]! < a[one + 1]! + a[one + 2]!) return true;
    }
  return false;
}

/** The words of a sleeper, as scheduler/follow wants them. */
export function appendSleeper(words: number[], shape: Shape): void {
  const traits =
    (isForwarded(shape) ? SleeperTrait.FORWARDED : 0) |
    ((shape.flags & EventFlag.ENTRY) !== 0 ? SleeperTrait.ENTRY : 0) |
    (shape.given === undefined ? 0 : (shape.given + 1) << GIVEN_SHIFT);
  words.push(shape.actor, traits, shape.ranges.length / 3, ...shape.ranges);
}
