/**
 * Digests of where a run stands after each step, so that a search can tell that it has been there.
 *
 * Two notions of *there*:
 *
 * - by **trace**: the same steps in an equivalent order (Mazurkiewicz): every pair of dependent steps in the same
 *   order. Whatever a checker may compute from such a beginning, happens-before included, is the same.
 * - by **state**: every actor has read the same values, and memory holds the same. Programs are functions of what they read, so
 *   what can follow is the same; but two beginnings of one state may differ in what was ordered before what. For failures
 *   that are seen in memory (a check, an oops, a deadlock), not for checkers of happens-before.
 *
 * 53 bits: among a million states the chance that any two are mistaken for one is about 1 in 18,000.
 */
import type { Actor } from '#base/strategy';
import { Flow, cpuOf, flowOf } from '#base/strategy';
import { Footprint, OP_WORDS, OpFlag, OpType, OpWord, footprint, opActor, opFlags, opType } from '#trace/operations';
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

/** What is known of one 4-byte word: who wrote it last, and (by trace) who has read that. */
interface WordHash {
  write: Pair;
  reads: Pair;
}

const SEED_A = 0x51ed270b;
const SEED_B = 0x2f0b4c47;

export class StateHash {
  private readonly sameness: Sameness;
  private readonly actors = new Map<Actor, Pair>();
  private readonly words = new Map<number, WordHash>();
  /** Sum over actors and words: no order in it. */
  private readonly total: Pair = { a: 0, b: 0 };

  constructor(sameness: Sameness) {
    this.sameness = sameness;
  }

  reset(): void {
    this.actors.clear();
    this.words.clear();
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
    let hash = this.actors.get(actor);
    if (hash === undefined) {
      hash = { a: SEED_A, b: SEED_B };
      this.actors.set(actor, hash);
      this.add(hash, actor);
    }
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

  /** A CPU's main flow and its interrupts order each other, memory or not. Words below page zero's end are free for it. */
  private onCpu(who: Actor, actor: Pair): void {
    if (flowOf(who) !== Flow.BUFFER) this.writeByHistory(-1 - cpuOf(who), actor);
  }

  private onMemory(words: Int32Array, at: number, does: number, actor: Pair): void {
    const address = words[at + OpWord.ADDRESS]! >>> 0;
    const size = words[at + OpWord.SIZE]!;
    const last = (address + size - 1) >>> 2;
    for (let word = address >>> 2; word <= last; word++) {
      if ((does & Footprint.WRITES) === 0) this.read(word, actor);
      else if (this.sameness === 'state' && isPlainWord(words, at)) this.writeValue(word, words[at + OpWord.WRITTEN]!);
      else this.writeByHistory(word, actor);
    }
  }

  private wordHash(word: number): WordHash {
    let hash = this.words.get(word);
    if (hash === undefined) {
      hash = { write: { a: mix(SEED_A, word), b: mix(SEED_B, word) }, reads: { a: 0, b: 0 } };
      this.words.set(word, hash);
    }
    return hash;
  }

  private read(word: number, actor: Pair): void {
    // By state the value read says it all; by trace, whose value it was.
    if (this.sameness === 'state') return;
    const { write, reads } = this.wordHash(word);
    actor.a = mix(actor.a, write.a);
    actor.b = mix(actor.b, write.b);
    // Readers have no order among each other, but a later write comes after all of them.
    reads.a = (reads.a + mix(actor.a, 7)) | 0;
    reads.b = (reads.b + mix(actor.b, 9)) | 0;
  }

  private writeValue(word: number, value: number): void {
    const { write } = this.wordHash(word);
    this.subtract(write, word);
    write.a = mix(mix(SEED_A, word), value);
    write.b = mix(mix(SEED_B, word), value);
    this.add(write, word);
  }

  /** The write comes after the one before and all its readers: what it leaves is a digest of that history. */
  private writeByHistory(word: number, actor: Pair): void {
    const { write, reads } = this.wordHash(word);
    actor.a = mix(mix(actor.a, write.a), reads.a);
    actor.b = mix(mix(actor.b, write.b), reads.b);
    if (this.sameness === 'state') this.subtract(write, word);
    write.a = mix(actor.a, word);
    write.b = mix(actor.b, word);
    if (this.sameness === 'state') this.add(write, word);
    reads.a = 0;
    reads.b = 0;
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
