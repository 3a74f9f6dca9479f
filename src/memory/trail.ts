/**
 * What a CPU does between its operations: looks at memory that is its own, and what it leaves there and in its registers.
 * Nothing of that is in the log. Kept in runs that are learnt from (fibers/known-flows.ts).
 */
import { MSR_NUMBERS } from './firmware.ts';
import { CPU_BLOCK_BYTES, CpuWord, PENDING_MASKABLE, PowerState, SearchWord } from './layout.ts';
import { SEARCH_BASE } from './search-words.ts';

const RECORDS = SEARCH_BASE + SearchWord.RECORDS;
const BLOCK_WORDS = CPU_BLOCK_BYTES / 4;
/** Registers that code changes and goes by. Compared at every step; any other has to be at the end of a run what it was. */
const REGISTERS = [
  ...range(CpuWord.IRQS_ENABLED, CpuWord.STATUS),
  ...range(CpuWord.VIRT_ON, CpuWord.VIRT_OFF + 1),
  ...range(CpuWord.MSRS, CpuWord.MSRS + 2 * MSR_NUMBERS.length),
  ...range(CpuWord.CPL, CpuWord.VM_INSTRUCTION_ERROR + 1),
];
/** Bits of PENDING_MASKABLE. */
const MASKABLE_MAX = 8;
/** Words of a block that are the scheduler's: who waits for what, and who goes on. */
const SCHEDULING = Array.from({ length: BLOCK_WORDS }, (_, word) => word).filter(
  (word) =>
    (word >= CpuWord.STATUS && word <= CpuWord.WATCH_FILTER && word !== CpuWord.FLOW) ||
    word === CpuWord.BATON ||
    word === CpuWord.FLOW_PENDING ||
    word === CpuWord.WAKE ||
    // Interrupts that come, and that are taken: who makes runs from trails keeps count of those itself.
    word === CpuWord.PENDING ||
    (word >= CpuWord.INTERRUPTS && word < CpuWord.INTERRUPTS + MASKABLE_MAX),
);
/** LOOKs behind an ENTER. */
export const HANDLER_LOOKS = REGISTERS.length;

/** What an event of a trail is. */
export const TrailEvent = {
  /** looks at memory of its own */
  LOOK: 0,
  /** leaves something in memory of its own, or in a register */
  LEAVE: 1,
  /** stands in front of a step or a wait: address = the innermost function, value = a number for all calls on the stack */
  STAND: 2,
  /** the condition of a wait is looked at: LOOK and WATCH events follow, and a VERDICT */
  LOOKS: 3,
  /** the wait depends on that word. Above the low byte: AccessKind of the look */
  WATCH: 4,
  /** value = 1: the condition holds */
  VERDICT: 5,
  /** takes an interrupt: address = its vector, value = the flow it comes in front of. LOOKs at registers follow */
  ENTER: 6,
  /** the handler is over */
  RETURN: 7,
  /** the flow has ended, and its CPU is idle */
  OVER: 8,
  /** adds value to a counter of the laboratory's own */
  TALLY: 9,
  /** the step that comes stores `bytes[address]`. value = 1: its record says what was there before */
  STORES: 10,
  /** the step before has loaded `bytes[address]` */
  LOADED: 11,
} as const;
/** Words of an event: records in the log when it happened, TrailEvent, address, value. */
export const TRAIL_WORDS = 4;

/** More than that in a run is no small scenario's. */
const EVENTS_MAX = 1 << 15;

export class Trail {
  /** TRAIL_WORDS each, in the order in which they happened. */
  readonly events: number[] = [];
  /** What is stored and loaded that is wider than a word. */
  readonly bytes: Uint8Array[] = [];
  /** Records in the log when something happened that cannot be told: what comes later is not known. */
  lostAt = Infinity;
  readonly #i32: Int32Array;
  #base = 0;
  #again = 0;
  /** What the condition that is looked at has read of its CPU's own: words watched by then, address, value. */
  readonly #own: number[] = [];
  readonly #block = new Int32Array(BLOCK_WORDS);
  /** Registers as they were in front of the interrupts that are being taken. */
  readonly #below: number[][] = [];

  constructor(i32: Int32Array) {
    this.#i32 = i32;
  }

