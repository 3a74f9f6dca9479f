/**
 * Looks for an order of a run's operations in which each read what it read: an interleaving of threads with store buffers
 * (x86-TSO) or without (sc). It goes the way that what is known of memory's order (memory-order.ts) leaves open.
 *
 * Two things make it short. A load whose value is there is made at once, and a store enters its buffer at once: nobody can
 * notice, so no other moment is better (Gibbons and Korach, "Testing shared memories", 1997, for sc). And nothing is
 * overwritten that somebody is known to read later. What is left to choose is which store reaches memory next. States that
 * led nowhere are not entered twice.
 */
import { Does, type Execution, INITIAL, type Part } from './execution.ts';
import type { MemoryOrder } from './memory-order.ts';

export interface SearchAnswer {
  /** undefined: there is none, or `isCut`. */
  readonly order: readonly number[] | undefined;
  readonly isCut: boolean;
  readonly states: number;
  /** Where the attempt that came farthest stood: by thread, the event it could not make. */
  readonly stuck: readonly number[];
}

/** @param statesMax states that are entered before it gives up */
export function searchOrder(order: MemoryOrder, isSc: boolean, statesMax: number): SearchAnswer {
  return new OrderSearch(order, isSc).search(statesMax);
}

interface Choice {
  /** Events made so far when it was to be made. */
  readonly made: number;
  readonly candidates: readonly number[];
  tried: number;
}

