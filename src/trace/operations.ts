/**
 * The operation log of one deterministic run: every step that was executed, in order, with what it read and wrote, and
 * the facts checkers need beside them. Happens-before, data races, backtracking, minimising and coverage are computed
 * from it and from nothing else.
 *
 * A **step** is what the scheduler may put between two others: one operation, or several that happen as one (a copy
 * reads and writes; a wait whose condition holds read every word the condition looked at). Its first record carries the
 * actors that could have gone instead; the others have `CONTINUES`. Records from `EVENT` up are no operations: facts
 * about the step before them.
 *
 * A record is eight 32-bit words. What each means for a kind of record is said at `OpType`.
 */
import type { Actor } from '#base/strategy';

export const OP_WORDS = 8;

export const OpWord = {
  /** type | access kind << 8 | flags << 11 | actor << 21 */
  HEAD: 0,
  ADDRESS: 1,
  /** bytes */
  SIZE: 2,
  /** low word of the value read, or of the value before */
  READ: 3,
  /** low word of the value written */
  WRITTEN: 4,
  /** address of the kernel function that is doing it (innermost symbol), 0 outside all */
  SITE: 5,
  /** actors that could have made this step, this one included: bit `actor` of 64 */
  ENABLED_LOW: 6,
  ENABLED_HIGH: 7,
} as const;

export const OpType = {
  /** reads [address, address + size) */
  LOAD: 1,
  /** writes memory at once */
  STORE: 2,
  /** reads and writes one word, atomically and fully ordered */
  RMW: 3,
  /** full barrier; under tso possible only while the CPU's store buffer is empty */
  FENCE: 4,
  /** RMW 0 -> written that is possible only while the word is 0: taking a lock */
  ACQUIRE: 5,
  /** the read of a wait's condition that holds; possible only while it does. One record for each word read */
  AWAIT: 6,
  /** tso: a store enters this CPU's buffer; memory does not change. Always followed, later, by a FLUSH */
  BUFFER: 7,
  /** tso, by the buffer actor: the oldest buffered store reaches memory. SITE is the BUFFER's */
  FLUSH: 8,
  /** raises an interrupt: ADDRESS = the target's pending word, WRITTEN = bits set, READ = target CPU */
  IPI: 9,
  /** by the interrupt actor: takes an interrupt. ADDRESS = this CPU's pending word, READ = vector bit. Buffer empty */
  IRQ_ENTRY: 10,
  /** by the interrupt actor: the handler is over, the main flow may go on */
  IRQ_EXIT: 11,
  /** the main flow shuts a door to interrupts: WRITTEN = 0 the interrupt flag goes off, 1 it stays on and preemption goes off */
  IRQ_FLAG: 12,
  /** an actor's first step: its flow begins. Touches nothing */
  START: 13,
  /** an actor's flow has come to its end. Touches nothing; not a step of its own (CONTINUES) */
  END: 14,
  /** a timed wait gives up: simulated time has passed, which happens only when nobody else can go on */
  TIMEOUT: 15,
  /** behind a TIMEOUT: a word that its condition looked at last, in vain. Not a step of its own (CONTINUES) */
  LOOKED: 16,
  /** the interrupts that are pending on this CPU are dropped: ADDRESS = its pending word, READ and WRITTEN what it was and is */
  IRQ_DROP: 17,
  /**
   * a task asks for another CPU: ADDRESS = the count of those that do, READ and WRITTEN what it was and is. Behind it what the task
   * wants. Behind an AWAIT (CONTINUES): it has a reason to stay after all
   */
  OFFER: 18,
  /** a CPU that has nothing to do looks for such a task. Behind it what it looked at; and if it found one, GIVEN and what the task wanted */
  TAKE: 19,
  /** behind a TAKE: the task of CPU READ goes on on this CPU, and what this CPU did on that one. Not a step of its own (CONTINUES) */
  GIVEN: 20,
  /** `EVENT + EventType` of trace/events: a fact; ADDRESS, SIZE, READ, WRITTEN are the event's a, b, c, d */
  EVENT: 64,
} as const;
export type OpType = (typeof OpType)[keyof typeof OpType];

