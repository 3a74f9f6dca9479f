/** When runs of a machine's flows are made from what those have been seen to do, and when they are learnt from. */
import { Trail } from '#memory/trail';
import type { KnownPlaces } from '#trace/operations';
import type { Fiber } from './fibers.ts';
import { FlowLessons } from './flow-lessons.ts';
import { FlowTree, NoFunctionError } from './flow-tree.ts';
import { KnownFlows } from './known-flows.ts';
import type { WrittenWords } from './written-words.ts';

/** Runs by code before the first is made from what was seen: what is over by then is not worth learning. */
const RUNS_FIRST = 24;
/**
 * Runs in a row that came to nothing, nor taught anything, after which it is left alone for a while, and for how many runs; and
 * runs in a row that came to nothing at all.
 */
const BARREN_MAX = 24;
const VAIN_MAX = 128;
const PAUSE_FIRST = 1_024;
const PAUSE_MAX = 1 << 20;
/** Runs of which half have to come to something. */
const WINDOW = 256;

/** Whether it is worth trying to make runs from what was seen: how often did that come to something? */
class Worth {
  /** Runs by code until the next try. */
  #wait = RUNS_FIRST;
  #pause = PAUSE_FIRST;
  #barren = 0;
  #vain = 0;
  #tries = 0;
  #made = 0;
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
    return this.#wait === 0 && !this.#isFull && !this.#hasGivenUp;
  }

  tried(isMade: boolean): void {
    this.#tries++;
    if (isMade) {
      this.#made++;
      this.#barren = 0;
      this.#vain = 0;
    } else {
      this.#barren++;
      this.#vain++;
    }
    if (this.#barren >= BARREN_MAX || this.#vain >= VAIN_MAX) this.#rest();
    if (this.#tries < WINDOW) return;
    if (this.#made * 2 < this.#tries) this.#rest();
    else this.#pause = PAUSE_FIRST;
    this.#tries = 0;
    this.#made = 0;
  }

  #rest(): void {
    this.#wait = this.#pause;
    this.#pause = Math.min(this.#pause * 2, PAUSE_MAX);
    this.#barren = 0;
    this.#vain = 0;
  }

  /** A run by code has shown what was not known. */
  learnt(): void {
    this.#barren = 0;
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
  /** Runs that were made so. */
  recalled = 0;

  /** Whether it is worth trying before the next run. */
  isNext(): boolean {
    return this.#worth.isNext();
  }

  /**
   * Makes a run, and tells where its records come from. Undefined: it counts for nothing.
   * @param beIdle the flow of a CPU has ended, and it goes to its idle loop; false if it cannot
   */
  recall(fibers: readonly Fiber[], beIdle: (cpu: number) => boolean): KnownPlaces | undefined {
    const { bus } = fibers[0]!;
    if (!bus.isPlain) {
      this.#worth.tried(false);
      return undefined;
    }
    this.#tree ??= new FlowTree(bus.layout.nrPossible);
    this.#flows ??= new KnownFlows(this.#tree, bus, beIdle);
    const isMade = this.#flows.run();
    this.#worth.tried(isMade);
    if (isMade) {
      this.recalled++;
      return this.#flows.places;
    }
    for (const fiber of fibers) fiber.bus.takeBackShared();
    return undefined;
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
      this.#lessons.learn(this.#trails);
      if (this.#tree.end > end) this.#worth.learnt();
    } catch (error) {
      if (!(error instanceof NoFunctionError)) throw error;
      this.#worth.giveUp();
    }
    if (this.#tree.isFull) this.#worth.stopLearning();
  }
}
