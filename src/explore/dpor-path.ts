/**
 * The one path of an exhaustive search that is kept: the events of the last run, and for each state in front of one of
 * them what sleeps there and what is left to be explored from there.
 */
import { DPOR_ACTORS, EventFlag } from './dpor-events.ts';
import { type Shape, shapeDepends, shapeOf, unknownOf } from './dpor-shapes.ts';
import type { WakeNode } from './dpor-wakeup.ts';
import type { HappensBefore } from './happens-before.ts';

/** What hangs at a step of the plan that is being run: branches of the state in front of it. */
export interface Waiting {
  readonly step: number;
  readonly children: WakeNode[];
}

const NOTHING: readonly Shape[] = [];

/** States are named by the event behind them; the last one has none yet. */
export class SearchPath {
  /** By state: who sleeps; what is left; how many branches are done. */
  sleep: (readonly Shape[])[] = [];
  left: WakeNode[][] = [];
  done: number[] = [];
  /** Branches that found no state, and covered steps that had no alternative the log would tell of: the search has a hole. */
  lost = 0;
  /** The first state that is the search's own. -1: not known before its first run. */
  base = -1;
  private readonly order: HappensBefore;
  /** By state: a run that was no miss has gone through. */
  private entered: boolean[] = [];

  constructor(order: HappensBefore) {
    this.order = order;
  }

  forget(): void {
    this.base = -1;
    this.lost = 0;
    this.entered = [];
  }

  /** The first run has been read: `steps` of it lead to the first state. */
  begin(steps: number, sleep: readonly Shape[]): void {
    const { events } = this.order;
    let state = 0;
    while (state < events.count && events.step[state]! < steps) state++;
    this.base = state;
    this.left = Array.from({ length: state + 1 }, () => []);
    this.done = Array.from({ length: state + 1 }, () => 0);
    this.sleep = Array.from({ length: state + 1 }, () => NOTHING);
    this.sleep[state] = sleep;
  }

  /** Steps of the run before the state. */
  stepsBefore(state: number): number {
    const { events } = this.order;
    if (state < events.count) return events.step[state]!;
    return state === 0 ? 0 : events.step[state - 1]! + events.steps[state - 1]!;
  }

  /** The last state with something left, or -1. */
  deepest(): number {
    let state = this.left.length - 1;
    while (state >= this.base && this.left[state]!.length === 0) state--;
    return state >= this.base ? state : -1;
  }

  /** The first state with something left, or -1. */
  shallowest(): number {
    return this.left.findIndex((branches, state) => state >= this.base && branches.length > 0);
  }

  /** What the event behind the state began has been explored. */
  finish(state: number, isForeign: boolean): void {
    const { events } = this.order;
    this.done[state]!++;
    if (state >= events.count || this.sleeps(state, events.actor[state]!)) return;
    const shape = shapeOf(events, state);
    this.sleep[state] = [...this.sleep[state]!, isForeign ? { ...shape, isForeign: true } : shape];
  }

  sleeps(state: number, actor: number): boolean {
    return this.sleep[state]!.some((shape) => shape.actor === actor);
  }

  /** Makes states of the events of a run that branched off at `branch`, and hangs what its plan passed into them. */
  layOut(branch: number, waiting: readonly Waiting[]): void {
    const { events } = this.order;
    this.shorten(branch);
    this.sleep.length = branch + 1;
    this.entered.length = Math.min(this.entered.length, branch + 1);
    for (let state = branch + 1; state <= events.count; state++) {
      this.left.push([]);
      this.done.push(0);
    }
    for (const { step, children } of waiting) {
      if (children.length === 0) continue;
      let state = branch;
      while (state < events.count && events.step[state]! < step) state++;
      if (this.stepsBefore(state) === step) this.left[state] = children;
      else this.lost++;
    }
  }

  private shorten(count: number): void {
    this.left.length = this.done.length = count + 1;
  }

  /** Sleep sets behind `branch`. True if the run makes a step that was covered: it ends in front of that. */
  followSleep(branch: number): boolean {
    const { events } = this.order;
    for (let state = branch; state < events.count; state++) {
      const asleep = this.sleep[state]!;
      if (this.sleeps(state, events.actor[state]!)) {
        this.goElsewhere(state);
        events.truncate(state);
        this.shorten(state);
        return true;
      }
      const still = asleep.length === 0 ? asleep : asleep.filter((one) => !shapeDepends(one, events, state));
      this.sleep.push(still.length === asleep.length ? asleep : still);
    }
    return false;
  }

  /** The run made a covered step where it could have made another: that is still to be done. */
  private goElsewhere(state: number): void {
    const { events } = this.order;
    if (this.left[state]!.length > 0) return;
    if ((events.flags[state]! & EventFlag.VISIBLE) === 0) {
      this.lost++;
      return;
    }
    for (let actor = 0; actor < DPOR_ACTORS; actor++) {
      if (!events.couldGo(state, actor) || this.sleeps(state, actor)) continue;
      this.left[state]!.push({ shape: unknownOf(actor), isGuess: true, children: [] });
      return;
    }
  }

  /** A run that was no miss has gone through all states. */
  enter(): void {
    for (let state = 0; state <= this.order.events.count; state++) this.entered[state] = true;
  }

  /**
   * The states that only a miss has led to are forgotten: the events before it were made for its sake, and what else
   * begins with them has not been explored.
   */
  forgetWay(): void {
    const { events } = this.order;
    let state = events.count;
    while (state > this.base && this.left[state]!.length === 0 && this.entered[state] !== true) state--;
    events.truncate(state);
    this.shorten(state);
  }

  /** Everybody who could go at a state is to be explored there. */
  open(state: number): void {
    const { events } = this.order;
    const flags = events.flags[state]!;
    if ((flags & EventFlag.VISIBLE) === 0 || (flags & (EventFlag.START | EventFlag.TIMEOUT)) !== 0) return;
    for (let actor = 0; actor < DPOR_ACTORS; actor++) {
      const isKnown =
        actor === events.actor[state] ||
        !events.couldGo(state, actor) ||
        this.sleeps(state, actor) ||
        this.left[state]!.some(({ shape }) => shape.actor === actor);
      if (!isKnown) this.left[state]!.push({ shape: unknownOf(actor), isGuess: true, children: [] });
    }
  }

  /** How much of everything is done, judged by how much is left of each state (Knuth, 1975): 0 to 1, 0 excluded. */
  progress(): number {
    let progress = 0;
    let weight = 1;
    for (let state = Math.max(0, this.base); state < this.left.length; state++) {
      const branches = this.done[state]! + 1 + this.left[state]!.length;
      progress += (weight * this.done[state]!) / branches;
      weight /= branches;
    }
    return progress + weight;
  }
}
