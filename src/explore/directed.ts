/**
 * Search directed at the order of conflicts: take two operations that conflicted in an earlier run, and make the
 * second come first.
 *
 * It begins with serial runs. In the log of each run it looks for pairs of conflicting visible steps of two actors, e
 * before f, where f's actor could have gone instead of e: then the same schedule up to e, and there f's actor on and
 * on (policy in-order), gives the other order at the price of one preemption. Their logs give pairs again, so that
 * every schedule of flips can be reached.
 *
 * The art is in what to try first. Pairs of the same **class** (same kinds of operation, at the same places in the
 * code, on the same memory, whoever makes them) tend to do the same, so the class tried least often goes first: ten
 * flows that run the same function cost little more than two. Among classes tried as often, at first the one met first: all
 * that the serial runs show. Then mostly the one met last: what a flip has brought about is looked into before the next flip is
 * made, so that a bug of two preemptions does not wait for every single one. This takes from RFF (Wolff et al., "Greybox fuzzing for
 * concurrency testing", ASPLOS 2024) that the novelty of an order is the feedback, and from PERIOD (Wen et al.,
 * "Controlled concurrency testing via periodical scheduling", ICSE 2022) that few preemptions, placed systematically,
 * are enough.
 */
import type { Actor } from '#base/strategy';
import { policyNumber } from '#scheduler/policies';
import { OP_WORDS, OpType, OpWord, footprint, opType, overlaps } from '#trace/operations';
import { TraceCoverage } from './coverage.ts';
import { type Plan, type RunResult, RunStop, type Segment } from './executor.ts';
import { MASK_ACTORS, RunSteps } from './run-steps.ts';
import type { Search, Statement } from './search.ts';
import { StateHash } from './state-hash.ts';

/** Flips that wait for their turn. Beyond, the search would not come to them in any budget. */
const WAITING_MAX = 20_000;

/** Earlier operations a step is paired with, on each word: the first of the run, and the last before it. */
const PAIRS_FROM_START = 4;
const PAIRS_FROM_END = 4;

/** One flip in so many moves a flow as a whole; the others leave it half-way, which is where most bugs are. */
const WHOLE_EVERY = 4;

/** So many flips look around, and from then on one in so many: the others look into what was met last. */
const WIDE_FIRST = 3;
const WIDE_EVERY = 5;

interface Flip {
  readonly prefix: readonly Segment[];
  /** What comes after: the lowest first, or the highest. As in the serial run this comes from. */
  readonly descending: boolean;
  readonly preemptions: number;
}

interface FlipClass {
  tries: number;
  /** Whether its flips leave an actor between two uses of shared memory. */
  readonly splits: boolean;
  readonly flips: Flip[];
}

/** A visible operation on memory, as it is compared with others. */
interface Access {
  readonly step: number;
  readonly actor: Actor;
  readonly type: number;
  readonly address: number;
  readonly size: number;
  /** Who makes it is left out. */
  readonly kind: number;
}

export class DirectedSearch implements Search {
  private readonly steps = new RunSteps();
  private readonly hash = new StateHash('trace');
  private readonly coverage = new TraceCoverage();
  private readonly policy = policyNumber('in-order');
  private readonly runsMax: number;
  private readonly classes = new Map<number, FlipClass>();
  /** Beginnings that have been put in the queue: hashes of where they are and who goes there. */
  private readonly begun = new Set<number>();
  private readonly serial: Flip[] = [
    { prefix: [], descending: false, preemptions: 0 },
    { prefix: [], descending: true, preemptions: 0 },
  ];
  /** Of the run just made, by actor: its first step on memory that others use as well. */
  private readonly firstShared = new Map<Actor, number>();
  private running: Flip | undefined;
  private waiting = 0;
  private taken = 0;
  private cutShort = 0;

  constructor({ runs }: { readonly runs: number }) {
    this.runsMax = runs;
  }

  next(): Plan | undefined {
    if (this.coverage.executions >= this.runsMax) return undefined;
    this.running = this.serial.shift() ?? this.takeFlip();
    return this.running === undefined
      ? undefined
      : {
          prefix: this.running.prefix,
          policy: this.policy,
          seed: 1,
          parameters: [Number(this.running.descending)],
        };
  }

  /** Of the class tried least, the flip with the fewest preemptions. */
  private takeFlip(): Flip | undefined {
    const splits = ++this.taken % WHOLE_EVERY !== 0;
    const isWide = this.taken <= WIDE_FIRST || this.taken % WIDE_EVERY === WIDE_EVERY - 1;
    const best = this.leastTried(splits, isWide) ?? this.leastTried(!splits, isWide);
    if (best === undefined) return undefined;
    best.tries++;
    this.waiting--;
    let at = 0;
    for (let index = 1; index < best.flips.length; index++)
      if (best.flips[index]!.preemptions < best.flips[at]!.preemptions) at = index;
    return best.flips.splice(at, 1)[0];
  }

