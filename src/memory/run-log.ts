/** The operation log (trace/operations) while a run writes it. */
import { OP_WORDS, OpFlag, OpType, OpWord, opFlags, opHead } from '#trace/operations';
import type { Actor } from '#base/strategy';
import { CpuWord, type Geometry, RunEnd, SearchWord, MachineWord } from './layout.ts';
import { SEARCH_BASE } from './search-words.ts';
import { searchRegion } from './search.ts';

const RECORDS = SEARCH_BASE + SearchWord.RECORDS;
const ENABLED_LOW = SEARCH_BASE + SearchWord.ENABLED_LOW;
const ENABLED_HIGH = SEARCH_BASE + SearchWord.ENABLED_HIGH;
const STEP_FLAGS = SEARCH_BASE + SearchWord.STEP_FLAGS;
const ON = SEARCH_BASE + SearchWord.ON;
const RUN_END = (0x1000 >>> 2) + MachineWord.RUN_END;

export class RunLog {
  /** Word index of the first record. */
  readonly start: number;
  readonly #i32: Int32Array;
  readonly #capacity: number;

  constructor(i32: Int32Array, layout: Geometry) {
    this.#i32 = i32;
    this.#capacity = layout.logCapacity;
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    this.start = (layout.search + region.log) >>> 2;
  }

  get on(): boolean {
    return this.#i32[ON] !== 0;
  }

  /** The first record of the step that was chosen last. @param block word index of the CPU's block */
  step(
    type: number,
    kind: number,
    actor: Actor,
    block: number,
    address: number,
    size: number,
    read: number,
    written: number,
    site: number,
    flags = 0,
  ): void {
    const i32 = this.#i32;
    const head = opHead(type, kind, flags | i32[STEP_FLAGS]! | this.#context(block), actor);
    this.append(head, address, size, read, written, site, i32[ENABLED_LOW]!, i32[ENABLED_HIGH]!);
  }

  /** A further record of the same step, or a fact about it. */
  more(
    type: number,
    kind: number,
    actor: Actor,
    block: number,
    address: number,
    size: number,
    read: number,
    written: number,
    site: number,
    flags = 0,
  ): void {
    const head = opHead(type, kind, flags | OpFlag.CONTINUES | this.#context(block), actor);
    this.append(head, address, size, read, written, site, 0, 0);
  }

  /** What the last step is on. */
  lastStep(): { readonly address: number; readonly size: number } {
    const i32 = this.#i32;
    let at = this.start + (i32[RECORDS]! - 1) * OP_WORDS;
    while (at > this.start && (opFlags(i32[at]!) & OpFlag.CONTINUES) !== 0) at -= OP_WORDS;
    return { address: i32[at + OpWord.ADDRESS]! >>> 0, size: i32[at + OpWord.SIZE]! };
  }

  /** @param type of trace/events */
  fact(
    type: number,
    actor: Actor,
    block: number,
    a: number,
    b: number,
    c: number,
    d: number,
    site: number,
  ): void {
    this.more(OpType.EVENT + type, 0, actor, block, a, b, c, d, site);
  }

  /** @param block word index of the CPU's block */
  #context(block: number): number {
    const i32 = this.#i32;
    return (
      (i32[block + CpuWord.IRQS_ENABLED] === 0 ? OpFlag.IRQS_OFF : 0) |
      (i32[block + CpuWord.HARDIRQ_COUNT] !== 0 ? OpFlag.HARDIRQ : 0) |
      (i32[block + CpuWord.PREEMPT_COUNT] !== 0 ? OpFlag.PREEMPT_OFF : 0)
    );
  }

  /**
   * A record as it is to stand there.
   * @param low @param high who could have gone, of a step; 0 of what continues one
   * @returns false if the log is full: so ends the run
   */
  append(
    head: number,
    address: number,
    size: number,
    read: number,
    written: number,
    site: number,
    low: number,
    high: number,
  ): boolean {
    const i32 = this.#i32;
    const index = i32[RECORDS]!;
    if (index >= this.#capacity) {
      i32[RUN_END] = RunEnd.LOG_FULL;
      return false;
    }
    i32[RECORDS] = index + 1;
    const at = this.start + index * OP_WORDS;
    i32[at + OpWord.HEAD] = head;
    i32[at + OpWord.ADDRESS] = address;
    i32[at + OpWord.SIZE] = size;
    i32[at + OpWord.READ] = read;
    i32[at + OpWord.WRITTEN] = written;
    i32[at + OpWord.SITE] = site;
    i32[at + OpWord.ENABLED_LOW] = low;
    i32[at + OpWord.ENABLED_HIGH] = high;
    return true;
  }
}
