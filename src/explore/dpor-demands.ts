/** What a run shows to be explored: its reversals, put into the wakeup trees of the states in front of them. */
import type { Actor } from '#base/strategy';
import { Flow, cpuOf, flowOf, interruptActor } from '#base/strategy';
import { OpFlag, OpWord, opFlags } from '#trace/operations';
import { DPOR_ACTORS, EventFlag } from './dpor-events.ts';
import type { Target } from './dpor-feasible.ts';
import type { SearchPath } from './dpor-path.ts';
import { type ReversalSink, Reversals } from './dpor-reversals.ts';
import { unknownOf } from './dpor-shapes.ts';
import { WaitMemory } from './dpor-waits.ts';
import { Initial, Insertion, type WakeSequence, initialIn, insert } from './dpor-wakeup.ts';
import { type RunResult, RunStop } from './executor.ts';
import type { HappensBefore } from './happens-before.ts';

export class Demands {
  /**
   * Some run has been ended by a step of it. Such a step commutes with nothing: that it could come first says nothing of
   * what the others do then. So from then on, as in source-DPOR, a sequence is covered only by what it holds itself.
   */
  isStrict = false;
  /** Sequences that were put into wakeup trees. */
  added = 0;
  /** A CPU was sent a second INIT that need not have come when it did: that is turned round against nothing. */
  startsTwice = false;
  private readonly order: HappensBefore;
  private readonly path: SearchPath;
  private finder: Reversals;
  /** By state: guesses that were made there. */
  private tried: (Set<string> | undefined)[] = [];
  /** Events whose reversals have to be looked at again in the next run that has them. Ascending. */
  private deferred: number[] = [];
  private list = new Int32Array(256);

  constructor(order: HappensBefore, path: SearchPath) {
    this.order = order;
    this.path = path;
    this.finder = new Reversals(order, new WaitMemory());
  }

  forget(): void {
    this.finder = new Reversals(this.order, new WaitMemory());
    this.added = 0;
    this.tried = [];
    this.deferred = [];
  }

  /** Whether everything that may have to be explored was looked at. */
  get isComplete(): boolean {
    return this.finder.cut === 0;
  }

  /**
   * Looks for what is new in a run that branched off at `branch`.
   *
   * @param firstOwn states in front of this one are somebody else's
   * @param isCut the events end before the run does: how that ended says nothing of them
   */
  find(result: RunResult, branch: number, firstOwn: number, isCut: boolean): void {
    const { events } = this.order;
    const { finder } = this;
    this.tried.length = Math.min(this.tried.length, branch + 1);
    const again = this.deferred.filter((event) => event < branch);
    this.deferred = [];
    let isLoose = false;
    const sink: ReversalSink = (leftOut, target, isGuess) => {
      if (leftOut[0]! < firstOwn) return;
      if (this.add(leftOut, target, isGuess) === Insertion.COVERED_FOR_NOW || target.isShifty) isLoose = true;
    };
    for (let event = branch; event < events.count; event++) finder.learn(event);
    if (events.hasInterrupts) this.startsTwice ||= this.hasSecondInit();
    const look = (event: number): void => {
      isLoose = false;
      finder.ofEvent(event, sink);
      if (isLoose) this.deferred.push(event);
    };
    for (const event of again) look(event);
    for (let event = branch; event < events.count; event++) look(event);
    if (isCut) return;
    for (const blocked of result.blocked ?? []) {
      finder.ofBlocked(blocked, sink);
      finder.ofPreempted(blocked, sink);
    }
    if (events.hasInterrupts) this.findUntaken(sink);
    if (result.stop === RunStop.DIED) this.findCutOff(sink);
  }

  private hasSecondInit(): boolean {
    const { events } = this.order;
    for (let event = 0; event < events.count; event++)
      if ((events.flags[event]! & EventFlag.START) !== 0 && this.order.isStartedTwice(event)) return true;
    return false;
  }

