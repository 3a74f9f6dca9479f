/**
 * Exhaustive search: one execution for each Mazurkiewicz trace, by optimal dynamic partial order reduction with wakeup
 * trees (Abdulla, Aronis, Jonsson, Sagonas, POPL 2014 and JACM 2017).
 *
 * Between two runs the search looks for pairs of events that could have come the other way round (dpor-reversals), and puts
 * what has to be run to see that into the wakeup tree of the state in front of the first one. A state's sleep set holds
 * what has been explored from there, so that nothing is run twice. The next run begins with the deepest
 * state that has something left: a walk in depth first order, of which only one path is kept.
 *
 * Departures from the paper. Races of a run's older part are looked at again only where the answer depended on
 * the newer part. Waits are reversed over sets of events (dpor-reversals), and where nobody knows whether a condition
 * holds, the event is a *guess*: asked for, and if it is not possible the run ends there, a *miss*. A run that ends
 * so, or because everybody sleeps, or turns out to have made a sleeping event, is *redundant*; the statement says how
 * many there were.
 *
 * When memory becomes known as shared, or anything else shows that earlier logs lack choice points, the search starts
 * again: what is known of sharing stays with the executor.
 */
import { assert } from '#base/assert';
import { type Actor, Flow, POLICY_WORDS, cpuOf, flowOf } from '#base/strategy';
import { FollowWord, RANGE_WORDS, SLEEPER_WORDS } from '#scheduler/follow';
import { policyNumber } from '#scheduler/policies';
import { EventFlag, appendSegment, stepsOf } from './dpor-events.ts';
import type { Target } from './dpor-feasible.ts';
import { Reversals, type ReversalSink } from './dpor-reversals.ts';
import { type Shape, appendSleeper, shapeDepends, shapeOf, shapesDepend } from './dpor-shapes.ts';
import { type DporTask, WHOLE } from './dpor-task.ts';
import { WaitMemory } from './dpor-waits.ts';
import {
  Initial,
  Insertion,
  type WakeNode,
  type WakeSequence,
  cloneTree,
  initialIn,
  insert,
} from './dpor-wakeup.ts';
import { type Plan, type RunResult, RunStop } from './executor.ts';
import { HappensBefore } from './happens-before.ts';
import type { Search, Statement } from './search.ts';

export interface DporOptions {
  /** Without one, until everything is covered. */
  readonly runs?: number;
}

/** What hangs at a step of the plan that is being run: branches of the state in front of it. */
interface Waiting {
  readonly step: number;
  readonly children: WakeNode[];
}

const NOTHING: readonly Shape[] = [];

export class DporSearch implements Search {
  /** Runs since the search last started again. */
  executions = 0;
  /** Those among them that showed nothing new. */
  redundant = 0;
  /** Runs that ended at once: what they were to try was not possible. They count as redundant as well. */
  misses = 0;
  /** Sequences that were put into wakeup trees. */
  reversals = 0;
  /** Most events of a run. */
  maxDepth = 0;
  restarts = 0;
  /** Runs made before the last restart. */
  discarded = 0;
  /** Runs that a limit ended, or that did not follow their plan. */
  cutShort = 0;
  private readonly task: DporTask;
  private readonly options: DporOptions;
  private readonly policy = policyNumber('follow');
  private readonly order = new HappensBefore();
  private waits = new WaitMemory();
  private finder = new Reversals(this.order, this.waits);
  /** By state (in front of the event of that number): who sleeps; what is left; how much is done. */
  private sleep: (readonly Shape[])[] = [];
  private left: WakeNode[][] = [];
  private done: number[] = [];
  /** Below the states in front of this one, work has been given away. */
  private opened = 0;
  /** By state: a run that was no miss has gone through. */
  private entered: boolean[] = [];
  /** By state: guesses that were made there. */
  private tried: (Set<string> | undefined)[] = [];
  /** Events whose reversals have to be looked at again in the next run that has them. Ascending. */
  private deferred: number[] = [];
  /** The first state that is this task's own. -1: not known before its first run. */
  private base = -1;
  /** The state that the run being made branches from, and what it will find behind it. */
  private branch = 0;
  private waiting: Waiting[] = [];
  private list = new Int32Array(256);
  /** Steps before the guess that the run being made is for, or -1. */
  private guessedAt = -1;
  private isRunning = false;
  private isFinished = false;

