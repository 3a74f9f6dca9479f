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
 * The search starts again when memory becomes known as shared, which stays known to the executor; at the first store that a
 * buffer holds; and at the first run that a failure ends. How often is limited: each time something has to become known.
 */
import { assert } from '#base/assert';
import { POLICY_WORDS } from '#base/strategy';
import { FollowWord, RANGE_WORDS, SLEEPER_WORDS } from '#scheduler/follow';
import { policyNumber } from '#scheduler/policies';
import { Demands } from './dpor-demands.ts';
import { EventFlag, appendSegment, stepsOf } from './dpor-events.ts';
import { SearchPath, type Waiting } from './dpor-path.ts';
import { type Shape, appendSleeper, asForeign, shapeOf, shapesDepend } from './dpor-shapes.ts';
import { type DporTask, WHOLE } from './dpor-task.ts';
import { type WakeNode, cloneTree, isAnyRun, isSure } from './dpor-wakeup.ts';
import { type Plan, type RunResult, RunStop } from './executor.ts';
import { HappensBefore } from './happens-before.ts';
import type { Search, Statement } from './search.ts';

/** Words that become known as shared one run after the other: more than any scenario has shown, by a hundred times. */
const RESTARTS_MAX = 1000;

export interface DporOptions {
  /** Without one, until everything is covered. */
  readonly runs?: number;
  /** Times it may start again. Default: 1,000. */
  readonly restartsMax?: number;
}

export class DporSearch implements Search {
  /** Runs since the search last started again. */
  executions = 0;
  /** Those among them that showed nothing new. */
  redundant = 0;
  /** Runs that ended at once: what they were to try was not possible. They count as redundant as well. */
  misses = 0;
  /** Most events of a run. */
  maxDepth = 0;
  restarts = 0;
  /** Runs made before the last restart. */
  discarded = 0;
  /** Runs in which a timed wait gave up. */
  timeouts = 0;
  private limited = 0;
  private readonly task: DporTask;
  private readonly options: DporOptions;
  private readonly policy = policyNumber('follow');
  private readonly order = new HappensBefore();
  private readonly path = new SearchPath(this.order);
  private readonly demands = new Demands(this.order, this.path);
  /** Below the states in front of this one, work has been given away. */
  private opened = 0;
  /** The state that the run being made branches from, and what it will find behind it. */
  private branch = 0;
  private waiting: Waiting[] = [];
  /** Steps before the guess that the run being made is for, or -1. */
  private guessedAt = -1;
  private isRunning = false;
  private isFinished = false;
  private hasGivenUp = false;

  constructor(options: DporOptions = {}, task: DporTask = WHOLE) {
    this.options = options;
    this.task = task;
  }

  /** The search of a part that `split` gave away. The executor has to know as shared what the giver's did. */
  static from(task: DporTask, options: DporOptions = {}): DporSearch {
    return new DporSearch(options, task);
  }

  /** Sequences that were put into wakeup trees: orders of a run to be turned round. */
  get reversals(): number {
    return this.demands.added;
  }

  /** Runs that a limit ended, or that did not follow their plan, and holes in the search for other reasons. */
  get cutShort(): number {
    return this.limited + this.path.lost;
  }

  next(): Plan | undefined {
    assert(!this.isRunning, 'DporSearch.next: the run before has not been observed');
    const { path } = this;
    if (this.isFinished || this.executions + this.discarded >= (this.options.runs ?? Infinity))
      return undefined;
    if (path.base < 0) {
      const { prefix, sleep, branches } = this.task;
      return this.plan(prefix, stepsOf(prefix), cloneTree(branches), sleep);
    }
    const state = path.deepest();
    if (state < 0) {
      this.isFinished = true;
      return undefined;
    }
    path.finish(state, state < this.opened);
    this.opened = Math.min(this.opened, state + 1);
    this.branch = state;
    const prefix = this.order.events.prefix(state);
    return this.plan(prefix, path.stepsBefore(state), path.left[state]!, path.sleep[state]!);
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
      const node = level.shift()!;
      const { shape, isGuess, children } = node;
      this.waiting.push({ step, children: level });
      if (isAnyRun(node)) break;
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
    const { path, demands, order } = this;
    this.isRunning = false;
    this.executions++;
    const isFirstDeath = result.stop === RunStop.DIED && !demands.isStrict;
    if (isFirstDeath) demands.isStrict = true;
    const isKept = order.read(result.log, path.base < 0 ? 0 : this.branch);
    if (result.sharedGrew || isFirstDeath || !isKept) {
      this.restart();
      return;
    }
    if (path.base < 0) {
      path.begin(stepsOf(this.task.prefix), this.task.sleep);
      this.branch = path.base;
    }
    const isMiss = this.isMiss(result);
    path.layOut(this.branch, this.waiting);
    const isCut = path.followSleep(this.branch);
    this.count(result, isMiss, isCut);
    if (!isMiss) path.enter();
    demands.find(result, this.branch, this.firstOwn, isCut);
    if (isMiss) path.forgetWay();
  }

