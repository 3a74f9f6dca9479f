/**
 * A number for what happened in a run, whatever the order of steps that do not depend on each other (its Mazurkiewicz
 * trace): who did what, in which order each word was written, and which write each read saw.
 *
 * One pass over the log. Each flow of control and each word of memory has a digest of its history: an operation takes in
 * the history of what it touches, if another flow wrote that last, and a write leaves its own there. A CPU's main flow and
 * its interrupts order each other, memory or not, so they are one flow; its store buffer is another. What is written in one
 * piece, pages above all, is kept in blocks beside the words: of a block, its last write as a whole, and the sum of all
 * writes of single words since.
 *
 * So of a word that one flow alone touches nothing is ever taken in, and nobody needs to keep it. Most steps of a kernel
 * that boots are on such words: where the log says which they are, only their own flow hears of them.
 *
 * 53 bits: among a million traces the chance that any two are mistaken for one is about 1 in 18,000. What is decided by it
 * is how many traces are counted, and whether a run is read for data races again (laboratory.ts).
 */
import { NR_CPUS } from '#base/limits';
import {
  Footprint,
  type KnownPlaces,
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  type OperationLog,
  footprint,
  opFlags,
  opType,
} from '#trace/operations';
import { FIRST_A, FIRST_B, flowOfHead, joined, lastA, lastB, mix, shareA, shareB, stir } from './digests.ts';
import { KnownFingerprints } from './known-fingerprint.ts';

const BLOCK_SHIFT = 10;
const BLOCK_BYTES = 1 << BLOCK_SHIFT;
/** Without these a record is on memory of its flow alone: what continues a step does not say what the step is on. */
const OTHERS = (OpFlag.VISIBLE | OpFlag.CONTINUES) << 11;

/** Words of an entry in the table of words. */
const KEY = 0;
const BORN = 1;
const EPOCH = 2;
const HISTORY = 3;
/** The flow that wrote it last, + 1; 0 = none. */
const WRITER = 5;
const ENTRY = 6;
const ENTRIES_AT_FIRST = 256;

/**
 * Words of a block: generation, bulk writes in it, the history of the last one, the sum of writes since; and whose the last
 * bulk write was, and the writes since, as in WRITER.
 */
const BULKS = 1;
const BULK = 2;
const SUM = 4;
const BULK_WRITER = 6;
const SUM_WRITER = 7;
const BLOCK = 8;
/** In SUM_WRITER: more than one flow. */
const MANY = -1;

export class Fingerprints {
  /** By flow: the two halves of its history. A CPU has two: what it runs, and its store buffer. */
  readonly #flows = new Int32Array(NR_CPUS * 2 * 2);
  readonly #begun = new Int32Array(NR_CPUS * 2);
  /** Flows of this run. */
  readonly #used = new Int32Array(NR_CPUS * 2);
  #usedCount = 0;
  #words = new Int32Array(ENTRIES_AT_FIRST * ENTRY);
  #entries = 0;
  #blocks = new Int32Array(64 * BLOCK);
  #generation = 0;
  /** The history that an operation has taken in so far. */
  #a = 0;
  #b = 0;
  /** Its flow, + 1. */
  #writer = 0;
  #known: KnownFingerprints | undefined;
  /** Some record is on a whole block. Without one, blocks have nothing to say of a word. */
  #hasBlocks = false;

  /** The fingerprint of a run: the same for the same trace, whatever was known of its memory. */
  of(log: OperationLog): number {
    const known = log.known === undefined ? undefined : this.#knownFrom(log.known).of(log);
    if (known !== undefined) return known;
    this.#scan(log);
    if (log.isSettled === true && this.#read(log, true)) return this.#total();
    this.#read(log, false);
    return this.#total();
  }

  #knownFrom(places: KnownPlaces): KnownFingerprints {
    if (this.#known?.known !== places) this.#known = new KnownFingerprints(places);
    return this.#known;
  }

  /** What is in a log at all: told to it, and kept. */
  #scan(log: OperationLog): void {
    const { words } = log;
    let hasFacts = false;
    let widest = 0;
    for (let at = 0, end = log.records * OP_WORDS; at < end; at += OP_WORDS) {
      if (opType(words[at]!) >= OpType.EVENT) hasFacts = true;
      else if (words[at + OpWord.SIZE]! > widest) widest = words[at + OpWord.SIZE]!;
    }
    log.hasFacts = hasFacts;
    this.#hasBlocks = widest >= BLOCK_BYTES;
  }

