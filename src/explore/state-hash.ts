/**
 * Digests of where a run stands after each step, so that a search can tell that it has been there.
 *
 * Two notions of *there*:
 *
 * - by **trace**: the same steps in an equivalent order (Mazurkiewicz): every pair of dependent steps in the same
 *   order. Whatever a checker may compute from such a beginning, happens-before included, is the same.
 * - by **state**: every actor has read the same values, and memory holds the same. Programs are functions of what they
 *   read, so what can follow is the same; but two beginnings of one state may differ in what was ordered before what.
 *   For failures that are seen in memory (a check, an oops, a deadlock), not for checkers of happens-before.
 *
 * 53 bits: among a million states the chance that any two are mistaken for one is about 1 in 18,000.
 */
import type { Actor } from '#base/strategy';
import { Flow, cpuOf, flowOf } from '#base/strategy';
import {
  Footprint,
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  footprint,
  opActor,
  opFlags,
  opType,
} from '#trace/operations';
import type { RunSteps } from './run-steps.ts';

export type Sameness = 'trace' | 'state';

function mix(hash: number, word: number): number {
  let h = Math.imul(hash ^ word, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35);
  return h ^ (h >>> 13);
}

/** A hash of two independent halves, as the maps keep them. */
interface Pair {
  a: number;
  b: number;
}

const SEED_A = 0x51ed270b;
const SEED_B = 0x2f0b4c47;

const PAIRS_MAX = 100_000;
/** Words of one operation that are told apart: beyond that, operations are of memory that nobody shares yet. */
const WORDS_MAX = 4096;

/** Hashes by number, all back at their beginning at once: runs come by the thousand, and allocate nothing here. */
class PairTable {
  private readonly pairs = new Map<number, Pair & { round: number }>();
  private readonly seedA: number;
  private readonly seedB: number;
  private round = 0;
  /** Whether the pair asked for last had not been asked for since `reset`. */
  isNew = false;

  constructor(seedA: number, seedB: number) {
    this.seedA = seedA;
    this.seedB = seedB;
  }

  reset(): void {
    this.round++;
    // A program whose memory moves from run to run would fill it for ever.
    if (this.pairs.size > PAIRS_MAX) this.pairs.clear();
  }

  of(number: number): Pair {
    let pair = this.pairs.get(number);
    if (pair === undefined) {
      pair = { a: 0, b: 0, round: -1 };
      this.pairs.set(number, pair);
    }
    this.isNew = pair.round !== this.round;
    if (!this.isNew) return pair;
    pair.round = this.round;
    pair.a = mix(this.seedA, number);
    pair.b = mix(this.seedB, number);
    return pair;
  }
}

export class StateHash {
  private readonly sameness: Sameness;
  private readonly actors = new PairTable(SEED_A, SEED_B);
  /** By 4-byte word: what it holds, or (by trace) the history that ends in its last write. */
  private readonly words = new PairTable(SEED_B, SEED_A);
  /** Sum over actors and words: no order in it. */
  private readonly total: Pair = { a: 0, b: 0 };

  constructor(sameness: Sameness) {
    this.sameness = sameness;
  }

  reset(): void {
    this.actors.reset();
    this.words.reset();
    this.total.a = 0;
    this.total.b = 0;
  }

  /** Where the run stands now. */
  key(): number {
    return (mix(this.total.a, 1) >>> 11) * 0x1_0000_0000 + (mix(this.total.b, 2) >>> 0);
  }

  /** Where it would stand if the actor went now: a step is a function of where it starts. */
  keyBefore(actor: Actor): number {
    return (mix(this.total.a, actor + 3) >>> 11) * 0x1_0000_0000 + (mix(this.total.b, actor + 5) >>> 0);
  }

  /** Takes one step in. */
  step(steps: RunSteps, step: number): void {
    const { words } = steps.log;
    for (let record = steps.first[step]!; record < steps.end[step]!; record++) {
      const at = record * OP_WORDS;
      if (opType(words[at]!) >= OpType.EVENT) continue;
      const actor = this.actorHash(opActor(words[at]!));
      this.subtract(actor, opActor(words[at]!));
      this.record(words, at, actor);
      this.add(actor, opActor(words[at]!));
    }
  }