  /** Among those tried as often: the class met first, or last. */
  private leastTried(splits: boolean, isFirst: boolean): FlipClass | undefined {
    let best: FlipClass | undefined;
    for (const one of this.classes.values()) {
      if (one.splits !== splits || one.flips.length === 0) continue;
      const tries = best?.tries ?? Infinity;
      if (one.tries < tries || (!isFirst && one.tries === tries)) best = one;
    }
    return best;
  }

  observe(result: RunResult): void {
    if (result.stop === RunStop.STEP_LIMIT) this.cutShort++;
    const isNew = this.coverage.add(result.log);
    this.steps.read(result.log);
    if (isNew) this.addFlips(this.running!);
  }

  private addFlips(flip: Flip): void {
    const byWord = this.accessesByWord();
    const keys = this.keysOfBeginnings();
    this.findFirstShared(byWord);
    for (const accesses of byWord.values())
      for (let index = 1; index < accesses.length; index++) this.pair(accesses, index, keys, flip);
  }

  private findFirstShared(byWord: ReadonlyMap<number, readonly Access[]>): void {
    this.firstShared.clear();
    for (const accesses of byWord.values()) {
      if (accesses.every(({ actor }) => actor === accesses[0]!.actor)) continue;
      for (const { actor, step } of accesses)
        this.firstShared.set(actor, Math.min(step, this.firstShared.get(actor) ?? Infinity));
    }
  }

  /** Pairs the access with earlier ones that conflict with it. */
  private pair(accesses: readonly Access[], index: number, keys: readonly number[], flip: Flip): void {
    const later = accesses[index]!;
    for (let at = 0; at < index; at++) {
      if (at === PAIRS_FROM_START && index > PAIRS_FROM_START + PAIRS_FROM_END) at = index - PAIRS_FROM_END;
      const earlier = accesses[at]!;
      if (earlier.actor === later.actor || !this.steps.mightGo(earlier.step, later.actor)) continue;
      const { type, address, size } = earlier;
      if (!overlaps(type, address, size, later.type, later.address, later.size)) continue;
      this.addFlip(earlier, later, keys[earlier.step]!, flip);
    }
  }

  private addFlip(earlier: Access, later: Access, key: number, flip: Flip): void {
    const beginning = key + later.actor;
    if (this.begun.has(beginning) || this.waiting >= WAITING_MAX) return;
    this.begun.add(beginning);
    this.waiting++;
    const splits = this.splits(earlier);
    const kind = mix(mix(earlier.kind, later.kind), Number(splits));
    let flips = this.classes.get(kind);
    if (flips === undefined) this.classes.set(kind, (flips = { tries: 0, splits, flips: [] }));
    const preempts = this.steps.continuing(earlier.step) >= 0 ? 1 : 0;
    flips.flips.push({
      prefix: this.steps.prefixTo(earlier.step, later.actor),
      descending: flip.descending,
      preemptions: flip.preemptions + preempts,
    });
  }

  /** Whether the actor has used memory that others use before this step: if not, it might as well not have begun. */
  private splits(access: Access): boolean {
    return this.firstShared.get(access.actor)! < access.step;
  }

  /** Of each step: a hash of everything before it. Even multiples, so that an actor's number can be added. */
  private keysOfBeginnings(): number[] {
    const keys: number[] = [];
    this.hash.reset();
    for (let step = 0; step < this.steps.count; step++) {
      keys.push(Math.floor(this.hash.key() / MASK_ACTORS) * MASK_ACTORS);
      this.hash.step(this.steps, step);
    }
    return keys;
  }

  private accessesByWord(): Map<number, Access[]> {
    const byWord = new Map<number, Access[]>();
    const { words } = this.steps.log;
    for (let step = 0; step < this.steps.count; step++) {
      for (let record = this.steps.first[step]!; record < this.steps.end[step]!; record++) {
        const at = record * OP_WORDS;
        const type = opType(words[at]!);
        if (type >= OpType.EVENT || footprint(type) === 0) continue;
        const access = accessAt(words, at, step, this.steps.actor[step]!);
        const word = access.address >>> 2;
        const accesses = byWord.get(word);
        if (accesses === undefined) byWord.set(word, [access]);
        else accesses.push(access);
      }
    }
    return byWord;
  }

  statement(): Statement {
    return {
      strategy: 'directed',
      executions: this.coverage.executions,
      traces: this.coverage.traces,
      unseenShare: this.coverage.unseenShare(),
      complete: false,
      bounds: { classes: this.classes.size, waiting: this.waiting },
      cutShort: this.cutShort,
    };
  }
}

function accessAt(words: Int32Array, at: number, step: number, actor: Actor): Access {
  const type = opType(words[at]!);
  const address = words[at + OpWord.ADDRESS]! >>> 0;
  const kind = mix(mix(type, address), words[at + OpWord.SITE]!);
  return { step, actor, type, address, size: words[at + OpWord.SIZE]!, kind };
}

function mix(a: number, b: number): number {
  const h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) + b;
  return Math.imul(h ^ (h >>> 15), 0xc2b2ae35) ^ (h >>> 13);
}
