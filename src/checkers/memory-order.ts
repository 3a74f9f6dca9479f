/**
 * What has to come before what in memory, whatever the order was: drawn from the values that were read.
 *
 * An event's instant is when a load looks, when a store reaches memory, when a read-modify-write is made. Program order
 * orders instants as the memory model says. A load that can have read one store only comes after that store, and
 * before whatever overwrites it; what it can see having been overwritten came before. This is done until nothing follows any
 * more (Manovit and Hangal, "Completely verifying memory consistency of test program executions", HPCA 2006, after their
 * TSOtool of ISCA 2004). A circle shows that no order explains the run. Where there is none, one is searched for
 * (checkers/order-search.ts).
 */
import { Does, type Execution, INITIAL } from './execution.ts';

/** Why one event comes before another. */
export type Because = 'program order' | 'read by' | 'overwritten by' | 'read before' | 'before the end';

export interface Edge {
  readonly from: number;
  readonly to: number;
  readonly because: Because;
}

/** Nobody can have written what this event read. */
export interface Unwritten {
  readonly event: number;
  readonly part: number;
}

export interface Contradiction {
  /** Each comes before the next, and the last before the first. */
  readonly circle: readonly Edge[];
  readonly unwritten?: Unwritten;
}

const UNKNOWN = -2;

export class MemoryOrder {
  readonly execution: Execution;
  /** By event, where it stands in its thread's chain of loads, and of stores; -1: not in it. */
  readonly #loads: Int32Array;
  readonly #stores: Int32Array;
  /** By event, of every chain, how far it has come when the event is made: two chains for each thread. */
  readonly #clocks: Int32Array;
  readonly #chains: number;
  readonly #edges: Edge[] = [];
  readonly #known = new Set<number>();
  readonly #outgoing: number[][];
  /** By event and part, whom it read; UNKNOWN while several are possible. */
  readonly #readFrom: Int32Array[];
  /** Edges that were there when the clocks were last wound. */
  #wound = 0;

  /** @param isSc every operation is made in program order */
  constructor(execution: Execution, isSc: boolean) {
    this.execution = execution;
    const { events, threads } = execution;
    this.#chains = threads * 2;
    this.#loads = new Int32Array(events.length).fill(-1);
    this.#stores = new Int32Array(events.length).fill(-1);
    this.#clocks = new Int32Array(events.length * this.#chains);
    this.#outgoing = events.map(() => []);
    this.#readFrom = events.map(({ parts }) => new Int32Array(parts.length).fill(UNKNOWN));
    for (const order of execution.order) this.#programOrder(order, isSc);
    this.#endsLast();
  }

  get edges(): readonly Edge[] {
    return this.#edges;
  }

  /** Whom a part of an event read, INITIAL among them; undefined if several are possible. */
  readFrom(event: number, part: number): number | undefined {
    const from = this.#readFrom[event]![part]!;
    return from === UNKNOWN ? undefined : from;
  }

  /** Draws every conclusion. Answers what contradicts itself, if anything does. */
  conclude(): Contradiction | undefined {
    do {
      const circle = this.#wind();
      if (circle !== undefined) return { circle };
      const unwritten = this.#round();
      if (unwritten !== undefined) return { circle: [], unwritten };
    } while (this.#edges.length > this.#wound);
    return undefined;
  }

  #programOrder(order: readonly number[], isSc: boolean): void {
    let lastLoad = -1;
    let lastStore = -1;
    let loads = 0;
    let stores = 0;
    for (const event of order) {
      const { does } = this.execution.events[event]!;
      const isLoad = does !== Does.STORE || isSc;
      const isStore = does !== Does.LOAD;
      // A load is made before everything behind it; a store reaches memory before the stores behind it.
      this.#add(lastLoad, event, 'program order');
      if (isStore) this.#add(lastStore, event, 'program order');
      if (isLoad) this.#loads[(lastLoad = event)] = loads++;
      if (isStore) this.#stores[(lastStore = event)] = stores++;
    }
  }

