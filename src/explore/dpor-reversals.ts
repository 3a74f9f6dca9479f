/**
 * Which pairs of a run could have come the other way round.
 *
 * For an event e' the search asks: which sets of earlier events could be left out, with all that comes after them, so
 * that e' is made without them? Only dependent events that are not needed for e' matter. For an operation that is
 * always possible that is any one of those with no other dependent event between it and e' (an immediate race; JACM 2017,
 * section 4). For one that waits, leaving out the last may leave it waiting: a lock stays taken when only the release
 * is left out. Then more has to go, one latest event at a time, until it can be made: every largest set of
 * dependent events that still lets e' be made is found. Smaller ones are found in the runs that those start, where e'
 * comes right behind such a set and races with the last of it.
 *
 * Soundness rests on two things. What may stay is closed downwards, so each set is a state some run reaches. And
 * the question "can e' be made there" is answered by what is certain (a lock's word, values on which the
 * wait was seen to hold or not, the interrupt flag in front of what is left out) or else with *perhaps*, which is tried
 * and goes on to smaller sets as if the answer were no.
 */
import { cpuOf, flowOf, Flow, mainActor } from '#base/strategy';
import type { BlockedActor } from '#scheduler/executor';
import { OpType, OpWord, footprint, opType } from '#trace/operations';
import { DPOR_ACTORS, EventFlag, type EventTable } from './dpor-events.ts';
import { type Shape, shapeDepends, shapeOf, unknownOf } from './dpor-shapes.ts';
import { Feasibility, Feasible, type Target } from './dpor-feasible.ts';
import type { WaitMemory } from './dpor-waits.ts';
import { waitKey } from './dpor-history.ts';
import { type HappensBefore, isSameStack } from './happens-before.ts';

/** Sets looked at for one event before the search gives up its claim to be complete. */
const SETS_MAX = 2000;

/** `target` could be made without `left out`, ascending, and what comes after those. */
export type ReversalSink = (leftOut: readonly number[], target: Target, isGuess: boolean) => void;

export class Reversals {
  /** Times that SETS_MAX was met. */
  cut = 0;
  private readonly order: HappensBefore;
  private readonly events: EventTable;
  private readonly feasibility: Feasibility;
  /** What is known to come before the event in question, and races found so far. */
  private readonly clock = new Int32Array(DPOR_ACTORS);
  private readonly one = [0];

  constructor(order: HappensBefore, waits: WaitMemory) {
    this.order = order;
    this.events = order.events;
    this.feasibility = new Feasibility(order, waits);
  }

  /** Those of an event that was made. */
  ofEvent(event: number, sink: ReversalSink): void {
    const { events } = this;
    const flags = events.flags[event]!;
    if ((flags & EventFlag.START) !== 0) return;
    if ((flags & (EventFlag.VISIBLE | EventFlag.BUFFER)) === 0) {
      this.ofUnseen(event, sink);
      return;
    }
    if ((flags & EventFlag.TIMEOUT) !== 0) {
      this.ofTimeout(event, sink);
      return;
    }
    if ((flags & EventFlag.TAKES) !== 0) this.ofGiven(event, sink);
    const isSimple = (flags & (EventFlag.ENTRY | EventFlag.WAITS)) === 0 || this.isLock(event);
    if (isSimple && this.immediate(event, sink)) return;
    this.order.needed(event, this.clock, 0);
    const wait = this.waitOf(event);
    const isShifty = wait !== undefined && !wait.isLock && this.feasibility.looksElsewhere(wait);
    this.largestSets({ shape: shapeOf(events, event), event, end: event, wait, isShifty }, sink);
  }

  /** What nobody sees races with nobody. But it may be how a thread begins that preempts the flow: the flow could have gone on instead. */
  private ofUnseen(event: number, sink: ReversalSink): void {
    const { events, one } = this;
    const entry = this.feasibility.entryAbove(events.actor[event]!, event, events.before[event]!);
    if (entry < 0) return;
    one[0] = entry;
    const target: Target = {
      shape: shapeOf(events, event),
      event,
      end: event,
      wait: undefined,
      isShifty: false,
    };
    if (this.feasibility.preempting(target, one) < 0) return;
    sink(one, this.asWithout(target, one), this.feasibility.judge(target, one) === Feasible.PERHAPS);
  }

  /** A task was taken from its CPU that might have had a reason to stay: right then, or some time before. */
  private ofGiven(event: number, sink: ReversalSink): void {
    const { events, one } = this;
    const wait = this.endedBy(event);
    if (wait === undefined) return;
    const actor = mainActor(events.given[event]!);
    if (events.couldGo(event, actor)) {
      one[0] = event;
      sink(one, { shape: unknownOf(actor), event: -1, end: event, wait: undefined, isShifty: true }, false);
    } else if (wait.words.length > 0) this.ofUnmade(actor, events.givenBefore[event]!, event, wait, sink);
  }

