/**
 * What happened in a run that nobody scheduled: of each thread, its operations in program order with the values they read
 * and wrote. Here it is brought into the form that the question "is there an order that explains it" is asked in.
 *
 * Memory is taken apart into cells: words, or bytes where an access is smaller. So accesses of different sizes may overlap.
 */

export const Does = {
  LOAD: 1,
  /** under tso it is in its thread's buffer first */
  STORE: 2,
  /** reads and writes in one instant, with an empty buffer */
  RMW: 3,
  /** touches nothing, with an empty buffer: a fence, an interrupt */
  DRAIN: 4,
} as const;
export type Does = (typeof Does)[keyof typeof Does];

export interface RecordedOperation {
  readonly does: Does;
  readonly address: number;
  /** 1, 2, 4 or 8 bytes; 0 for a drain. */
  readonly size: number;
  /** Low and high word of what was read and of what was written, unsigned. */
  readonly read: number;
  readonly readHigh: number;
  readonly written: number;
  readonly writtenHigh: number;
  /** Address of the kernel function it was made in. */
  readonly site: number;
}

export interface RecordedRun {
  readonly threads: readonly (readonly RecordedOperation[])[];
  /** A word of memory before the first operation, and after the last. */
  readonly initial: (address: number) => number;
  readonly final: (address: number) => number;
}

/** Whoever wrote what was there before the run. */
export const INITIAL = -1;

/** One cell of one operation. */
export interface Part {
  readonly cell: number;
  /** NaN: it does not read, does not write. */
  readonly read: number;
  readonly written: number;
}

export interface Event {
  readonly does: Does;
  readonly thread: number;
  /** Among the operations of its thread; -1: made up, it looks at memory when the run is over. */
  readonly index: number;
  readonly parts: readonly Part[];
  /** By part, the last event of its own thread before it that wrote the cell; INITIAL if there is none. */
  readonly own: readonly number[];
}

export interface Execution {
  readonly threads: number;
  readonly events: readonly Event[];
  /** By thread, its events in program order. */
  readonly order: readonly (readonly number[])[];
  readonly cells: readonly Cell[];
}

export interface Cell {
  readonly address: number;
  readonly initial: number;
  /** By thread, the events that write it, in program order. */
  readonly writers: readonly (readonly number[])[];
}

/** @param isOurs whether a word is memory that all operations on are known of: others are left out */
export function executionOf(run: RecordedRun, isOurs: (address: number) => boolean): Execution {
  const builder = new Builder(run, isOurs);
  run.threads.forEach((operations, thread) => {
    for (const [index, operation] of operations.entries()) builder.add(operation, thread, index);
  });
  return builder.finish();
}

class Builder {
  readonly #run: RecordedRun;
  readonly #isOurs: (address: number) => boolean;
  /** Words that some access takes a part of only. */
  readonly #split = new Set<number>();
  readonly #numbers = new Map<number, number>();
  readonly #cells: { address: number; initial: number; writers: number[][] }[] = [];
  readonly #events: Event[] = [];
  readonly #order: number[][];

  constructor(run: RecordedRun, isOurs: (address: number) => boolean) {
    this.#run = run;
    this.#isOurs = isOurs;
    this.#order = Array.from({ length: run.threads.length + 1 }, () => []);
    for (const { address, size } of run.threads.flat()) if (size < 4) this.#split.add(address & ~3);
  }

  add(operation: RecordedOperation, thread: number, index: number): void {
    const parts = this.#parts(operation);
    let { does } = operation;
    if (parts.length === 0) {
      if (does !== Does.RMW && does !== Does.DRAIN) return;
      does = Does.DRAIN;
      // Two in a row are one.
      const last = this.#order[thread]!.at(-1);
      if (last !== undefined && this.#events[last]!.does === Does.DRAIN) return;
    }
    this.#push(does, thread, index, parts);
  }

  finish(): Execution {
    const end = this.#order.length - 1;
    const parts = this.#cells.map(({ address }, cell): Part => {
      return { cell, read: this.#valueOf(this.#run.final(address & ~3), address), written: NaN };
    });
    for (const part of parts) this.#push(Does.LOAD, end, -1, [part]);
    return { threads: end + 1, events: this.#events, order: this.#order, cells: this.#cells };
  }

  #push(does: Does, thread: number, index: number, parts: readonly Part[]): void {
    const event = this.#events.length;
    const own = parts.map(({ cell }) => this.#cells[cell]!.writers[thread]!.at(-1) ?? INITIAL);
    this.#events.push({ does, thread, index, parts, own });
    this.#order[thread]!.push(event);
    for (const { cell, written } of parts)
      if (!Number.isNaN(written)) this.#cells[cell]!.writers[thread]!.push(event);
  }

  #parts(operation: RecordedOperation): Part[] {
    const { does, address, size, read, readHigh, written, writtenHigh } = operation;
    if (does === Does.DRAIN) return [];
    const parts: Part[] = [];
    for (let at = address; at < address + size; at = this.#next(at)) {
      if (!this.#isOurs(at & ~3)) continue;
      const isHigh = at - address >= 4;
      // A small value stands in the low bits; where it belongs in its word depends on its address.
      const shift = (address & 3) * 8;
      const piece = (low: number, high: number): number =>
        this.#valueOf(isHigh ? high : (low << shift) >>> 0, at);
      parts.push({
        cell: this.#cell(at),
        read: does === Does.STORE ? NaN : piece(read, readHigh),
        written: does === Does.LOAD ? NaN : piece(written, writtenHigh),
      });
    }
    return parts;
  }

  #next(address: number): number {
    return this.#split.has(address & ~3) ? address + 1 : (address & ~3) + 4;
  }

  /** What a cell holds when its word holds `word`. */
  #valueOf(word: number, address: number): number {
    return this.#split.has(address & ~3) ? (word >>> ((address & 3) * 8)) & 0xff : word >>> 0;
  }

  #cell(address: number): number {
    let cell = this.#numbers.get(address);
    if (cell === undefined) {
      cell = this.#cells.length;
      this.#numbers.set(address, cell);
      const initial = this.#valueOf(this.#run.initial(address & ~3), address);
      this.#cells.push({ address, initial, writers: this.#order.map(() => []) });
    }
    return cell;
  }
}