  private isMiss({ stop, steps, divergedAt }: RunResult): boolean {
    if (this.guessedAt < 0) return false;
    if (stop === RunStop.COVERED) return steps === this.guessedAt;
    return stop === RunStop.DIVERGED && divergedAt === this.guessedAt;
  }

  private count({ stop }: RunResult, isMiss: boolean, isCut: boolean): void {
    if (isMiss) this.misses++;
    else if (stop === RunStop.STEP_LIMIT || stop === RunStop.DIVERGED) this.limited++;
    if (isCut || isMiss || stop === RunStop.COVERED) this.redundant++;
    const { events } = this.order;
    this.maxDepth = Math.max(this.maxDepth, events.count);
    if (events.some(this.branch, EventFlag.TIMEOUT)) this.timeouts++;
  }

  private restart(): void {
    this.restarts++;
    if (this.restarts > (this.options.restartsMax ?? RESTARTS_MAX)) this.isFinished = this.hasGivenUp = true;
    this.discarded += this.executions;
    this.executions = this.redundant = this.misses = this.maxDepth = this.limited = this.timeouts = 0;
    this.opened = 0;
    this.order.events.hasUnseenLook = false;
    this.path.forget();
    this.demands.forget();
  }

  /**
   * Gives away one branch of the state nearest to the root that has any: undefined if there is none. The rest of the
   * search is told to explore everybody at the states above, since the other part can no longer ask for it. Not with
   * interrupts under tso: in front of a store that enters the buffer nobody is asked, so that cannot be told.
   */
  split(): DporTask | undefined {
    assert(!this.isRunning, 'DporSearch.split: between runs only');
    const { path } = this;
    const { events } = this.order;
    if (path.base < 0 || this.isFinished || (events.isTso && events.hasInterrupts)) return undefined;
    const state = path.shallowest();
    if (state < 0 || state >= events.count) return undefined;
    const given = path.left[state]!.find(canGive);
    if (given === undefined) return undefined;
    for (let above = this.firstOwn; above <= state; above++) path.open(above);
    this.opened = Math.max(this.opened, state + 1);
    const sleep = [...path.sleep[state]!, shapeOf(events, state)].map(asForeign);
    path.left[state]!.splice(path.left[state]!.indexOf(given), 1);
    path.sleep[state] = [...path.sleep[state]!, asForeign(given.shape)];
    path.done[state]!++;
    return { prefix: events.prefix(state), sleep, branches: [given] };
  }

  /** The first state of which this search says what is to be explored; those above are with whoever gave it its task. */
  private get firstOwn(): number {
    return this.path.base + (this.task.branches.length > 0 ? 1 : 0);
  }

  /** Executions there may be in all. */
  estimate(): number {
    if (this.isFinished) return this.executions;
    return Math.max(this.executions, Math.round(this.executions / this.path.progress()));
  }

  /** Nothing is left, and no limit stood in the way. */
  get isComplete(): boolean {
    return this.isFinished && this.gap() === undefined;
  }

  /** Why an end of the search is no proof, or will be none. */
  private gap(): string | undefined {
    if (this.hasGivenUp)
      return `memory became known as shared ${this.restarts} times, and the search gave up`;
    if (this.order.events.hasUnseenLook)
      return 'a CPU looked whether an interrupt waits for it where none could come in between';
    if (this.limited > 0) return `${this.limited} schedules were not followed to their end`;
    if (this.path.lost > 0) return `the search could not follow up ${this.path.lost} of its branches`;
    if (this.demands.startsTwice) return 'a CPU was sent INIT twice, and may have begun in between';
    if (!this.demands.isComplete) return 'a wait had too many sets of writes in front of it to try all';
    return undefined;
  }

  statement(): Statement {
    const { executions, redundant, misses, reversals, restarts, discarded, maxDepth, timeouts } = this;
    const estimate = this.estimate();
    return {
      strategy: 'dpor',
      executions: executions + discarded,
      traces: executions - redundant,
      unseenShare: this.isComplete || estimate === 0 ? 0 : 1 - executions / estimate,
      complete: this.isComplete,
      ...(this.isFinished ? { unproved: this.gap() } : {}),
      bounds: { redundant, misses, reversals, restarts, discarded, estimate, events: maxDepth, timeouts },
      cutShort: this.cutShort,
    };
  }
}

/** What is given away sleeps here, so it has to be known when it wakes. */
function canGive(node: WakeNode): boolean {
  return isSure(node) && node.shape.isUnknown !== true;
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