  /**
   * @param isSettled a step that is not visible is on memory that no other flow touches
   * @returns false if that does not do: a whole block is touched, and not all of it is what others may touch
   */
  #read({ words, records }: OperationLog, isSettled: boolean): boolean {
    this.#reset();
    let record = 0;
    // A step begins with what does not continue another.
    while (record < records && (opFlags(words[record * OP_WORDS]!) & OpFlag.CONTINUES) !== 0) record++;
    const end = records * OP_WORDS;
    for (let at = record * OP_WORDS; at < end; at += OP_WORDS) {
      const head = words[at]!;
      if (opType(head) >= OpType.EVENT) continue;
      const isOwn = isSettled && (head & OTHERS) === 0;
      if (isSettled && !isOwn && words[at + OpWord.SIZE]! >= BLOCK_BYTES) return false;
      this.#record(words, at, isOwn);
    }
    return true;
  }

  #reset(): void {
    this.#usedCount = 0;
    this.#entries = 0;
    this.#generation = (this.#generation + 1) | 0;
    if (this.#generation !== 0) return;
    // Once in four billion runs old generations would look like new ones.
    this.#words.fill(0);
    this.#blocks.fill(0);
    this.#begun.fill(0);
    this.#generation = 1;
  }

  #total(): number {
    let a = 0;
    let b = 0;
    for (let index = 0; index < this.#usedCount; index++) {
      const flow = this.#used[index]!;
      // A sum: in which order flows come up is nobody's business.
      a = (a + lastA(this.#flows[flow * 2]!, flow)) | 0;
      b = (b + lastB(this.#flows[flow * 2 + 1]!, flow)) | 0;
    }
    return joined(a, b);
  }

  /** @param isOwn nobody else touches what it is on */
  #record(words: Int32Array, at: number, isOwn: boolean): void {
    const head = words[at]!;
    const flow = flowOfHead(head);
    if (this.#begun[flow] !== this.#generation) this.#begin(flow);
    const address = words[at + OpWord.ADDRESS]!;
    const size = words[at + OpWord.SIZE]!;
    const written = words[at + OpWord.WRITTEN]!;
    const flows = this.#flows;
    this.#a = mix(flows[flow * 2]!, shareA(head, address, size, written));
    this.#b = stir(flows[flow * 2 + 1]!, shareB(head, address, size, written));
    if (!isOwn) {
      const does = footprint(opType(head));
      this.#writer = flow + 1;
      if (does !== Footprint.NONE && (opFlags(head) & (OpFlag.FAULTED | OpFlag.FORWARDED)) === 0)
        this.#onMemory(address >>> 0, size, (does & Footprint.WRITES) !== 0);
    }
    flows[flow * 2] = this.#a;
    flows[flow * 2 + 1] = this.#b;
  }

  #begin(flow: number): void {
    this.#begun[flow] = this.#generation;
    this.#used[this.#usedCount++] = flow;
    this.#flows[flow * 2] = FIRST_A;
    this.#flows[flow * 2 + 1] = FIRST_B;
  }

  /** Takes in what the bytes hold, and then, of a write, leaves its history there. */
  #onMemory(address: number, size: number, writes: boolean): void {
    if (size <= 4 && (address & 3) + size <= 4) {
      if (!this.#hasBlocks) {
        this.#onWord(address >>> 2, writes);
        return;
      }
      this.#takeWord(address >>> 2);
      if (writes) this.#leaveWord(address >>> 2);
      return;
    }
    this.#eachPiece(address, size, false);
    if (writes) this.#eachPiece(address, size, true);
  }

  /** Words at the ends, whole blocks between. */
  #eachPiece(address: number, size: number, leaves: boolean): void {
    const end = address + size;
    for (let from = address; from < end;) {
      if ((from & (BLOCK_BYTES - 1)) === 0 && end - from >= BLOCK_BYTES) {
        if (leaves) this.#leaveBlock(from >>> BLOCK_SHIFT);
        else this.#takeBlock(from >>> BLOCK_SHIFT);
        from += BLOCK_BYTES;
        continue;
      }
      if (leaves) this.#leaveWord(from >>> 2);
      else this.#takeWord(from >>> 2);
      from = ((from >>> 2) + 1) * 4;
    }
  }

  #absorb(a: number, b: number): void {
    this.#a = mix(this.#a, a);
    this.#b = stir(this.#b, b);
  }

  /** Whether another flow wrote what is there. */
  #isForeign(writer: number): boolean {
    return writer !== 0 && writer !== this.#writer;
  }

  /** Both, where nobody touches whole blocks. */
  #onWord(word: number, writes: boolean): void {
    const entry = this.#entryOf(word);
    const words = this.#words;
    if (this.#isForeign(words[entry + WRITER]!))
      this.#absorb(words[entry + HISTORY]!, words[entry + HISTORY + 1]!);
    if (!writes) return;
    words[entry + HISTORY] = mix(this.#a, word);
    words[entry + HISTORY + 1] = stir(this.#b, word);
    words[entry + WRITER] = this.#writer;
  }

  #takeWord(word: number): void {
    const block = this.#blockOf(word >>> (BLOCK_SHIFT - 2));
    const entry = this.#entryOf(word);
    const isNewest = this.#words[entry + EPOCH] === this.#blocks[block + BULKS];
    const writer = isNewest ? this.#words[entry + WRITER]! : this.#blocks[block + BULK_WRITER]!;
    if (!this.#isForeign(writer)) return;
    if (isNewest) this.#absorb(this.#words[entry + HISTORY]!, this.#words[entry + HISTORY + 1]!);
    else this.#absorb(this.#blocks[block + BULK]!, this.#blocks[block + BULK + 1]!);
  }

  #leaveWord(word: number): void {
    const block = this.#blockOf(word >>> (BLOCK_SHIFT - 2));
    const entry = this.#entryOf(word);
    const a = mix(this.#a, word);
    const b = stir(this.#b, word);
    this.#words[entry + EPOCH] = this.#blocks[block + BULKS]!;
    this.#words[entry + HISTORY] = a;
    this.#words[entry + HISTORY + 1] = b;
    this.#words[entry + WRITER] = this.#writer;
    this.#blocks[block + SUM]! += a;
    this.#blocks[block + SUM + 1]! += b;
    const writer = this.#blocks[block + SUM_WRITER]!;
    this.#blocks[block + SUM_WRITER] = writer === 0 || writer === this.#writer ? this.#writer : MANY;
  }

  #takeBlock(number: number): void {
    const block = this.#blockOf(number);
    const blocks = this.#blocks;
    if (this.#isForeign(blocks[block + BULK_WRITER]!))
      this.#absorb(blocks[block + BULK]!, blocks[block + BULK + 1]!);
    if (this.#isForeign(blocks[block + SUM_WRITER]!))
      this.#absorb(blocks[block + SUM]!, blocks[block + SUM + 1]!);
  }

  #leaveBlock(number: number): void {
    const block = this.#blockOf(number);
    const blocks = this.#blocks;
    blocks[block + BULKS]! += 1;
    blocks[block + BULK] = mix(this.#a, number);
    blocks[block + BULK + 1] = stir(this.#b, number);
    blocks[block + SUM] = 0;
    blocks[block + SUM + 1] = 0;
    blocks[block + BULK_WRITER] = this.#writer;
    blocks[block + SUM_WRITER] = 0;
  }

  /** Where a block is. */
  #blockOf(number: number): number {
    if ((number + 1) * BLOCK > this.#blocks.length) this.#growBlocks(number);
    const blocks = this.#blocks;
    const at = number * BLOCK;
    if (blocks[at] === this.#generation) return at;
    blocks[at] = this.#generation;
    blocks.fill(0, at + 1, at + BLOCK);
    return at;
  }

  #growBlocks(number: number): void {
    const grown = new Int32Array(Math.max(this.#blocks.length * 2, (number + 1) * BLOCK));
    grown.set(this.#blocks);
    this.#blocks = grown;
  }

  /** Where a word is, made if there is none: nobody has written it yet. */
  #entryOf(word: number): number {
    const at = this.#find(word);
    if (this.#words[at + BORN] === this.#generation) return at;
    if (this.#entries * 2 >= this.#words.length / ENTRY) {
      this.#growWords();
      return this.#entryOf(word);
    }
    this.#entries++;
    this.#words[at + KEY] = word;
    this.#words[at + BORN] = this.#generation;
    this.#words[at + EPOCH] = 0;
    this.#words[at + HISTORY] = 0;
    this.#words[at + HISTORY + 1] = 0;
    this.#words[at + WRITER] = 0;
    return at;
  }

  #find(word: number): number {
    const words = this.#words;
    const mask = words.length / ENTRY - 1;
    const product = Math.imul(word, 0x9e3779b1);
    let entry = (product ^ (product >>> 15)) & mask;
    while (words[entry * ENTRY + BORN] === this.#generation && words[entry * ENTRY] !== word)
      entry = (entry + 1) & mask;
    return entry * ENTRY;
  }

  #growWords(): void {
    const old = this.#words;
    this.#words = new Int32Array(old.length * 2);
    for (let at = 0; at < old.length; at += ENTRY) {
      if (old[at + BORN] !== this.#generation) continue;
      const entry = this.#find(old[at]!);
      for (let word = 0; word < ENTRY; word++) this.#words[entry + word] = old[at + word]!;
    }
  }
}

const fingerprints = new Fingerprints();

/** The fingerprint of a run, computed once: until the next run its log is what it is. */
export function fingerprintOf(log: OperationLog): number {
  return (log.fingerprint ??= fingerprints.of(log));
}