  private actorHash(actor: Actor): Pair {
    const hash = this.actors.of(actor);
    // An actor's first step counts it in.
    if (this.actors.isNew) this.add(hash, actor);
    return hash;
  }

  private record(words: Int32Array, at: number, actor: Pair): void {
    const head = words[at]!;
    const type = opType(head);
    const flags = opFlags(head);
    // What is a choice point depends on the runs before; it is no part of what happened.
    absorb(actor, head & ~(OpFlag.VISIBLE << 11));
    absorb(actor, words[at + OpWord.ADDRESS]!);
    absorb(actor, words[at + OpWord.SIZE]!);
    if (this.sameness === 'state') absorb(actor, words[at + OpWord.READ]!);
    absorb(actor, words[at + OpWord.WRITTEN]!);
    if (this.sameness === 'trace') this.onCpu(opActor(head), actor);
    if ((flags & (OpFlag.FAULTED | OpFlag.FORWARDED)) !== 0) return;
    const does = footprint(type);
    if (does !== Footprint.NONE) this.onMemory(words, at, does, actor);
  }

  /**
   * A CPU's main flow and its interrupts order each other, memory or not. Words below page zero's end are free for it.
   */
  private onCpu(who: Actor, actor: Pair): void {
    if (flowOf(who) !== Flow.BUFFER) this.writeByHistory(-1 - cpuOf(who), actor);
  }

  private onMemory(words: Int32Array, at: number, does: number, actor: Pair): void {
    const address = words[at + OpWord.ADDRESS]! >>> 0;
    const size = words[at + OpWord.SIZE]!;
    // Of what is longer, this much: pages are cleared by one, and copied by one.
    const last = Math.min((address + size - 1) >>> 2, (address >>> 2) + WORDS_MAX);
    for (let word = address >>> 2; word <= last; word++) {
      if ((does & Footprint.WRITES) === 0) this.read(word, actor);
      else if (this.sameness === 'state' && isPlainWord(words, at))
        this.writeValue(word, words[at + OpWord.WRITTEN]!);
      else this.writeByHistory(word, actor);
    }
  }

  /**
   * By state the value read says it all; by trace, whose value it was. That orders the read against every write, the
   * later ones too: who read what, and in which order a word was written, leaves nothing open.
   */
  private read(word: number, actor: Pair): void {
    if (this.sameness === 'state') return;
    const write = this.words.of(word);
    actor.a = mix(actor.a, write.a);
    actor.b = mix(actor.b, write.b);
  }

  private writeValue(word: number, value: number): void {
    const write = this.words.of(word);
    this.subtract(write, word);
    write.a = mix(mix(SEED_B, word), value);
    write.b = mix(mix(SEED_A, word), value);
    this.add(write, word);
  }

  /** The write comes after the one before: what it leaves is a digest of that history. */
  private writeByHistory(word: number, actor: Pair): void {
    const write = this.words.of(word);
    actor.a = mix(actor.a, write.a);
    actor.b = mix(actor.b, write.b);
    if (this.sameness === 'state') this.subtract(write, word);
    write.a = mix(actor.a, word);
    write.b = mix(actor.b, word);
    if (this.sameness === 'state') this.add(write, word);
  }

  private add(hash: Pair, salt: number): void {
    this.total.a = (this.total.a + mix(hash.a, salt)) | 0;
    this.total.b = (this.total.b + mix(hash.b, salt)) | 0;
  }

  private subtract(hash: Pair, salt: number): void {
    this.total.a = (this.total.a - mix(hash.a, salt)) | 0;
    this.total.b = (this.total.b - mix(hash.b, salt)) | 0;
  }
}

function absorb(hash: Pair, word: number): void {
  hash.a = mix(hash.a, word);
  hash.b = mix(hash.b, word);
}

/** Whether WRITTEN is what the word holds afterwards, whole. */
function isPlainWord(words: Int32Array, at: number): boolean {
  const type = opType(words[at]!);
  if (type === OpType.IPI || type === OpType.IRQ_ENTRY) return false;
  return words[at + OpWord.SIZE] === 4 && (words[at + OpWord.ADDRESS]! & 3) === 0;
}
