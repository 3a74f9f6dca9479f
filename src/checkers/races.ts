/**
 * Data races by happens-before, as the Linux kernel memory model and KCSAN judge them: two accesses to a common byte by
 * two threads of execution, one of them writes, one of them is plain, and nothing orders them (ordering.ts says what
 * does). Marked accesses (READ_ONCE, WRITE_ONCE, acquire, release, read-modify-write) never race with each other.
 *
 * Sources: FastTrack (PLDI 2009) for the clocks; KCSAN's documentation for what is reported. We depart from KCSAN in that
 * we see every unordered pair of a run and not only those that meet in time.
 *
 * Under tso the program's store is BUFFER; its FLUSH is no access of its own.
 */
import { Flow, cpuOf, flowOf } from '#base/strategy';
import { AccessKind } from '#trace/events';
import {
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  type OperationLog,
  opActor,
  opFlags,
  opKind,
  opType,
} from '#trace/operations';
import { Ordering, TASK_EVENT } from './ordering.ts';
import { AccessClass, Shadow, packAccess } from './shadow.ts';

/** Races kept of one run; more of them say nothing new. */
export const RACES_MAX = 64;
const SLOTS = 256;

export interface RaceOptions {
  /**
   * As CONFIG_KCSAN_ASSUME_PLAIN_WRITES_ATOMIC, but off unless asked for: pairs whose plain accesses are all aligned
   * writes of at most 8 bytes are no races.
   */
  readonly assumePlainWritesAtomic?: boolean;
}

/** One detector serves many runs, one after another. */
export class RaceDetector {
  /** Racing pairs of the last run: numbers of the earlier and the later record, `count` pairs. */
  readonly pairs: Int32Array = new Int32Array(RACES_MAX * 2);
  count = 0;
  /** Hash table of the pairs by what `#isSamePlace` compares: numbers of pairs from 1, 0 for none. */
  readonly #slots = new Int16Array(SLOTS);

  readonly #shadow = new Shadow();
  readonly #order = new Ordering(this.#shadow);
  readonly #plainWritesAtomic: boolean;
  #words: Int32Array = new Int32Array(0);

  constructor(options: RaceOptions = {}) {
    this.#plainWritesAtomic = options.assumePlainWritesAtomic === true;
  }

  /** Reads a run's log; answers how many racing pairs it has. The same two places racing again are counted once. */
  scan(log: OperationLog): number {
    this.#words = log.words;
    // A log with more threads than there is room for is read again with more room: once in a detector's life.
    for (let wider = false; ; wider = true) {
      if (this.count > 0) this.#slots.fill(0);
      this.count = 0;
      this.#shadow.reset();
      this.#order.begin(log.words, wider);
      if (this.#fold(log.records)) return this.count;
    }
  }

  /** False if there are more threads than there is room for. */
  #fold(records: number): boolean {
    const words = this.#words;
    for (let record = 0; record < records; record++) {
      const head = words[record * OP_WORDS]!;
      const type = opType(head);
      if (type > OpType.EVENT && type !== TASK_EVENT) continue;
      const actor = opActor(head);
      const flags = opFlags(head);
      if (flowOf(actor) === Flow.BUFFER) {
        if (type === OpType.FLUSH) this.#order.flush(cpuOf(actor));
        continue;
      }
      if ((flags & OpFlag.FAULTED) !== 0) continue;
      const thread = this.#order.threadFor(actor);
      if (thread < 0) return false;
      this.#order.tick(thread, type, flags, record);
      this.#operation(type, opKind(head), flags, thread, record);
    }
    return true;
  }