  /** Those that look at memory in the end come after everything. */
  #endsLast(): void {
    const ends = this.execution.order.at(-1)!;
    const [first] = ends;
    if (first === undefined) return;
    for (const order of this.execution.order.slice(0, -1)) {
      const last = (of: Int32Array): number => order.findLast((event) => of[event]! >= 0) ?? -1;
      this.#add(last(this.#loads), first, 'before the end');
      this.#add(last(this.#stores), first, 'before the end');
    }
  }

  #add(from: number, to: number, because: Because): void {
    if (from < 0 || from === to) return;
    const key = from * this.execution.events.length + to;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.#outgoing[from]!.push(this.#edges.length);
    this.#edges.push({ from, to, because });
  }

  /** Brings the clocks up to what is known. Answers a circle if there is one. */
  #wind(): Edge[] | undefined {
    const { length } = this.execution.events;
    const chains = this.#chains;
    const clocks = this.#clocks.fill(-1);
    const open = new Int32Array(length);
    for (const { to } of this.#edges) open[to]!++;
    const ready: number[] = [];
    for (let event = 0; event < length; event++) if (open[event] === 0) ready.push(event);
    for (let at = 0; at < ready.length; at++) {
      const event = ready[at]!;
      const own = this.execution.events[event]!.thread * 2;
      const base = event * chains;
      if (this.#loads[event]! >= 0) clocks[base + own] = this.#loads[event]!;
      if (this.#stores[event]! >= 0) clocks[base + own + 1] = this.#stores[event]!;
      for (const edge of this.#outgoing[event]!) {
        const { to } = this.#edges[edge]!;
        for (let chain = 0; chain < chains; chain++)
          clocks[to * chains + chain] = Math.max(clocks[to * chains + chain]!, clocks[base + chain]!);
        if (--open[to]! === 0) ready.push(to);
      }
    }
    const before = this.#wound;
    this.#wound = this.#edges.length;
    return ready.length === length ? undefined : this.#circle(before);
  }

  /** The shortest circle through an edge that is new: there was none before. */
  #circle(firstNew: number): Edge[] {
    let shortest: Edge[] | undefined;
    for (const edge of this.#edges.slice(firstNew)) {
      const back = this.#path(edge.to, edge.from, shortest?.length ?? Infinity);
      if (back !== undefined) shortest = [edge, ...back];
    }
    return shortest ?? [];
  }

  #path(from: number, to: number, lengthMax: number): Edge[] | undefined {
    const cameBy = new Map<number, Edge | undefined>([[from, undefined]]);
    let front = [from];
    for (let length = 1; front.length > 0 && length < lengthMax; length++) {
      const next: number[] = [];
      for (const event of front) {
        for (const number of this.#outgoing[event]!) {
          const edge = this.#edges[number]!;
          if (cameBy.has(edge.to)) continue;
          cameBy.set(edge.to, edge);
          if (edge.to === to) return pathTo(cameBy, to);
          next.push(edge.to);
        }
      }
      front = next;
    }
    return undefined;
  }

  /** Whether `event` is known to be before or at `other`. */
  #isBefore(event: number, other: number): boolean {
    const base = other * this.#chains + this.execution.events[event]!.thread * 2;
    const load = this.#loads[event]!;
    return load >= 0 ? this.#clocks[base]! >= load : this.#clocks[base + 1]! >= this.#stores[event]!;
  }

  #round(): Unwritten | undefined {
    const { events } = this.execution;
    for (let event = 0; event < events.length; event++) {
      const { parts } = events[event]!;
      for (let part = 0; part < parts.length; part++) {
        if (Number.isNaN(parts[part]!.read)) continue;
        if (this.#readFrom[event]![part] === UNKNOWN && !this.#find(event, part)) return { event, part };
        if (this.#readFrom[event]![part] !== UNKNOWN) this.#follow(event, part);
      }
    }
    return undefined;
  }

  /** Looks for whoever can have written what was read. False if there is nobody. */
  #find(event: number, part: number): boolean {
    const { cells, events } = this.execution;
    const { parts, own } = events[event]!;
    const { cell, read } = parts[part]!;
    let found = UNKNOWN;
    let count = 0;
    const consider = (writer: number): void => {
      if (!this.#canRead(event, writer, cell, own[part]!)) return;
      found = writer;
      count++;
    };
    if (cells[cell]!.initial === read) consider(INITIAL);
    for (const writers of cells[cell]!.writers)
      for (const writer of writers) if (this.#wrote(writer, cell) === read) consider(writer);
    if (count === 1) this.#settle(event, part, found);
    return count > 0;
  }

  #wrote(writer: number, cell: number): number {
    return this.execution.events[writer]!.parts.find((part) => part.cell === cell)!.written;
  }

  #settle(event: number, part: number, writer: number): void {
    const { events } = this.execution;
    this.#readFrom[event]![part] = writer;
    if (writer === INITIAL) return;
    if (events[writer]!.thread !== events[event]!.thread) this.#add(writer, event, 'read by');
  }

  /** @param own the event's thread's own last store there */
  #canRead(event: number, writer: number, cell: number, own: number): boolean {
    const { events } = this.execution;
    const { thread } = events[event]!;
    if (writer === event) return false;
    if (own !== INITIAL && writer !== own) {
      // It was seen by its own thread: whatever else is read came after it.
      if (writer === INITIAL || events[writer]!.thread === thread || this.#isBefore(writer, own))
        return false;
    }
    if (writer !== INITIAL && events[writer]!.thread === thread && writer !== own) return false;
    if (writer !== INITIAL && writer !== own && this.#isBefore(event, writer)) return false;
    return !this.#isHidden(event, writer, cell);
  }

  /** Whether something is known to have overwritten it before. */
  #isHidden(event: number, writer: number, cell: number): boolean {
    return this.execution.cells[cell]!.writers.some((writers) => {
      const last = this.#lastBefore(writers, event, writer);
      return last >= 0 && (writer === INITIAL || this.#isBefore(writer, last));
    });
  }

  /** The last of a thread's writers that is known to be before the event, but for one that does not count; -1. */
  #lastBefore(writers: readonly number[], event: number, except: number): number {
    let low = 0;
    let high = writers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (writers[middle] !== event && this.#isBefore(writers[middle]!, event)) low = middle + 1;
      else high = middle;
    }
    if (low > 0 && writers[low - 1] === except) low--;
    return low > 0 ? writers[low - 1]! : -1;
  }

  /** The first of a thread's writers that is known to come after `writer`; -1. */
  #firstAfter(writers: readonly number[], writer: number): number {
    let low = 0;
    let high = writers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (writer === INITIAL || (writers[middle] !== writer && this.#isBefore(writer, writers[middle]!)))
        high = middle;
      else low = middle + 1;
    }
    return writers[low] ?? -1;
  }

  /** What follows from an event having read a certain writer. */
  #follow(event: number, part: number): void {
    const { cells, events } = this.execution;
    const { cell } = events[event]!.parts[part]!;
    const own = events[event]!.own[part]!;
    const writer = this.#readFrom[event]![part]!;
    // The thread's own store was there for it to see, and so was whatever is known to come before: it has been overwritten.
    if (own !== INITIAL && own !== writer) this.#add(own, writer, 'overwritten by');
    for (const writers of cells[cell]!.writers) {
      const seen = this.#lastBefore(writers, event, writer);
      if (seen >= 0 && writer !== INITIAL) this.#add(seen, writer, 'overwritten by');
      let over = this.#firstAfter(writers, writer);
      if (over === event) over = writers[writers.indexOf(event) + 1] ?? -1;
      if (over >= 0) this.#add(event, over, 'read before');
    }
  }
}

function pathTo(cameBy: ReadonlyMap<number, Edge | undefined>, to: number): Edge[] {
  const edges: Edge[] = [];
  for (let edge = cameBy.get(to); edge !== undefined; edge = cameBy.get(edge.from)) edges.unshift(edge);
  return edges;
}