  constructor(options: DporOptions = {}, task: DporTask = WHOLE) {
    this.options = options;
    this.task = task;
  }

  static from(task: DporTask, options: DporOptions = {}): DporSearch {
    return new DporSearch(options, task);
  }

  next(): Plan | undefined {
    assert(!this.isRunning, 'DporSearch.next: the run before has not been observed');
    if (this.isFinished || this.executions + this.discarded >= (this.options.runs ?? Infinity))
      return undefined;
    if (this.base < 0) {
      const { prefix, sleep, branches } = this.task;
      return this.plan(prefix, stepsOf(prefix), cloneTree(branches), sleep);
    }
    const state = this.deepest();
    if (state < 0) {
      this.isFinished = true;
      return undefined;
    }
    const { events } = this.order;
    if (state < events.count && !this.sleep[state]!.some(({ actor }) => actor === events.actor[state])) {
      const shape = shapeOf(events, state);
      this.sleep[state] = [...this.sleep[state]!, state < this.opened ? asForeign(shape) : shape];
    }
    this.opened = Math.min(this.opened, state + 1);
    this.done[state]!++;
    this.branch = state;
    const step = state < events.count ? events.step[state]! : this.stepsBefore(state);
    return this.plan(events.prefix(state), step, this.left[state]!, this.sleep[state]!);
  }

  private stepsBefore(state: number): number {
    const { events } = this.order;
    return state === 0 ? 0 : events.step[state - 1]! + events.steps[state - 1]!;
  }

  private deepest(): number {
    let state = this.left.length - 1;
    while (state >= this.base && this.left[state]!.length === 0) state--;
    return state >= this.base ? state : -1;
  }

  /** A run along the first branch of a state, to the end of its wakeup sequence. What it passes waits for later. */
  private plan(
    prefix: Plan['prefix'],
    firstStep: number,
    branches: WakeNode[],
    sleep: readonly Shape[],
  ): Plan {
    const segments = prefix.map((segment) => ({ ...segment }));
    this.waiting = [];
    let step = firstStep;
    let awake = sleep;
    let first = 0;
    this.guessedAt = -1;
    for (let level = branches; level.length > 0;) {
      const { shape, isGuess, children } = level.shift()!;
      this.waiting.push({ step, children: level });
      // What a wait will look at, or whether it can be made at all, is seen when it is.
      if (isGuess || (shape.flags & EventFlag.WAITS) !== 0) {
        if (children.length === 0) {
          if (isGuess) this.guessedAt = step;
          // In front of a store that enters the buffer nobody is asked: an interrupt goes there only if it is told to.
          if ((shape.flags & EventFlag.ENTRY) === 0) {
            first = shape.actor + 1;
            break;
          }
        }
      }
      appendSegment(segments, shape.actor, shape.steps);
      step += shape.steps;
      awake = awake.filter((one) => one.actor !== shape.actor && !shapesDepend(one, shape));
      level = children;
    }
    this.isRunning = true;
    return { prefix: segments, policy: this.policy, seed: 1, parameters: parametersOf(step, first, awake) };
  }