  /** The wait of a task that is taken from its CPU: for a reason to stay. */
  private endedBy(event: number): NonNullable<Target['wait']> | undefined {
    const { events } = this;
    if (!events.gives(event)) return undefined;
    const key = waitKey(events, mainActor(events.given[event]!), events.givenBefore[event]!);
    return { key, words: this.feasibility.givenUpBy(event), isLock: false };
  }

  private isLock(event: number): boolean {
    const { events } = this;
    return opType(events.word(event, OpWord.HEAD)) === OpType.ACQUIRE && events.size[event] === 4;
  }

  private waitOf(event: number): Target['wait'] {
    const { events } = this;
    if ((events.flags[event]! & EventFlag.WAITS) === 0) return undefined;
    if (opType(events.word(event, OpWord.HEAD)) === OpType.ACQUIRE)
      return { key: 0, words: [events.address[event]!], isLock: true };
    return {
      key: waitKey(events, events.actor[event]!, events.before[event]!),
      words: this.feasibility.wordsOf(event),
      isLock: false,
    };
  }

  /** Learns from a run, before its reversals are asked for, that waits were made on the values they read. */
  learn(event: number): void {
    const { events } = this;
    const wait = this.waitOf(event);
    if (wait !== undefined && !wait.isLock) this.feasibility.learnMade(event, wait.key, wait.words);
    const flags = events.flags[event]!;
    if ((flags & (EventFlag.TAKES | EventFlag.TIMEOUT)) === 0) return;
    if ((flags & EventFlag.TAKES) !== 0) {
      this.learnEnded(event);
      return;
    }
    const actor = events.actor[event]!;
    const key = waitKey(events, actor, events.before[event]!);
    this.feasibility.learnBlocked(actor, key, this.feasibility.lookedAt(event), event);
  }

  /** And that a task has looked in vain for a reason to stay, until it was taken from its CPU. */
  private learnEnded(event: number): void {
    const wait = this.endedBy(event);
    if (wait === undefined) return;
    const actor = mainActor(this.events.given[event]!);
    if (!this.events.couldGo(event, actor)) this.feasibility.learnBlocked(actor, wait.key, wait.words, event);
  }

  /**
   * The common case in one pass: the events e' races with form chains, and whether e' can be made in front of one of them
   * is known from its record: a lock's word says what it was before. False: this is not the common case, and nothing
   * was said.
   */
  private immediate(event: number, sink: ReversalSink): boolean {
    const { events, order, clock } = this;
    const { actor } = events;
    const isLock = (events.flags[event]! & EventFlag.WAITS) !== 0;
    order.needed(event, clock, 0);
    const found: number[] = [];
    for (let other = event - 1; other >= 0; other--) {
      const who = actor[other]!;
      if (who === actor[event] || other < clock[who]! || !events.depends(other, event)) continue;
      if (isSameStack(events, other, event) || this.isDrainOf(other, event)) return false;
      if (!this.canRace(other, event)) continue;
      if (isLock) {
        if (!this.feasibility.isExact(other, events.address[event]!)) return false;
        if (events.word(other, OpWord.READ) !== 0) continue;
      }
      found.push(other);
      order.join(clock, 0, other);
    }
    if (found.length === 0) return true;
    const isTake = (events.flags[event]! & EventFlag.TAKES) !== 0;
    const target: Target = {
      shape: shapeOf(events, event),
      event,
      end: event,
      wait: undefined,
      isShifty: false,
    };
    for (const other of found) {
      this.one[0] = other;
      const isOwn = cpuOf(actor[other]!) === cpuOf(actor[event]!) || isTake;
      sink(this.one, isOwn ? this.asWithout(target, this.one) : target, false);
    }
    return true;
  }

  /** Whether a dependent pair is one whose order anybody can notice, and no step of the machine itself. */
  private canRace(first: number, second: number): boolean {
    const { events } = this;
    const [a, b] = [events.flags[first]!, events.flags[second]!];
    if (((a | b) & (EventFlag.START | EventFlag.TIMEOUT)) !== 0) return false;
    return (a & b & EventFlag.VISIBLE) !== 0 || ((a | b) & EventFlag.BUFFER) !== 0;
  }