  /** Interrupts that could have been taken in this run and were not. */
  private findUntaken(sink: ReversalSink): void {
    for (let cpu = 0; cpu * 4 < this.order.events.width; cpu++)
      for (const actor of [cpu * 4 + Flow.INTERRUPT, cpu * 4 + Flow.NESTED])
        if (this.isRaisedLast(actor)) this.finder.ofPending(actor, sink);
  }

  /** Whether an interrupt actor could have gone, or was called, and never went after. */
  private isRaisedLast(actor: Actor): boolean {
    const { events } = this.order;
    for (let event = events.count - 1; event >= 0 && events.actor[event] !== actor; event--) {
      if (this.order.isInterruptTo(event, cpuOf(actor)) && this.mayTake(actor)) return true;
      if ((events.flags[event]! & EventFlag.VISIBLE) !== 0 && events.couldGo(event, actor)) return true;
    }
    return false;
  }

  /** Whether the CPU lets the interrupt actor in somewhere: a handler has to turn interrupts on for another to come on top of it. */
  private mayTake(actor: Actor): boolean {
    if (flowOf(actor) === Flow.INTERRUPT) return true;
    const { events } = this.order;
    const below = interruptActor(cpuOf(actor));
    for (let event = 0; event < events.count; event++) {
      if (events.actor[event] !== below) continue;
      if ((opFlags(events.word(event, OpWord.HEAD)) & OpFlag.IRQS_OFF) === 0) return true;
    }
    return false;
  }

  /** The run ended with somebody's step, and others could have gone on: what they do does not depend on its end. */
  private findCutOff(sink: ReversalSink): void {
    const { events } = this.order;
    let last = events.count - 1;
    while (last >= 0 && (events.flags[last]! & EventFlag.VISIBLE) === 0) last--;
    if (last < 0) return;
    for (let actor = 0; actor < DPOR_ACTORS; actor++) {
      if (actor === events.actor[last] || !events.couldGo(last, actor) || this.finder.lastOf(actor) > last)
        continue;
      const target = {
        shape: unknownOf(actor),
        event: -1,
        end: events.count,
        wait: undefined,
        isShifty: false,
      };
      sink([last], target, true);
    }
  }

  /** Wants a run in which the target comes without `leftOut`. */
  private add(leftOut: readonly number[], target: Target, isSurmised: boolean): Insertion {
    const { order } = this;
    const { events } = order;
    const state = leftOut[0]!;
    if (this.list.length < events.count) this.list = new Int32Array(events.count * 2);
    let count = 0;
    // What is not known may be a wait that cannot be made there. And it stands in for nothing that is known.
    const isGuess = isSurmised || target.shape.isUnknown === true;
    for (let event = state + 1; event < events.count; event++) {
      if (leftOut.some((one) => order.isBefore(one, event))) continue;
      this.list[count++] = event;
    }
    const sequence: WakeSequence = {
      list: this.list,
      count,
      target: target.shape,
      isGuess,
      solidEnd: target.end,
      isStrict: this.isStrict,
    };
    let covered: Insertion = Insertion.ADDED;
    for (const shape of this.path.sleep[state]!) {
      const initial = initialIn(shape, sequence, events);
      if (initial === Initial.STRICT) return Insertion.COVERED;
      const isTooWeak = initial === Initial.WEAK && (this.isStrict || shape.isForeign === true);
      if (initial !== Initial.NO && !isTooWeak) covered = Insertion.COVERED_FOR_NOW;
    }
    if (covered !== Insertion.ADDED) return covered;
    if (isGuess && this.wasTried(state, sequence)) return Insertion.COVERED;
    const inserted = insert(this.path.left[state]!, sequence, events);
    if (inserted === Insertion.ADDED) this.added++;
    return inserted;
  }

  /** A guess is made once for each state and way from there, while the search is below it: the outcome would be the same. */
  private wasTried(state: number, { list, count, target }: WakeSequence): boolean {
    let key = '';
    for (let at = 0; at < count; at++) key += `${this.order.events.actor[list[at]!]},`;
    key += `${target.actor}`;
    const tried = (this.tried[state] ??= new Set());
    if (tried.has(key)) return true;
    tried.add(key);
    return false;
  }
}
