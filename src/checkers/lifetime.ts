/**
 * Lifetime of allocated memory, from ALLOCATION events: accesses to freed bytes, memory freed twice, memory never freed.
 *
 * @linux mm/kasan (use after free, double free), mm/kmemleak.c (leaks), as of v6.1
 *
 * KASAN forgets a freed object when its memory leaves the quarantine. Here freed bytes are remembered until somebody
 * allocates them again, which the simulated kernel's last-in-first-out allocator does soon: an access after that is an
 * access to the new object, as it would be without a quarantine.
 */
import { EventType } from '#trace/events';
import {
  Footprint,
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  type OperationLog,
  footprint,
  opFlags,
  opType,
} from '#trace/operations';

const ALLOCATION_EVENT = OpType.EVENT + EventType.ALLOCATION;

/** What an ALLOCATION event says in its last word. */
const Allocation = { FREED: 0, ALLOCATED: 1, BECOMES_SLAB: 2 } as const;

/** Memory that was freed and not allocated again: [start, end). */
interface FreedRange {
  start: number;
  end: number;
  readonly object: FreedObject;
}

interface FreedObject {
  readonly address: number;
  readonly size: number;
  /** Address of its cache, 0 for pages. */
  readonly cache: number;
  /** Records; -1 where it was allocated before the log begins. */
  readonly allocatedAt: number;
  readonly freedAt: number;
}

interface LiveObject {
  readonly address: number;
  readonly size: number;
  readonly cache: number;
  readonly allocatedAt: number;
  /** Pages that objects are cut from: theirs is the lifetime that counts. */
  isSlab: boolean;
}

/** One defect, by record numbers; lifetime-report.ts puts it into words. */
export type LifetimeDefect =
  | { readonly what: 'use-after-free'; readonly record: number; readonly object: FreedObject }
  | { readonly what: 'double-free'; readonly record: number; readonly object: FreedObject }
  | { readonly what: 'leak'; readonly object: LiveObject };

const NO_DEFECTS: readonly LifetimeDefect[] = Object.freeze([]);

/** Defects kept of one run: a copied list that dangles faults at each of its elements. */
const DEFECTS_MAX = 16;

export class LifetimeChecker {
  readonly #live = new Map<number, LiveObject>();
  /** Ascending, without overlaps. */
  readonly #freed: FreedRange[] = [];
  #defects: LifetimeDefect[] | undefined;
  #words: Int32Array = new Int32Array(0);

  /**
   * Reads one run.
   * @param leaksFrom record from which on what is allocated has to be freed by the end; undefined to look for no leaks
   */
  scan(log: OperationLog, leaksFrom?: number): readonly LifetimeDefect[] {
    const { words } = log;
    this.#words = words;
    this.#defects = undefined;
    if (this.#live.size > 0) this.#live.clear();
    if (this.#freed.length > 0) this.#freed.length = 0;
    for (let record = 0; record < log.records; record++) {
      const type = opType(words[record * OP_WORDS]!);
      if (type === ALLOCATION_EVENT) this.#allocation(record);
      else if (this.#freed.length > 0 && type < OpType.EVENT) this.#access(record, type);
    }
    if (leaksFrom !== undefined) this.#leaks(leaksFrom);
    return this.#defects ?? NO_DEFECTS;
  }

  #allocation(record: number): void {
    const at = record * OP_WORDS;
    const address = this.#words[at + OpWord.ADDRESS]! >>> 0;
    const size = this.#words[at + OpWord.SIZE]!;
    const cache = this.#words[at + OpWord.READ]! >>> 0;
    const what = this.#words[at + OpWord.WRITTEN]!;
    if (what === Allocation.ALLOCATED) {
      this.#cut(address, address + size);
      this.#live.set(address, { address, size, cache, allocatedAt: record, isSlab: false });
    } else if (what === Allocation.BECOMES_SLAB) {
      const pages = this.#live.get(address);
      if (pages !== undefined) pages.isSlab = true;
    } else {
      this.#free(address, size, cache, record);
    }
  }

  #free(address: number, size: number, cache: number, record: number): void {
    const live = this.#live.get(address);
    if (live === undefined) {
      const before = this.#freedAround(address, 1);
      if (before?.object.address === address) {
        this.#report({ what: 'double-free', record, object: before.object });
        return;
      }
    }
    this.#live.delete(address);
    this.#cut(address, address + size);
    const object = { address, size, cache, allocatedAt: live?.allocatedAt ?? -1, freedAt: record };
    this.#freed.splice(this.#firstEndingAfter(address), 0, { start: address, end: address + size, object });
  }

  #access(record: number, type: number): void {
    // A buffered store touches memory later; that the program stores there is wrong already now.
    if (footprint(type) === Footprint.NONE && type !== OpType.BUFFER) return;
    const at = record * OP_WORDS;
    if ((opFlags(this.#words[at]!) & OpFlag.FAULTED) !== 0) return;
    const range = this.#freedAround(this.#words[at + OpWord.ADDRESS]! >>> 0, this.#words[at + OpWord.SIZE]!);
    if (range !== undefined && !this.#isKnown(record, range.object)) {
      this.#report({ what: 'use-after-free', record, object: range.object });
    }
  }

  /** The same code at the same object again: a loop, or the FLUSH of a BUFFER that was reported. */
  #isKnown(record: number, object: FreedObject): boolean {
    const site = this.#words[record * OP_WORDS + OpWord.SITE];
    return (
      this.#defects?.some(
        (known) =>
          known.what === 'use-after-free' &&
          known.object === object &&
          this.#words[known.record * OP_WORDS + OpWord.SITE] === site,
      ) === true
    );
  }

  #leaks(from: number): void {
    for (const object of this.#live.values()) {
      if (object.allocatedAt >= from && !object.isSlab) this.#report({ what: 'leak', object });
    }
  }

  #report(defect: LifetimeDefect): void {
    this.#defects ??= [];
    if (this.#defects.length < DEFECTS_MAX) this.#defects.push(defect);
  }

  /** A freed range that has a byte of [address, address + size). */
  #freedAround(address: number, size: number): FreedRange | undefined {
    const range = this.#freed[this.#firstEndingAfter(address)];
    return range !== undefined && range.start < address + size ? range : undefined;
  }

  /** Index of the first range that ends behind an address. */
  #firstEndingAfter(address: number): number {
    let low = 0;
    let high = this.#freed.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#freed[middle]!.end > address) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** [start, end) is not free any more: ranges lose what lies in it, and one that has it inside becomes two. */
  #cut(start: number, end: number): void {
    let at = this.#firstEndingAfter(start);
    while (at < this.#freed.length && this.#freed[at]!.start < end) {
      const range = this.#freed[at]!;
      const left = range.start < start;
      const right = range.end > end;
      if (left && right) {
        this.#freed.splice(at + 1, 0, { start: end, end: range.end, object: range.object });
        range.end = start;
        return;
      }
      if (left) range.end = start;
      else if (right) range.start = end;
      if (left || right) at++;
      else this.#freed.splice(at, 1);
    }
  }
}
