/** What trial runs tell of a program: how long its runs are, who makes how many steps, and on which memory. */
import type { Actor } from '#base/strategy';
import { ACTOR_SLOTS, slotOf } from '#scheduler/actor-table';
import {
  type KnownPlaces,
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  footprint,
  opActor,
  opFlags,
  opType,
} from '#trace/operations';
import { type RunResult, RunStop } from './executor.ts';

/** Visible operations on one 4-byte word. */
interface WordUse {
  readonly byActor: Map<Actor, number>;
}

/** Words kept apart: beyond, the program has more shared memory than a campaign can choose from with profit. */
const WORDS_MAX = 4096;
/** More than a record's head has room for. */
const ACTORS_MAX = 1 << 11;

export class Estimate {
  private readonly lengths: boolean;
  private runs = 0;
  private readonly visibleByActor = new Map<Actor, number>();
  private readonly uses = new Map<number, WordUse>();
  private readonly seenActors = new Uint8Array(ACTORS_MAX);
  /** Actors that have made a step. */
  actors = 0;
  /** Visible steps of the longest run. As in the policies, a flow's START is none. */
  steps = 0;
  /** The answer of `words` until the next run. */
  private sharedWords: readonly number[] | undefined;

  /** @param lengths measures how long runs are and how many actors they have, and no counts: for every run of many */
  constructor({ lengths = false }: { readonly lengths?: boolean } = {}) {
    this.lengths = lengths;
  }

  get isEmpty(): boolean {
    return this.runs === 0;
  }

  /** Takes a run in, unless a limit cut it short: how long it would have been is not known. */
  observe({ log, stop }: RunResult): void {
    if (stop === RunStop.STEP_LIMIT || stop === RunStop.DIVERGED || stop === RunStop.COVERED) return;
    this.runs++;
    this.sharedWords = undefined;
    if (this.lengths && log.known !== undefined) {
      this.observeKnown(log.known);
      return;
    }
    let [steps, last] = [0, -1];
    for (let at = 0; at < log.records * OP_WORDS; at += OP_WORDS) {
      const head = log.words[at]!;
      if (opType(head) >= OpType.EVENT) continue;
      const actor = opActor(head);
      if (actor !== last) this.see(actor);
      last = actor;
      if ((opFlags(head) & OpFlag.VISIBLE) === 0) continue;
      const isStep = (opFlags(head) & OpFlag.CONTINUES) === 0 && opType(head) !== OpType.START;
      if (isStep) steps++;
      if (!this.lengths)
        this.count(actor, isStep, footprint(opType(head)) !== 0, log.words[at + OpWord.ADDRESS]! >>> 2);
    }
    this.steps = Math.max(this.steps, steps);
  }

  private observeKnown({ visible, actors, actorCount }: KnownPlaces): void {
    for (let index = 0; index < actorCount; index++) this.see(actors[index]!);
    this.steps = Math.max(this.steps, visible);
  }

  private see(actor: Actor): void {
    if (this.seenActors[actor] !== 0) return;
    this.seenActors[actor] = 1;
    this.actors++;
  }

  private count(actor: Actor, isStep: boolean, isOnMemory: boolean, word: number): void {
    if (isStep) increment(this.visibleByActor, actor);
    if (isOnMemory) this.use(word, actor);
  }

  private use(word: number, actor: Actor): void {
    let use = this.uses.get(word);
    if (use === undefined) {
      if (this.uses.size >= WORDS_MAX) return;
      use = { byActor: new Map() };
      this.uses.set(word, use);
    }
    increment(use.byActor, actor);
  }

  /** Visible steps by actor slot, the mean over runs, rounded up. */
  counts(): number[] {
    return this.table(this.visibleByActor);
  }

  /** Words used by at least two actors, ascending, as addresses. */
  words(): readonly number[] {
    return (this.sharedWords ??= [...this.uses]
      .filter(([, { byActor }]) => byActor.size > 1)
      .map(([word]) => word * 4)
      .toSorted((a, b) => a - b));
  }

  /** Visible operations on the word at `address` by actor slot, as `counts`. */
  countsOn(address: number): number[] {
    return this.table(this.uses.get(address >>> 2)?.byActor ?? new Map<Actor, number>());
  }

  private table(sums: ReadonlyMap<Actor, number>): number[] {
    const table = Array.from<number>({ length: ACTOR_SLOTS }).fill(0);
    for (const [actor, sum] of sums) table[slotOf(actor)]! += Math.ceil(sum / this.runs);
    return table;
  }
}

function increment(map: Map<Actor, number>, actor: Actor): void {
  map.set(actor, (map.get(actor) ?? 0) + 1);
}