  #operation(type: number, kind: number, flags: number, thread: number, record: number): void {
    switch (type) {
      case OpType.LOAD:
      case OpType.AWAIT:
        this.#load(type, kind, flags, thread, record);
        return;
      case OpType.STORE:
        if (kind === AccessKind.LOCAL) return;
        this.#access(thread, record, classOfStore(kind), false);
        this.#order.store(thread, record, kind);
        return;
      case OpType.BUFFER:
        if (kind === AccessKind.LOCAL) return;
        this.#access(thread, record, classOfStore(kind), false);
        this.#order.buffer(thread, record, kind);
        return;
      case OpType.RMW:
      case OpType.ACQUIRE:
        this.#order.barrier(thread);
        this.#order.read(thread, record, true);
        this.#access(thread, record, AccessClass.WRITE, true);
        this.#order.store(thread, record, AccessKind.RELEASE);
        this.#order.barrier(thread);
        return;
      case OpType.FENCE:
        this.#order.barrier(thread);
        return;
      default:
        this.#order.signal(type, thread, record);
    }
  }

  #load(type: number, kind: number, flags: number, thread: number, record: number): void {
    if (kind === AccessKind.LOCAL) return;
    if (kind === AccessKind.PLAIN) {
      this.#access(thread, record, AccessClass.PLAIN, false);
      return;
    }
    // First what it reads, then itself: what happened before the store it reads happened before it.
    if ((flags & OpFlag.FORWARDED) !== 0) this.#order.readForwarded(thread, record);
    else this.#order.read(thread, record, type === OpType.AWAIT || kind === AccessKind.ACQUIRE);
    this.#access(thread, record, 0, (flags & OpFlag.FORWARDED) === 0);
  }

  /**
   * Compares an access with those before it, word by word, and puts it in their place.
   * @param readsPublished it reads what the word's last marked store published
   */
  #access(thread: number, record: number, accessClass: number, readsPublished: boolean): void {
    const at = record * OP_WORDS;
    const address = this.#words[at + OpWord.ADDRESS]! >>> 0;
    const size = this.#words[at + OpWord.SIZE]!;
    if (size === 4 && (address & 3) === 0) {
      const packed = packAccess(thread, accessClass, 0xf);
      this.#accessWord(this.#shadow.cellOf(address >>> 2), packed, record, readsPublished);
      return;
    }
    const end = address + size;
    for (let word = address >>> 2; word * 4 < end; word++) {
      const low = Math.max(address - word * 4, 0);
      const high = Math.min(end - word * 4, 4);
      const bytes = (0xf << low) & (0xf >>> (4 - high));
      const cell = this.#shadow.cellOf(word);
      this.#accessWord(cell, packAccess(thread, accessClass, bytes), record, readsPublished);
    }
  }

  /**
   * Of one thread and class only the last access has to be kept: what is unordered with an earlier one is unordered with
   * it, too. An access of fewer bytes does not take the place of one of more.
   */
  #accessWord(cell: number, packed: number, record: number, readsPublished: boolean): void {
    const shadow = this.#shadow;
    const thread = packed & THREAD;
    let kept = false;
    for (let before = shadow.first[cell]!; before !== 0; before = shadow.next[before]!) {
      const other = shadow.packed[before]!;
      if (((other ^ packed) & THREAD_AND_CLASS) === 0) {
        if (kept || (other & ~packed) >>> BYTES_SHIFT !== 0) continue;
        shadow.packed[before] = packed;
        shadow.record[before] = record;
        kept = true;
      } else if (conflicts(other, packed)) {
        const earlier = shadow.record[before]!;
        if (this.#order.isBehind(thread, other & THREAD, earlier)) continue;
        if (readsPublished && this.#order.isBehindPublished(cell, other & THREAD, earlier)) continue;
        this.#found(earlier, record);
      }
    }
    if (!kept) shadow.addAccess(cell, packed, record);
  }

  #found(earlier: number, later: number): void {
    if (this.count === RACES_MAX) return;
    if (this.#plainWritesAtomic && this.#isHarmless(earlier) && this.#isHarmless(later)) return;
    let at = (this.#placeHash(earlier) ^ Math.imul(this.#placeHash(later), 31)) & (SLOTS - 1);
    for (; this.#slots[at] !== 0; at = (at + 1) & (SLOTS - 1)) {
      const pair = this.#slots[at]! - 1;
      const known = this.#isSamePlace(this.pairs[pair * 2]!, earlier);
      if (known && this.#isSamePlace(this.pairs[pair * 2 + 1]!, later)) return;
    }
    this.pairs[this.count * 2] = earlier;
    this.pairs[this.count * 2 + 1] = later;
    this.#slots[at] = ++this.count;
  }

  #placeHash(record: number): number {
    const at = record * OP_WORDS;
    const mixed =
      (this.#words[at]! & SAME_HEAD) ^
      Math.imul(this.#words[at + OpWord.SITE]!, 0x85ebca6b) ^
      Math.imul(this.#words[at + OpWord.ADDRESS]!, 0x9e3779b1);
    return mixed ^ (mixed >>> 13) ^ (mixed >>> 22);
  }

  /** Marked, or an aligned plain write that a compiler is assumed not to tear. */
  #isHarmless(record: number): boolean {
    const at = record * OP_WORDS;
    const head = this.#words[at]!;
    if (opKind(head) !== AccessKind.PLAIN || opType(head) === OpType.RMW) return true;
    const size = this.#words[at + OpWord.SIZE]!;
    const writes = opType(head) === OpType.STORE || opType(head) === OpType.BUFFER;
    return writes && size <= 8 && (this.#words[at + OpWord.ADDRESS]! >>> 0) % size === 0;
  }

  /** Same flow, code, kind and variable: a loop's next turn. */
  #isSamePlace(a: number, b: number): boolean {
    const words = this.#words;
    const left = a * OP_WORDS;
    const right = b * OP_WORDS;
    return (
      ((words[left]! ^ words[right]!) & SAME_HEAD) === 0 &&
      words[left + OpWord.SITE] === words[right + OpWord.SITE] &&
      words[left + OpWord.ADDRESS] === words[right + OpWord.ADDRESS]
    );
  }
}

/** Of a head: type, access kind and actor, without the flags. */
const SAME_HEAD = ~(0x3ff << 11);

/** Parts of a packed access (shadow.ts). */
const THREAD = 0xffff;
const THREAD_AND_CLASS = 0x3ffff;
const BYTES_SHIFT = 18;

/** Two accesses to a common byte, one of which writes and one of which is plain. */
function conflicts(a: number, b: number): boolean {
  const wanted = (AccessClass.WRITE | AccessClass.PLAIN) << 16;
  return ((a | b) & wanted) === wanted && (a & b) >>> BYTES_SHIFT !== 0;
}

function classOfStore(kind: number): number {
  return kind === AccessKind.PLAIN ? AccessClass.WRITE | AccessClass.PLAIN : AccessClass.WRITE;
}
