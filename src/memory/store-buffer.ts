/**
 * Store buffers under tso: a first-in first-out queue per CPU, as x86 has it (Owens, Sarkar, Sewell: "A Better x86 Memory
 * Model: x86-TSO", TPHOLs 2009). A CPU's loads see its own newest buffered store; memory sees the oldest first.
 */
import { CpuWord, type Geometry } from './layout.ts';
import { BUFFER_WORDS, BufferWord, STORE_BUFFER_ENTRIES, searchRegion } from './search.ts';

/** What `find` answers besides an entry. */
export const NOT_BUFFERED = -1;
/** Some buffered store covers a part of the bytes, none newer all of them: the load has to wait until it has drained. */
export const PARTLY_BUFFERED = -2;

export class StoreBuffers {
  readonly #i32: Int32Array;
  readonly #start: number;
  /** Word index of CPU 0's block, and the distance to the next. */
  readonly #blocks: number;
  readonly #blockWords: number;

  constructor(i32: Int32Array, layout: Geometry, blocks: number, blockWords: number) {
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    this.#i32 = i32;
    this.#start = (layout.search + region.buffers) >>> 2;
    this.#blocks = blocks;
    this.#blockWords = blockWords;
  }

  count(cpu: number): number {
    return this.#i32[this.#block(cpu) + CpuWord.BUFFERED]!;
  }

  isFull(cpu: number): boolean {
    return this.count(cpu) === STORE_BUFFER_ENTRIES;
  }

  push(
    cpu: number,
    address: number,
    size: number,
    low: number,
    high: number,
    site: number,
    kind: number,
  ): void {
    const i32 = this.#i32;
    const block = this.#block(cpu);
    const at = this.#entry(cpu, i32[block + CpuWord.BUFFERED]!);
    i32[at + BufferWord.ADDRESS] = address;
    i32[at + BufferWord.SIZE] = size;
    i32[at + BufferWord.LOW] = low;
    i32[at + BufferWord.HIGH] = high;
    i32[at + BufferWord.SITE] = site;
    i32[at + BufferWord.KIND] = kind;
    i32[block + CpuWord.BUFFERED]! += 1;
  }

  /** Word index of the oldest entry: BufferWord. There is one. */
  oldest(cpu: number): number {
    return this.#entry(cpu, 0);
  }

  /** Forgets the oldest. */
  shift(cpu: number): void {
    const i32 = this.#i32;
    const block = this.#block(cpu);
    i32[block + CpuWord.BUFFER_HEAD] = (i32[block + CpuWord.BUFFER_HEAD]! + 1) % STORE_BUFFER_ENTRIES;
    i32[block + CpuWord.BUFFERED]! -= 1;
  }

  /** Word index of the newest entry that holds all of [address, address + size), or NOT_BUFFERED, or PARTLY_BUFFERED. */
  find(cpu: number, address: number, size: number): number {
    const i32 = this.#i32;
    for (let index = this.count(cpu) - 1; index >= 0; index--) {
      const at = this.#entry(cpu, index);
      const start = i32[at + BufferWord.ADDRESS]!;
      const end = start + i32[at + BufferWord.SIZE]!;
      if (address >= end || start >= address + size) continue;
      return address >= start && address + size <= end ? at : PARTLY_BUFFERED;
    }
    return NOT_BUFFERED;
  }

  #block(cpu: number): number {
    return this.#blocks + cpu * this.#blockWords;
  }

  #entry(cpu: number, index: number): number {
    const head = this.#i32[this.#block(cpu) + CpuWord.BUFFER_HEAD]!;
    return (
      this.#start + (cpu * STORE_BUFFER_ENTRIES + ((head + index) % STORE_BUFFER_ENTRIES)) * BUFFER_WORDS
    );
  }
}