  observe(result: RunResult): void {
    assert(this.isRunning, 'DporSearch.observe: nothing is running');
    this.isRunning = false;
    this.executions++;
    if (result.sharedGrew || !this.order.read(result.log, this.base < 0 ? 0 : this.branch)) {
      this.restart();
      return;
    }
    const isMiss =
      this.guessedAt >= 0 &&
      ((result.stop === RunStop.COVERED && result.steps === this.guessedAt) ||
        (result.stop === RunStop.DIVERGED && result.divergedAt === this.guessedAt));
    if (isMiss) this.misses++;
    else if (result.stop === RunStop.STEP_LIMIT || result.stop === RunStop.DIVERGED) this.cutShort++;
    if (this.base < 0) this.begin();
    this.layOut();
    const isCovered = this.followSleep() || isMiss || result.stop === RunStop.COVERED;
    if (isCovered) this.redundant++;
    this.maxDepth = Math.max(this.maxDepth, this.order.events.count);
    this.entered.length = Math.min(this.entered.length, this.branch + 1);
    if (!isMiss) for (let state = 0; state <= this.order.events.count; state++) this.entered[state] = true;
    this.findReversals(result);
    if (isMiss) this.forgetWay();
  }

  private restart(): void {
    this.restarts++;
    this.discarded += this.executions;
    this.executions = this.redundant = this.misses = this.reversals = this.maxDepth = this.cutShort = 0;
    this.waits = new WaitMemory();
    this.finder = new Reversals(this.order, this.waits);
    this.base = -1;
    this.tried = [];
    this.entered = [];
    this.deferred = [];
    this.isFinished = false;
  }

  /** The first run of the task: which event its prefix ends at. */
  private begin(): void {
    const { events } = this.order;
    const steps = stepsOf(this.task.prefix);
    let state = 0;
    while (state < events.count && events.step[state]! < steps) state++;
    this.base = this.branch = state;
    this.left = Array.from({ length: state + 1 }, () => []);
    this.done = Array.from({ length: state + 1 }, () => 0);
    this.sleep = Array.from({ length: state + 1 }, () => NOTHING);
    this.sleep[state] = this.task.sleep;
    this.opened = 0;
  }

  /** Makes states of the new events, and hangs what the plan passed into them. */
  private layOut(): void {
    const { events } = this.order;
    const { branch } = this;
    this.left.length = this.done.length = this.sleep.length = branch + 1;
    this.tried.length = Math.min(this.tried.length, branch + 1);
    for (let state = branch + 1; state <= events.count; state++) {
      this.left.push([]);
      this.done.push(0);
    }
    for (const { step, children } of this.waiting) {
      if (children.length === 0) continue;
      let state = branch;
      while (state < events.count && events.step[state]! < step) state++;
      const isThere = state < events.count ? events.step[state] === step : this.stepsBefore(state) === step;
      if (isThere) this.left[state] = children;
      else this.cutShort++;
    }
    while (this.deferred.length > 0 && this.deferred.at(-1)! >= branch) this.deferred.pop();
  }

  /** Sleep sets along the new part. True if it makes a step that was covered: it ends in front of that. */
  private followSleep(): boolean {
    const { events } = this.order;
    for (let state = this.branch; state < events.count; state++) {
      const asleep = this.sleep[state]!;
      if (asleep.some(({ actor }) => actor === events.actor[state])) {
        this.goElsewhere(state);
        events.truncate(state);
        this.left.length = this.done.length = state + 1;
        return true;
      }
      const still = asleep.length === 0 ? asleep : asleep.filter((one) => !shapeDepends(one, events, state));
      this.sleep.push(still.length === asleep.length ? asleep : still);
    }
    return false;
  }

  /**
   * The states that only a miss has led to are forgotten: the events before it were made for its sake, and what else
   * begins with them has not been explored.
   */
  private forgetWay(): void {
    const { events } = this.order;
    let state = events.count;
    while (state > this.base && this.left[state]!.length === 0 && this.entered[state] !== true) state--;
    events.truncate(state);
    this.left.length = this.done.length = state + 1;
  }