  /** A store of the CPU's other flow had to leave the buffer first. */
  private isDrainOf(first: number, second: number): boolean {
    const { events } = this;
    const isPair =
      (events.flags[first]! & EventFlag.FLUSH) !== 0 && (events.flags[second]! & EventFlag.DRAINS) !== 0;
    return isPair && cpuOf(events.actor[first]!) === cpuOf(events.actor[second]!);
  }

  /** Those of an actor that the run left waiting: what it waits for may have been possible for a while. */
  ofBlocked(blocked: BlockedActor, sink: ReversalSink): void {
    const { events } = this;
    const isLock = blocked.type === OpType.ACQUIRE;
    // Who waits for the store buffer to drain waits for nobody else.
    if (!isLock && blocked.type !== OpType.AWAIT) return;
    const last = this.lastOf(blocked.actor);
    if (!this.mayTouch(blocked.ranges)) {
      // Nobody comes near: as in nearly every run an idle CPU.
      if (!isLock) this.feasibility.learnUntouched(waitKey(events, blocked.actor, last), blocked.ranges);
      return;
    }
    const words: number[] = [];
    for (let at = 0; at < blocked.ranges.length; at += 2)
      for (let byte = 0; byte < blocked.ranges[at + 1]!; byte += 4) words.push(blocked.ranges[at]! + byte);
    const key = isLock ? 0 : waitKey(events, blocked.actor, last);
    if (!isLock) this.feasibility.learnBlocked(blocked.actor, key, words, events.count);
    this.ofUnmade(blocked.actor, last, events.count, { key, words, isLock }, sink);
  }

  /** Who was left waiting may be a thread that an interrupt let in and that made no step: the flow below it could have gone on. */
  ofPreempted({ actor }: BlockedActor, sink: ReversalSink): void {
    const { events, one } = this;
    const entry = this.feasibility.entryAbove(actor, events.count, this.lastOf(actor));
    if (entry < 0 || !events.couldGo(entry, actor)) return;
    one[0] = entry;
    const shape = unknownOf(actor);
    sink(one, { shape, event: -1, end: events.count, wait: undefined, isShifty: true }, false);
  }

  /** Whether some event may touch one of these words: address and bytes, in turn. */
  private mayTouch(ranges: readonly number[]): boolean {
    for (let at = 0; at < ranges.length; at += 2)
      for (let byte = 0; byte < ranges[at + 1]!; byte += 4)
        if (this.events.mayTouch(ranges[at]! + byte)) return true;
    return false;
  }

  /**
   * Those of a wait that gave up. That itself cannot come earlier: time passes only when nobody can go on, so everybody's steps
   * come before it or after it. But the wait may have been possible for a while.
   */
  private ofTimeout(event: number, sink: ReversalSink): void {
    const { events } = this;
    const words = this.feasibility.lookedAt(event);
    // A condition that looks at nothing is always the same.
    if (words.length === 0) return;
    const [actor, last] = [events.actor[event]!, events.before[event]!];
    this.ofUnmade(actor, last, event, { key: waitKey(events, actor, last), words, isLock: false }, sink);
  }

  /** Those of a wait that was not made before `end`, by an actor whose last event is `last`. */
  private ofUnmade(
    actor: number,
    last: number,
    end: number,
    wait: NonNullable<Target['wait']>,
    sink: ReversalSink,
  ): void {
    const { order, clock } = this;
    clock.fill(0);
    if (last >= 0) order.join(clock, 0, last);
    const does = footprint(wait.isLock ? OpType.ACQUIRE : OpType.AWAIT);
    const flags = EventFlag.VISIBLE | EventFlag.WAITS | (wait.isLock ? EventFlag.DRAINS : 0);
    const ranges = [...wait.words.flatMap((word) => [does, word, 4]), ...this.offeredBy(last)];
    const shape: Shape = { actor, steps: 1, flags, ordinal: 0, ranges };
    this.largestSets({ shape, event: -1, end, wait, isShifty: false }, sink);
  }

  /** What an offer has written: the wait behind it takes that back when it ends. Footprint, address and bytes, in turn. */
  private offeredBy(event: number): readonly number[] {
    const { events } = this;
    if (event < 0 || opType(events.word(event, OpWord.HEAD)) !== OpType.OFFER) return [];
    return shapeOf(events, event).ranges;
  }

  /** Those of an interrupt that was raised in the run, or before it, and not taken. */
  ofPending(actor: number, sink: ReversalSink): void {
    const { events, order, clock } = this;
    const last = this.lastOf(actor);
    clock.fill(0);
    if (last >= 0) order.join(clock, 0, last);
    const flags = EventFlag.VISIBLE | EventFlag.ENTRY;
    const word = this.feasibility.pendingWord(cpuOf(actor));
    const ranges = word < 0 ? [] : [footprint(OpType.IRQ_ENTRY), word, 4];
    const shape: Shape = { actor, steps: 1, flags, ordinal: 0, ranges };
    const target: Target = { shape, event: -1, end: events.count, wait: undefined, isShifty: false };
    const unknown: Target = { ...target, shape: { ...shape, isUnknown: true } };
    this.largestSets(target, (leftOut, _, isGuess) => sink(leftOut, word < 0 ? unknown : target, isGuess));
  }

