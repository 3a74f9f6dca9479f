/** What a flow has read so far, as a number: a flow does what it does because of that, and a wait waits for what it waits for. */
import type { Actor } from '#base/strategy';
import { OpWord, opType } from '#trace/operations';

/** What EventTable has of a run. */
export interface History {
  readonly record: Int32Array;
  readonly recordEnd: Int32Array;
  readonly before: Int32Array;
  readonly past: Int32Array;
  isVisible(event: number): boolean;
  gives(event: number): boolean;
  word(event: number, word: number): number;
}

function mix(hash: number, word: number): number {
  let h = Math.imul(hash ^ word, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35);
  return h ^ (h >>> 13);
}

/**
 * Names the wait that an actor stands in front of by all it has read so far: 53 bits.
 *
 * @param last the actor's last event before the wait, or -1
 */
export function waitKey(events: History, actor: Actor, last: number): number {
  const [a, b] = historyOf(events, actor, last);
  return (a >>> 11) * 0x1_0000_0000 + (b >>> 0);
}

/** What two flows have read that are about to change places: one number for what both do from then on. */
export function pastOf(
  events: History,
  ...flows: readonly (readonly [actor: Actor, last: number])[]
): number {
  let past = 0;
  for (const [actor, last] of flows) {
    const [a, b] = historyOf(events, actor, last);
    past = mix(mix(past, a), b);
  }
  return past;
}

function historyOf(events: History, actor: Actor, last: number): readonly [number, number] {
  let a = mix(0x51ed270b, actor);
  let b = mix(0x2f0b4c47, actor);
  for (let event = last; event >= 0; event = events.before[event]!) {
    const first = events.record[event]!;
    const end = events.isVisible(event) ? events.recordEnd[event]! : first;
    for (let record = first; record < end; record++) {
      const at = (record - first) * 8;
      const type = opType(events.word(event, at + OpWord.HEAD));
      a = mix(mix(a, type), events.word(event, at + OpWord.READ));
      b = mix(mix(b, events.word(event, at + OpWord.ADDRESS)), events.word(event, at + OpWord.READ));
    }
    // Before it the actor's CPU was another thread, and its thread another CPU.
    if (events.gives(event)) return [mix(a, events.past[event]!), mix(b, events.past[event]!)];
  }
  return [a, b];
}