  /** The run made a covered step where it could have made another: that is still to be done. */
  private goElsewhere(state: number): void {
    const { events } = this.order;
    if (this.left[state]!.length > 0) return;
    if ((events.flags[state]! & EventFlag.VISIBLE) === 0) {
      this.cutShort++;
      return;
    }
    for (let actor = 0; actor < events.width; actor++) {
      if (!events.couldGo(state, actor) || this.sleep[state]!.some((shape) => shape.actor === actor))
        continue;
      this.left[state]!.push({ shape: unknownOf(actor), isGuess: true, children: [] });
      return;
    }
  }

  private findReversals(result: RunResult): void {
    const { events } = this.order;
    const { finder } = this;
    const again = this.deferred;
    this.deferred = [];
    let isLoose = false;
    const sink: ReversalSink = (leftOut, target, isGuess) => {
      if (leftOut[0]! < this.firstOwn) return;
      if (this.add(leftOut, target, isGuess) === Insertion.COVERED_FOR_NOW || target.isShifty) isLoose = true;
    };
    for (let event = this.branch; event < events.count; event++) finder.learn(event);
    const look = (event: number): void => {
      isLoose = false;
      finder.ofEvent(event, sink);
      if (isLoose) this.deferred.push(event);
    };
    for (const event of again) look(event);
    for (let event = this.branch; event < events.count; event++) look(event);
    for (const blocked of result.blocked ?? []) finder.ofBlocked(blocked, sink);
    if (events.hasInterrupts) this.findUntaken(sink);
    if (result.stop === RunStop.DIED) this.findCutOff(sink);
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
      if (flowOf(actor) === Flow.INTERRUPT && this.order.isIpiTo(event, cpuOf(actor))) return true;
      if ((events.flags[event]! & EventFlag.VISIBLE) !== 0 && events.couldGo(event, actor)) return true;
    }
    return false;
  }

  /** The run ended with somebody's step, and others could have gone on: what they do does not depend on its end. */
  private findCutOff(sink: ReversalSink): void {
    const { events } = this.order;
    let last = events.count - 1;
    while (last >= 0 && (events.flags[last]! & EventFlag.VISIBLE) === 0) last--;
    if (last < 0) return;
    for (let actor = 0; actor < events.width; actor++) {
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
  private add(leftOut: readonly number[], target: Target, isGuess: boolean): Insertion {
    const { order } = this;
    const { events } = order;
    const state = leftOut[0]!;
    if (this.list.length < events.count) this.list = new Int32Array(events.count * 2);
    let count = 0;
    for (let event = state + 1; event < events.count; event++)
      if (!leftOut.some((one) => order.isBefore(one, event))) this.list[count++] = event;
    const sequence: WakeSequence = {
      list: this.list,
      count,
      target: target.shape,
      isGuess,
      solidEnd: target.end,
    };
    let covered: Insertion = Insertion.ADDED;
    for (const shape of this.sleep[state]!) {
      const initial = initialIn(shape, sequence, events);
      if (initial === Initial.STRICT) return Insertion.COVERED;
      if (initial === Initial.LOOSE && shape.isForeign !== true) covered = Insertion.COVERED_FOR_NOW;
    }
    if (covered !== Insertion.ADDED) return covered;
    if (isGuess && this.wasTried(state, sequence)) return Insertion.COVERED;
    const inserted = insert(this.left[state]!, sequence, events);
    if (inserted === Insertion.ADDED) this.reversals++;
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

  /**
   * Gives away one branch of the state nearest to the root that has any: undefined if there is none. The rest of the
   * search is told to explore everybody at the states above, since the other part can no longer ask for it. Not with
   * interrupts under tso: in front of a store that enters the buffer nobody is asked, so that cannot be told.
   */
  split(): DporTask | undefined {
    assert(!this.isRunning, 'DporSearch.split: between runs only');
    const { events } = this.order;
    if (this.base < 0 || this.isFinished || (events.isTso && events.hasInterrupts)) return undefined;
    let state = this.base;
    while (state < this.left.length && this.left[state]!.length === 0) state++;
    if (state >= this.left.length || state >= events.count) return undefined;
    if (!this.left[state]!.some(canGive)) return undefined;
    for (let above = this.firstOwn; above <= state; above++) this.open(above);
    this.opened = Math.max(this.opened, state + 1);
    const given = this.left[state]!.find(canGive)!;
    const here = shapeOf(events, state);
    const sleep = [...this.sleep[state]!, here].map(asForeign);
    this.left[state]!.splice(this.left[state]!.indexOf(given), 1);
    this.sleep[state] = [...this.sleep[state]!, asForeign(given.shape)];
    this.done[state]!++;
    return { prefix: events.prefix(state), sleep, branches: [given] };
  }

  /** The first state of which this search says what is to be explored; those above are with whoever gave it its task. */
  private get firstOwn(): number {
    return this.base + (this.task.branches.length > 0 ? 1 : 0);
  }

  /** Everybody who could go at a state is to be explored there. */
  private open(state: number): void {
    const { events } = this.order;
    const flags = events.flags[state]!;
    if ((flags & EventFlag.VISIBLE) === 0 || (flags & (EventFlag.START | EventFlag.TIMEOUT)) !== 0) return;
    for (let actor = 0; actor < events.width; actor++) {
      const isKnown =
        actor === events.actor[state] ||
        !events.couldGo(state, actor) ||
        this.sleep[state]!.some((shape) => shape.actor === actor) ||
        this.left[state]!.some(({ shape }) => shape.actor === actor);
      if (isKnown) continue;
      this.left[state]!.push({ shape: unknownOf(actor), isGuess: true, children: [] });
    }
  }

  /** Executions there may be in all, judged by how much of each state on the path is left (Knuth, 1975). */
  estimate(): number {
    if (this.isFinished) return this.executions;
    let progress = 0;
    let weight = 1;
    for (let state = Math.max(0, this.base); state < this.left.length; state++) {
      const branches = this.done[state]! + 1 + this.left[state]!.length;
      progress += (weight * this.done[state]!) / branches;
      weight /= branches;
    }
    return Math.max(this.executions, Math.round(this.executions / (progress + weight)));
  }

  /** Nothing is left, and no limit stood in the way. */
  get isComplete(): boolean {
    return this.isFinished && this.cutShort === 0 && this.finder.cut === 0;
  }

  statement(): Statement {
    const { executions, redundant, misses, reversals, restarts, discarded, maxDepth } = this;
    const estimate = this.estimate();
    return {
      strategy: 'dpor',
      executions: executions + discarded,
      traces: executions - redundant,
      unseenShare: this.isComplete || estimate === 0 ? 0 : 1 - executions / estimate,
      complete: this.isComplete,
      bounds: { redundant, misses, reversals, restarts, discarded, estimate, events: maxDepth },
      cutShort: this.cutShort,
    };
  }
}

function unknownOf(actor: Actor): Shape {
  return { actor, steps: 1, flags: 0, ordinal: 0, ranges: [], isUnknown: true };
}

/** Whether at least one run along the branch will not be a miss. */
function isSure({ isGuess, children }: WakeNode): boolean {
  return !isGuess && (children.length === 0 || children.some(isSure));
}

/** What is given away sleeps here, so it has to be known when it wakes. */
function canGive(node: WakeNode): boolean {
  return isSure(node) && node.shape.isUnknown !== true;
}

function asForeign(shape: Shape): Shape {
  return { ...shape, isForeign: true };
}

/** For scheduler/follow. Sleepers for whom there is no room are awake, which costs runs and nothing else. */
function parametersOf(steps: number, first: number, asleep: readonly Shape[]): number[] {
  const words = [steps, first, 0];
  const room = POLICY_WORDS - FollowWord.LIST;
  let used = 0;
  for (const shape of asleep) {
    used += SLEEPER_WORDS + (shape.ranges.length / 3) * RANGE_WORDS;
    if (used > room) break;
    appendSleeper(words, shape);
    words[FollowWord.SLEEPERS - 1]!++;
  }
  return words;
}