  lastOf(actor: number): number {
    const { events } = this;
    let last = events.count - 1;
    while (last >= 0 && !events.isOf(last, actor)) last--;
    return last;
  }

  /** Every largest set of dependent events with which the target can be made, but not all of them. */
  private largestSets(target: Target, sink: ReversalSink): void {
    const dependent = this.dependentOn(target);
    const accepted: (readonly number[])[] = [];
    const seen = new Set<string>();
    const queue: (readonly number[])[] = [[]];
    for (let at = 0; at < queue.length; at++) {
      for (const leftOut of this.withOneMore(queue[at]!, dependent)) {
        const key = leftOut.join(',');
        if (seen.has(key) || accepted.some((smaller) => smaller.every((event) => leftOut.includes(event))))
          continue;
        seen.add(key);
        if (seen.size > SETS_MAX) {
          this.cut++;
          return;
        }
        // Words that the wait looked at another time, and not this time: leaving those writes out alone changes nothing.
        const isSame = target.event >= 0 && !leftOut.some((one) => this.order.isBefore(one, target.event));
        const answer = isSame ? Feasible.NO : this.feasibility.judge(target, leftOut);
        if (answer === Feasible.YES) accepted.push(leftOut);
        else queue.push(leftOut);
        if (answer !== Feasible.NO)
          sink(leftOut, this.asWithout(target, leftOut), answer === Feasible.PERHAPS);
      }
    }
  }

  /** What an actor does may depend on what is left out: a load reads its own CPU's buffered store or memory; a preemption is made or not. */
  private asWithout(target: Target, leftOut: readonly number[]): Target {
    const { shape } = target;
    if (this.feasibility.preempting(target, leftOut) >= 0)
      return { ...target, shape: unknownOf(shape.actor), isShifty: true };
    // Who asks for a CPU then is another question.
    if ((shape.flags & EventFlag.TAKES) !== 0)
      return { ...target, shape: { ...unknownOf(shape.actor), flags: shape.flags }, isShifty: true };
    const isLoad = target.event >= 0 && opType(this.events.word(target.event, OpWord.HEAD)) === OpType.LOAD;
    if (!isLoad || (shape.flags & EventFlag.MANY) !== 0) return target;
    const ordinal = this.feasibility.buffered(target, leftOut);
    if (ordinal === shape.ordinal) return target;
    const flags = ordinal === 0 ? shape.flags & ~EventFlag.FORWARDED : shape.flags | EventFlag.FORWARDED;
    return { ...target, shape: { ...shape, flags, ordinal }, isShifty: true };
  }

  private dependentOn(target: Target): number[] {
    const { events, clock } = this;
    const found: number[] = [];
    const watched = this.feasibility.watchedBy(target);
    for (let other = 0; other < target.end; other++) {
      const who = events.actor[other]!;
      if (who === target.shape.actor || other < clock[who]!) continue;
      const depends =
        target.event < 0 ? shapeDepends(target.shape, events, other) : events.depends(other, target.event);
      if (!depends && !shapeDepends(watched, events, other)) continue;
      if (this.mayBeLeftOut(other, target)) found.push(other);
    }
    return found;
  }

  private mayBeLeftOut(other: number, target: Target): boolean {
    const { events } = this;
    const flags = events.flags[other]!;
    if ((flags & (EventFlag.START | EventFlag.TIMEOUT)) !== 0) return false;
    if ((flags & EventFlag.VISIBLE) !== 0) return true;
    // A store that enters the buffer keeps interrupts away, and the other way round.
    const isStack =
      flowOf(events.actor[other]!) !== Flow.BUFFER &&
      cpuOf(events.actor[other]!) === cpuOf(target.shape.actor);
    return (flags & EventFlag.BUFFER) !== 0 && isStack;
  }

  private *withOneMore(
    leftOut: readonly number[],
    dependent: readonly number[],
  ): Generator<readonly number[]> {
    const stay = dependent.filter((event) => !leftOut.includes(event));
    for (const event of stay) {
      if (stay.some((later) => later > event && this.order.isBefore(event, later))) continue;
      yield [...leftOut, event].toSorted((a, b) => a - b);
    }
  }
}