export const OpFlag = {
  /** part of the step before it */
  CONTINUES: 1,
  /** the memory is known to be used by more than one actor (or the step is of another visible kind): a choice point */
  VISIBLE: 2,
  IRQS_OFF: 4,
  HARDIRQ: 8,
  PREEMPT_OFF: 16,
  /** tso: read this CPU's own buffered store and not memory */
  FORWARDED: 32,
  /** the operation faulted: nothing was read or written */
  FAULTED: 64,
  /** a LOAD of bytes that are read at once, whatever their number, as by a copy: under tso the store buffer had to be empty */
  DRAINED: 128,
} as const;

/** INIT and SIPI among the bits of an IPI (memory/layout): they start a CPU and are taken by no handler. */
export const STARTUP_SIGNALS = 0x600;
export const INIT_SIGNAL = 0x200;

export function opHead(type: number, kind: number, flags: number, actor: Actor): number {
  return type | (kind << 8) | (flags << 11) | (actor << 21);
}
export function opType(head: number): number {
  return head & 0xff;
}
export function opKind(head: number): number {
  return (head >>> 8) & 7;
}
export function opFlags(head: number): number {
  return (head >>> 11) & 0x3ff;
}
export function opActor(head: number): Actor {
  return head >>> 21;
}

/** A run's log: `records` records from the start of `words`. The executor reuses `words` for its next run. */
export interface OperationLog {
  readonly words: Int32Array;
  readonly records: number;
  /** A step that is not visible is on memory that no other actor touches in the whole run. */
  readonly isSettled?: boolean;
  /** Kept here by whoever computed it first: a number for the run's trace (explore/fingerprint). */
  fingerprint?: number | undefined;
  /** Told by the same: whether there are records that are no operations. */
  hasFacts?: boolean | undefined;
  /** Of a run that was made from what its flows were seen to do: where in that its records come from. */
  readonly known?: KnownPlaces | undefined;
}

/**
 * Places in what flows were seen to do. Records from one place are the same, but for VISIBLE, what they read, and who could
 * have gone instead.
 */
export interface KnownPlaces {
  /** By record of the last run, as far as there is room: its place, a number; 0 = only a fact. Places are four numbers apart. */
  readonly places: Int32Array;
  /** Above every place. */
  readonly end: number;
  /** Of the last run: visible steps, a flow's START not counted, and the actors that have made a step, `actorCount` of them. */
  readonly visible: number;
  readonly actors: Int32Array;
  readonly actorCount: number;
}

/** What an operation does to memory. */
export const Footprint = { NONE: 0, READS: 1, WRITES: 2, READS_AND_WRITES: 3 } as const;

/** Indexed by OpType. */
const FOOTPRINT: readonly number[] = [
  Footprint.NONE,
  Footprint.READS, // LOAD
  Footprint.WRITES, // STORE
  Footprint.READS_AND_WRITES, // RMW
  Footprint.NONE, // FENCE
  Footprint.READS_AND_WRITES, // ACQUIRE
  Footprint.READS, // AWAIT
  Footprint.NONE, // BUFFER
  Footprint.WRITES, // FLUSH
  Footprint.READS_AND_WRITES, // IPI
  Footprint.READS_AND_WRITES, // IRQ_ENTRY
  Footprint.NONE, // IRQ_EXIT
  Footprint.NONE, // IRQ_FLAG
  Footprint.NONE, // START
  Footprint.NONE, // END
  Footprint.NONE, // TIMEOUT
  Footprint.NONE, // LOOKED: the wait was not made
  Footprint.READS_AND_WRITES, // IRQ_DROP
  Footprint.READS_AND_WRITES, // OFFER
  Footprint.READS_AND_WRITES, // TAKE
  Footprint.NONE, // GIVEN
];

export function footprint(type: number): number {
  return FOOTPRINT[type] ?? Footprint.NONE;
}

/** Whether two operations on memory touch a common byte and one of them writes it. */
export function overlaps(
  typeA: number,
  addressA: number,
  sizeA: number,
  typeB: number,
  addressB: number,
  sizeB: number,
): boolean {
  const a = footprint(typeA);
  const b = footprint(typeB);
  if (a === 0 || b === 0 || ((a | b) & Footprint.WRITES) === 0) return false;
  return addressA < addressB + sizeB && addressB < addressA + sizeA;
}