class OrderSearch {
  readonly #execution: Execution;
  readonly #known: MemoryOrder;
  readonly #isSc: boolean;
  /** By event, how many have to be made before it. */
  readonly #waitsFor: Int32Array;
  readonly #followers: number[][];
  /** By thread, the next event that has not been made or has not entered the buffer, and the next in the buffer. */
  readonly #next: Int32Array;
  readonly #flushed: Int32Array;
  /** By thread, its stores, in program order. */
  readonly #stores: readonly (readonly number[])[];
  readonly #entered: Int32Array;
  /** By cell, who wrote it last. */
  readonly #writer: Int32Array;
  /** By event + 1, and cell: who is known to read it and has not yet. */
  readonly #readers = new Map<number, number>();
  /** What has been done, to be undone: event, and the writers its parts replaced. */
  readonly #made: {
    readonly event: number;
    readonly replaced: readonly number[];
    readonly isEntry: boolean;
  }[] = [];
  readonly #order: number[] = [];
  #farthest = -1;
  #stuck: number[] = [];

  constructor(known: MemoryOrder, isSc: boolean) {
    const { execution } = known;
    const { events, order, cells } = execution;
    this.#execution = execution;
    this.#known = known;
    this.#isSc = isSc;
    this.#waitsFor = new Int32Array(events.length);
    this.#followers = events.map(() => []);
    for (const { from, to } of known.edges) {
      this.#waitsFor[to]!++;
      this.#followers[from]!.push(to);
    }
    this.#next = new Int32Array(order.length);
    this.#flushed = new Int32Array(order.length);
    this.#entered = new Int32Array(order.length);
    this.#stores = order.map((all) => all.filter((event) => events[event]!.does === Does.STORE));
    this.#writer = new Int32Array(cells.length).fill(INITIAL);
    for (const [event, { parts }] of events.entries())
      for (const [part, { cell, read }] of parts.entries())
        if (!Number.isNaN(read)) this.#expectReader(event, part, cell, 1);
  }

  #expectReader(event: number, part: number, cell: number, by: number): void {
    const from = this.#known.readFrom(event, part);
    if (from === undefined) return;
    const key = this.#readerKey(from, cell);
    this.#readers.set(key, (this.#readers.get(key) ?? 0) + by);
  }

  #readerKey(writer: number, cell: number): number {
    return (writer + 1) * this.#execution.cells.length + cell;
  }

  search(statesMax: number): SearchAnswer {
    const { events } = this.#execution;
    const failed = new Set<string>();
    const choices: Choice[] = [];
    for (let states = 1; ; states++) {
      this.#makeAll();
      if (this.#order.length === events.length)
        return { order: [...this.#order], isCut: false, states, stuck: [] };
      if (states > statesMax) return { order: undefined, isCut: true, states, stuck: this.#stuck };
      const candidates = failed.size > 0 && failed.has(this.#key()) ? [] : this.#candidates();
      if (candidates.length === 0) this.#note();
      choices.push({ made: this.#made.length, candidates, tried: 0 });
      // Back to the last choice that has something left.
      for (;;) {
        const choice = choices.at(-1);
        if (choice === undefined) return { order: undefined, isCut: false, states, stuck: this.#stuck };
        this.#undoTo(choice.made);
        const event = choice.candidates[choice.tried++];
        if (event !== undefined) {
          this.#make(event);
          break;
        }
        failed.add(this.#key());
        choices.pop();
      }
    }
  }

  #note(): void {
    if (this.#order.length <= this.#farthest) return;
    this.#farthest = this.#order.length;
    this.#stuck = this.#execution.order.flatMap((all, thread) => {
      const event = all[this.#next[thread]!] ?? this.#stores[thread]![this.#flushed[thread]!];
      return event === undefined ? [] : [event];
    });
  }

  /** Everything that no choice depends on. */
  #makeAll(): void {
    const { order, events } = this.#execution;
    for (let isMoving = true; isMoving;) {
      isMoving = false;
      for (let thread = 0; thread < order.length; thread++) {
        for (;;) {
          const event = order[thread]![this.#next[thread]!];
          if (event === undefined) break;
          const { does } = events[event]!;
          if (does === Does.STORE && !this.#isSc) this.#enter(event);
          else if (does === Does.LOAD && this.#canLoad(event)) this.#make(event);
          else if (does === Does.DRAIN && this.#isDrained(thread) && this.#waitsFor[event] === 0)
            this.#make(event);
          else break;
          isMoving = true;
        }
      }
    }
  }

  #isDrained(thread: number): boolean {
    return this.#entered[thread] === this.#flushed[thread];
  }

  #canLoad(event: number): boolean {
    return (
      this.#waitsFor[event] === 0 &&
      this.#execution.events[event]!.parts.every((part, at) => this.#sees(event, part, at))
    );
  }

  /** Whether a load would read what it did. */
  #sees(event: number, { cell, read }: Part, at: number): boolean {
    const { events, cells } = this.#execution;
    const { thread, own } = events[event]!;
    const mine = own[at]!;
    const isBuffered =
      mine !== INITIAL && events[mine]!.does === Does.STORE && this.#isInBuffer(thread, mine);
    // A store that covers a part of what is loaded has to reach memory first.
    if (isBuffered && !this.#covers(mine, event)) return false;
    const from = isBuffered ? mine : this.#writer[cell]!;
    const known = this.#known.readFrom(event, at);
    if (known !== undefined) return from === known;
    const value = from === INITIAL ? cells[cell]!.initial : this.#written(from, cell);
    return value === read;
  }

  #isInBuffer(thread: number, store: number): boolean {
    if (this.#isSc) return false;
    const stores = this.#stores[thread]!;
    for (let at = this.#flushed[thread]!; at < this.#entered[thread]!; at++)
      if (stores[at] === store) return true;
    return false;
  }

  #covers(store: number, load: number): boolean {
    const { events } = this.#execution;
    return events[load]!.parts.every(({ cell }) => events[store]!.parts.some((part) => part.cell === cell));
  }

  #written(writer: number, cell: number): number {
    return this.#execution.events[writer]!.parts.find((part) => part.cell === cell)!.written;
  }

  /** What may reach memory next. First what somebody waits for. */
  #candidates(): number[] {
    const { order, events } = this.#execution;
    const found: number[] = [];
    for (let thread = 0; thread < order.length; thread++) {
      const waiting = order[thread]![this.#next[thread]!];
      const isRmw = waiting !== undefined && events[waiting]!.does === Does.RMW;
      const store = this.#isSc ? waiting : this.#stores[thread]![this.#flushed[thread]!];
      const isStore = this.#isSc
        ? store !== undefined && events[store]!.does === Does.STORE
        : this.#flushed[thread]! < this.#entered[thread]!;
      const event = isStore ? store : isRmw && this.#isDrained(thread) ? waiting : undefined;
      if (event !== undefined && this.#mayWrite(event)) found.push(event);
    }
    const isAsked = (event: number): boolean => this.#isAskedFor(event);
    return [...found.filter(isAsked), ...found.filter((event) => !isAsked(event))];
  }

  #mayWrite(event: number): boolean {
    const { parts, does } = this.#execution.events[event]!;
    if (this.#waitsFor[event] !== 0) return false;
    return parts.every((part, at) => {
      const isRead = does === Does.RMW;
      if (isRead && !this.#sees(event, part, at)) return false;
      const key = this.#readerKey(this.#writer[part.cell]!, part.cell);
      const isOwn = isRead && this.#known.readFrom(event, at) !== undefined;
      return (this.#readers.get(key) ?? 0) === (isOwn ? 1 : 0);
    });
  }

  /** Whether a thread stands in front of an event that is known to read this one. */
  #isAskedFor(writer: number): boolean {
    const { order, events } = this.#execution;
    return order.some((all, thread) => {
      const event = all[this.#next[thread]!];
      return (
        event !== undefined &&
        events[event]!.parts.some((_, part) => this.#known.readFrom(event, part) === writer)
      );
    });
  }

  #enter(event: number): void {
    const { thread } = this.#execution.events[event]!;
    this.#next[thread]!++;
    this.#entered[thread]!++;
    this.#made.push({ event, replaced: [], isEntry: true });
  }

  #make(event: number): void {
    const { thread, does, parts } = this.#execution.events[event]!;
    const replaced = parts.map(({ cell }) => this.#writer[cell]!);
    if (does === Does.STORE && !this.#isSc) this.#flushed[thread]!++;
    else this.#next[thread]!++;
    for (const [at, { cell, read, written }] of parts.entries()) {
      if (!Number.isNaN(read)) this.#expectReader(event, at, cell, -1);
      if (!Number.isNaN(written)) this.#writer[cell] = event;
    }
    for (const follower of this.#followers[event]!) this.#waitsFor[follower]!--;
    this.#made.push({ event, replaced, isEntry: false });
    this.#order.push(event);
  }

  #undoTo(made: number): void {
    while (this.#made.length > made) {
      const { event, replaced, isEntry } = this.#made.pop()!;
      const { thread, does, parts } = this.#execution.events[event]!;
      if (isEntry) {
        this.#next[thread]!--;
        this.#entered[thread]!--;
        continue;
      }
      if (does === Does.STORE && !this.#isSc) this.#flushed[thread]!--;
      else this.#next[thread]!--;
      for (const [at, { cell, read }] of parts.entries()) {
        if (!Number.isNaN(read)) this.#expectReader(event, at, cell, 1);
        this.#writer[cell] = replaced[at]!;
      }
      for (const follower of this.#followers[event]!) this.#waitsFor[follower]!++;
      this.#order.pop();
    }
  }

  /** Where everybody stands, and whose values are in memory. */
  #key(): string {
    return `${this.#next.join()};${this.#flushed.join()};${this.#writer.join()}`;
  }
}
