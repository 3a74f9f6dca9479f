/** When runs of a machine's flows are made from what those have been seen to do, and when they are learnt from. */
import { machineWord } from '#memory/base-bus';
import { MachineWord, RunEnd } from '#memory/layout';
import { Trail } from '#memory/trail';
import type { KnownPlaces } from '#trace/operations';
import type { Fiber } from './fibers.ts';
import { FlowLessons } from './flow-lessons.ts';
import { FlowTree, NoFunctionError } from './flow-tree.ts';
import { KnownFlows } from './known-flows.ts';
import type { WrittenWords } from './written-words.ts';

const RUN_END = machineWord(MachineWord.RUN_END);
/** Runs by code before the first is made from what was seen: what is over by then is not worth learning. */
const RUNS_FIRST = 24;
/**
 * Runs in a row that came to nothing, nor taught anything, after which it is left alone for a while, and for how many runs; and
 * runs in a row that came to nothing at all.
 */
const BARREN_MAX = 24;
const VAIN_MAX = 128;
/** The same where no run has been seen yet of which all could be told. */
const PARTIAL_MAX = 8;
const PAUSE_FIRST = 1_024;
const PAUSE_MAX = 1 << 20;
/** Runs of which two thirds have to come to something: one that does not costs half as much again as by code alone. */
const WINDOW = 128;
/** Runs that came to nothing and taught something are not counted, so many of them before each pause. */
const FORGIVEN_MAX = 128;
/** Lessons in a row that taught nothing, after which one run in so many is learnt from. */
const IDLE_LESSONS_MAX = 8;
const SELDOM = 16;

/** Whether it is worth trying to make runs from what was seen: how often did that come to something? */
class Worth {
  /** Runs by code until the next try. */
  #wait = RUNS_FIRST;
  #pause = PAUSE_FIRST;
  #barren = 0;
  #vain = 0;
  #tries = 0;
  #made = 0;
  #forgiven = 0;
  #idleLessons = 0;
  #failures = 0;
  #hasGivenUp = false;
  #isFull = false;

  /** Asked once before each run. */
  isNext(): boolean {
    if (this.#hasGivenUp) return false;
    if (this.#wait === 0) return true;
    this.#wait--;
    return false;
  }

  /** Whether a run that is made by code is to be learnt from. */
  get isLearning(): boolean {
    return (
      this.#wait === 0 &&
      !this.#isFull &&
      !this.#hasGivenUp &&
      (this.#idleLessons < IDLE_LESSONS_MAX || this.#failures % SELDOM === 0)
    );
  }

  tried(isMade: boolean): void {
    this.#tries++;
    if (isMade) {
      this.#made++;
      this.#barren = 0;
      this.#vain = 0;
    } else {
      this.#failures++;
      this.#barren++;
      this.#vain++;
    }
    if (this.#barren >= BARREN_MAX || this.#vain >= VAIN_MAX) this.rest();
    if (this.#tries < WINDOW) return;
    if (this.#made * 3 < this.#tries * 2) this.rest();
    else this.#pause = PAUSE_FIRST;
    this.#tries = 0;
    this.#made = 0;
  }

  /** Leaves it alone for a while, and the next time for longer. */
  rest(): void {
    this.#wait = this.#pause;
    this.#pause = Math.min(this.#pause * 2, PAUSE_MAX);
    this.#barren = 0;
    this.#vain = 0;
    this.#forgiven = 0;
  }

  /** A run by code has shown what was not known, or nothing new. */
  learnt(isNew: boolean): void {
    if (!isNew) {
      this.#idleLessons++;
      return;
    }
    this.#idleLessons = 0;
    this.#barren = 0;
    if (this.#tries > 0 && this.#forgiven++ < FORGIVEN_MAX) this.#tries--;
  }

  /** What was seen at first cannot be trusted. */
  giveUp(): void {
    this.#hasGivenUp = true;
  }

  stopLearning(): void {
    this.#isFull = true;
  }
}

export class Recollection {
  readonly #worth = new Worth();
  readonly #trails: Trail[] = [];
  #tree: FlowTree | undefined;
  #flows: KnownFlows | undefined;
  #lessons: FlowLessons | undefined;
  #isFollowing = false;
  #isRecalling = false;
  /** All that a run did could be told, once; before that, runs of which it could not. */
  #isWhole = false;
  #partial = 0;
  /** Runs that were made so. */
  recalled = 0;

  /** Whether it is worth trying before the next run. */
  isNext(): boolean {
    return this.#worth.isNext();
  }

  /**
   * Makes a run, and tells where its records come from, or true: they come from more than places. False: it counts for nothing.
   * @param beIdle the flow of a CPU has ended, and it goes to its idle loop; false if it cannot
   */
  recall(fibers: readonly Fiber[], beIdle: (cpu: number) => boolean): KnownPlaces | boolean {
    const { bus } = fibers[0]!;
    if (!bus.isPlain || !this.#isWhole) {
      this.#worth.tried(false);
      return false;
    }
    this.#tree ??= new FlowTree(bus.layout.nrPossible);
    this.#flows ??= new KnownFlows(this.#tree, bus, beIdle);
    this.#isRecalling = true;
    const isMade = this.#flows.run();
    this.#isRecalling = false;
    this.#worth.tried(isMade);
    if (isMade) {
      this.recalled++;
      return this.#flows.places ?? true;
    }
    for (const fiber of fibers) fiber.bus.takeBackShared();
    return false;
  }

  /** Whether the last run that was tried may have written more than `written` says. */
  get hasDoneMore(): boolean {
    return this.#flows?.places === undefined;
  }

  /** In a run that is made so: looks again at what a CPU waits for. False: it waits in its idle loop. */
  look(cpu: number): boolean {
    return this.#isRecalling && this.#flows!.look(cpu);
  }

  /** What runs made so may have written. */
  get written(): WrittenWords | undefined {
    return this.#flows?.written;
  }

  /** Whether the run that is on is learnt from. */
  get isFollowing(): boolean {
    return this.#isFollowing;
  }

  /** A run by code begins: if it is to be learnt from, every CPU leaves a trail. */
  follow(fibers: readonly Fiber[]): void {
    this.#isFollowing = this.#worth.isLearning && fibers[0]!.bus.isPlain;
    if (!this.#isFollowing) return;
    for (const { bus } of fibers) {
      bus.trail = this.#trails[bus.cpu] ??= new Trail(bus.i32);
      bus.trail.begin(bus.registers.base);
    }
  }

  /** It is over. */
  learn(fibers: readonly Fiber[]): void {
    if (!this.#isFollowing) return;
    for (const { bus } of fibers) bus.trail = undefined;
    for (const trail of this.#trails) trail.close();
    const { bus } = fibers[0]!;
    this.#tree ??= new FlowTree(bus.layout.nrPossible);
    this.#lessons ??= new FlowLessons(this.#tree, bus);
    const { end } = this.#tree;
    try {
      const isWhole = this.#lessons.learn(this.#trails);
      this.#isWhole ||= isWhole;
      // Of one that fails never all can be told.
      const isOver = bus.i32[RUN_END] === RunEnd.QUIESCENT;
      if (!this.#isWhole && isOver && ++this.#partial % PARTIAL_MAX === 0) this.#worth.rest();
      this.#worth.learnt(isWhole && this.#tree.end > end);
    } catch (error) {
      if (!(error instanceof NoFunctionError)) throw error;
      this.#worth.giveUp();
    }
    if (this.#tree.isFull) this.#worth.stopLearning();
  }
}