  /** A run begins. @param base word index of the CPU's block */
  begin(base: number): void {
    this.events.length = 0;
    this.bytes.length = 0;
    this.#below.length = 0;
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

  tallied(address: number, operand: number): void {
    this.#event(TrailEvent.TALLY, address, operand);
  }

  /** @param isExchange the record of the step says what was there before */
  stores(bytes: Uint8Array, isExchange: boolean): void {
    this.#event(TrailEvent.STORES, this.bytes.push(bytes) - 1, isExchange ? 1 : 0);
  }

  loaded(bytes: Uint8Array): void {
    this.#event(TrailEvent.LOADED, this.bytes.push(bytes) - 1, 0);
  }

  /** Something happens that nobody could make happen again from what is kept here. */
  lose(): void {
    this.lostAt = Math.min(this.lostAt, this.#i32[RECORDS]!);
  }

  /** The operation that this CPU stood in front of is done again: what it looks at up to there it has looked at before. */
  again(): void {
    this.#again = this.events.length;
  }

  /** Here it is. */
  granted(): void {
    if (this.lostAt === Infinity) this.events.length = Math.min(this.events.length, this.#again);
  }

  /** The CPU stands in front of a step: what its registers are now is what it has left there. */
  stand(site: number, calls: number): void {
    this.#compare();
    this.#event(TrailEvent.STAND, site, calls);
  }

  #compare(): void {
    const block = this.#block;
    for (const word of REGISTERS) {
      const value = this.#i32[this.#base + word]!;
      if (value === block[word]) continue;
      block[word] = value;
      this.left((this.#base + word) * 4, value);
    }
  }

  /** A wait's condition is about to be looked at. */
  beginLook(): void {
    this.#own.length = 0;
  }

  /** It has looked at memory of its CPU's own. */
  lookedOwn(address: number, value: number): void {
    this.#own.push(this.#i32[this.#base + CpuWord.WATCH_COUNT]!, address, value | 0);
  }

  /** It has been looked at. The CPU stands there. @param kinds AccessKind of each watched word's look */
  waits(site: number, calls: number, holds: boolean, kinds: Uint8Array): void {
    const i32 = this.#i32;
    const base = this.#base;
    // It ends by itself: what time it is is nothing that a flow reads.
    if (i32[base + CpuWord.DEADLINE_US] !== 0) this.lose();
    this.stand(site, calls);
    this.#event(TrailEvent.LOOKS, 0, 0);
    const count = i32[base + CpuWord.WATCH_COUNT]!;
    let own = 0;
    for (let index = 0; index <= count; index++) {
      for (; own < this.#own.length && this.#own[own]! <= index; own += 3)
        this.#event(TrailEvent.LOOK, this.#own[own + 1]!, this.#own[own + 2]!);
      if (index === count) break;
      const word = i32[base + CpuWord.WATCH_LIST + index]!;
      this.#event(TrailEvent.WATCH | (kinds[index]! << 8), word * 4, i32[word]!);
    }
    this.#event(TrailEvent.VERDICT, 0, holds ? 1 : 0);
  }

  /** An interrupt is about to be taken. */
  enter(): void {
    const i32 = this.#i32;
    const base = this.#base;
    this.#compare();
    const pending = i32[base + CpuWord.PENDING]! & PENDING_MASKABLE;
    this.#below.push(REGISTERS.map((word) => i32[base + word]!));
    this.#event(TrailEvent.ENTER, pending & -pending, i32[base + CpuWord.FLOW]!);
    for (const word of REGISTERS) this.looked((base + word) * 4, i32[base + word]!);
  }

  /** It is over, and what it came in front of goes on. */
  leave(): void {
    this.#compare();
    const i32 = this.#i32;
    const base = this.#base;
    const isAlone = i32[base + CpuWord.CURRENT_TASK] === 0 && i32[base + CpuWord.FLOW_PENDING] === 0;
    // A flow that finds other registers than it has left is no function of what it reads.
    if (
      this.#below.pop()?.some((value, index) => value !== i32[base + REGISTERS[index]!]) === true &&
      !isAlone
    )
      this.lose();
    this.#event(TrailEvent.RETURN, 0, 0);
  }

  /** The flow has ended. */
  end(): void {
    this.#compare();
    this.#event(TrailEvent.OVER, 0, 0);
  }

  /** The run is over: registers that are not compared at every step have to be what they were. */
  close(): void {
    this.#compare();
    for (const word of SCHEDULING) this.#block[word] = this.#i32[this.#base + word]!;
    if (this.#block.some((value, word) => value !== this.#i32[this.#base + word])) this.lostAt = 0;
  }

  #event(kind: number, address: number, value: number): void {
    if (this.lostAt !== Infinity) return;
    if (this.events.length >= EVENTS_MAX * TRAIL_WORDS) this.lose();
    else this.events.push(this.#i32[RECORDS]!, kind, address, value | 0);
  }
}

function range(from: number, behind: number): number[] {
  return Array.from({ length: behind - from }, (_, index) => from + index);
}
