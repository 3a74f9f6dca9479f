/**
 * What a CPU does between its operations: looks at memory that is its own, and what it leaves there and in its registers.
 * Nothing of that is in the log. Kept in runs that are learnt from (fibers/known-flows.ts).
 */
import { CPU_BLOCK_BYTES, CpuWord, PowerState, SearchWord } from './layout.ts';
import { SEARCH_BASE } from './search-words.ts';

const RECORDS = SEARCH_BASE + SearchWord.RECORDS;
const BLOCK_WORDS = CPU_BLOCK_BYTES / 4;
/** Registers that code changes all the time: the interrupt flag to what SIPI brings. Compared at every step. */
const FIRST = CpuWord.IRQS_ENABLED;
const BEHIND = CpuWord.STATUS;
/** Words of a block that are the scheduler's: who waits for what, and who goes on. */
const SCHEDULING = Array.from({ length: BLOCK_WORDS }, (_, word) => word).filter(
  (word) =>
    (word >= CpuWord.STATUS && word <= CpuWord.WATCH_FILTER && word !== CpuWord.FLOW) ||
    word === CpuWord.BATON ||
    word === CpuWord.FLOW_PENDING ||
    word === CpuWord.WAKE,
);

/** What an event of a trail is. */
export const TrailEvent = { LOOK: 0, LEAVE: 1 } as const;
/** Words of an event: records in the log when it happened, TrailEvent, address, value. */
export const TRAIL_WORDS = 4;

/** More than that between two runs is no small scenario's. */
const EVENTS_MAX = 4_096;

export class Trail {
  /** TRAIL_WORDS each, in the order in which they happened. */
  readonly events: number[] = [];
  /** The flow has ended, and all that its end leaves is here. */
  hasEnded = false;
  /** Records in the log when something happened that cannot be told: what comes later is not known. */
  lostAt = Infinity;
  readonly #i32: Int32Array;
  #base = 0;
  #again = 0;
  readonly #block = new Int32Array(BLOCK_WORDS);

  constructor(i32: Int32Array) {
    this.#i32 = i32;
  }

  /** A run begins. @param base word index of the CPU's block */
  begin(base: number): void {
    this.events.length = 0;
    this.hasEnded = false;
    this.#base = base;
    this.#block.set(this.#i32.subarray(base, base + BLOCK_WORDS));
    // What a CPU that is off starts with is no flow.
    this.lostAt = this.#block[CpuWord.POWER] === PowerState.RUNNING ? Infinity : 0;
  }

  looked(address: number, value: number): void {
    this.#event(TrailEvent.LOOK, address, value);
  }

  left(address: number, value: number): void {
    this.#event(TrailEvent.LEAVE, address, value);
  }

  /** Something happens that nobody could make happen again from what is kept here. */
  lose(): void {
    if (!this.hasEnded) this.lostAt = Math.min(this.lostAt, this.#i32[RECORDS]!);
  }

  /** The operation that this CPU stood in front of is done again: what it looks at up to there it has looked at before. */
  again(): void {
    this.#again = this.events.length;
  }

  /** Here it is. */
  granted(): void {
    if (!this.hasEnded) this.events.length = Math.min(this.events.length, this.#again);
  }

  /** The CPU stands in front of a step: what its registers are now is what it has left there. */
  compare(): void {
    if (this.hasEnded) return;
    const block = this.#block;
    for (let word = FIRST; word < BEHIND; word++) {
      const value = this.#i32[this.#base + word]!;
      if (value === block[word]) continue;
      block[word] = value;
      this.left((this.#base + word) * 4, value);
    }
  }

  /** The flow has ended. */
  end(): void {
    this.close();
    this.hasEnded = true;
  }

  /** The run is over: registers that are not compared at every step have to be what they were. */
  close(): void {
    if (this.hasEnded) return;
    this.compare();
    for (const word of SCHEDULING) this.#block[word] = this.#i32[this.#base + word]!;
    if (this.#block.some((value, word) => value !== this.#i32[this.#base + word])) this.lostAt = 0;
  }

  #event(kind: number, address: number, value: number): void {
    if (this.hasEnded) return;
    if (this.events.length >= EVENTS_MAX * TRAIL_WORDS) this.lose();
    else this.events.push(this.#i32[RECORDS]!, kind, address, value | 0);
  }
}
