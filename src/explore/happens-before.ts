/**
 * Happens-before of a run: the order that every run with the same dependent pairs in the same order shares
 * (Mazurkiewicz, "Trace theory", 1987). One vector clock for each event, in one array.
 *
 * An edge into an event is of one of two kinds. **Needed**: the event cannot be had without it (the actor's own event
 * before; a FLUSH's BUFFER; for what waits for an empty store buffer, the FLUSH of its own flow's last store; for the
 * START of a CPU, the interrupt that started it). **Dependent** (EventTable.depends): the two could perhaps change places.
 */
import { Flow, bufferActor, cpuOf, flowOf } from '#base/strategy';
import type { OperationLog } from '#trace/operations';
import { INIT_SIGNAL, OpType, OpWord, STARTUP_SIGNALS, opType } from '#trace/operations';
import { DPOR_ACTORS, EventFlag, EventTable } from './dpor-events.ts';

/** Stores a CPU's buffer holds: memory/search has it, and this room may not look there. A divergence would tell. */
const BUFFER_ENTRIES = 32;

export class HappensBefore {
  readonly events: EventTable = new EventTable();
  /** A row of DPOR_ACTORS for each event: by actor, one more than its last event that is known to come before. */
  clocks = new Int32Array(256 * DPOR_ACTORS);
  /** Events whose row stands. */
  private known = 0;
  private width = 0;

  /** As EventTable.read, and orders what is new. */
  read(log: OperationLog, keep: number): boolean {
    const isKept = this.events.read(log, keep);
    this.known = isKept ? Math.min(this.known, keep) : 0;
    if (this.width !== this.events.width) this.known = 0;
    this.width = this.events.width;
    while (this.clocks.length < this.events.count * DPOR_ACTORS) {
      const larger = new Int32Array(this.clocks.length * 2);
      larger.set(this.clocks);
      this.clocks = larger;
    }
    for (; this.known < this.events.count; this.known++) this.order(this.known);
    return isKept;
  }

  private order(event: number): void {
    const { clocks, events } = this;
    const { actor } = events;
    const row = event * DPOR_ACTORS;
    const own = actor[event]!;
    this.needed(event, clocks, row);
    for (let other = event - 1; other >= 0; other--) {
      const who = actor[other]!;
      if (who === own || other < clocks[row + who]! || !events.depends(other, event)) continue;
      this.join(clocks, row, other);
    }
    clocks[row + own] = event + 1;
  }

  /** What comes before an event whatever the schedule: into `to`, from `at`. */
  needed(event: number, to: Int32Array, at: number): void {
    const { events, clocks, width } = this;
    const before = events.before[event]!;
    if (before < 0) to.fill(0, at, at + width);
    else {
      const from = before * DPOR_ACTORS;
      for (let actor = 0; actor < width; actor++) to[at + actor] = clocks[from + actor]!;
    }
    const flags = events.flags[event]!;
    if ((flags & (EventFlag.BUFFER | EventFlag.FLUSH | EventFlag.DRAINS | EventFlag.START)) === 0) return;
    const cause = this.causeOf(event, flags);
    if (cause >= 0) this.join(to, at, cause);
  }

  private causeOf(event: number, flags: number): number {
    const { events } = this;
    if ((flags & EventFlag.FLUSH) !== 0) return events.partner[event]!;
    if ((flags & EventFlag.START) !== 0) return this.starterOf(event);
    const own = events.actor[event]!;
    const full = events.ordinal[event]! - BUFFER_ENTRIES;
    if ((flags & EventFlag.BUFFER) !== 0 && full <= 0) return -1;
    const buffer = bufferActor(cpuOf(own));
    for (let flush = event - 1; flush >= 0; flush--) {
      if (events.actor[flush] !== buffer) continue;
      if ((flags & EventFlag.BUFFER) !== 0 ? events.ordinal[flush] === full : this.storedBy(flush) === own)
        return flush;
    }
    return -1;
  }

  /** Whose store a FLUSH brings to memory. */
  private storedBy(flush: number): number {
    const store = this.events.partner[flush]!;
    return store < 0 ? -1 : this.events.actor[store]!;
  }

  /** The SIPI that started a CPU: the first behind an INIT. What comes after it finds the CPU started, and changes nothing. */
  private starterOf(event: number): number {
    const { events } = this;
    const actor = events.actor[event]!;
    let last = event - 1;
    while (last >= 0 && !(events.actor[last] === actor && (events.flags[last]! & EventFlag.START) !== 0))
      last--;
    let hasInit = false;
    let sipi = -1;
    for (let other = last + 1; other < event; other++) {
      const signals = this.raised(other, cpuOf(actor)) & STARTUP_SIGNALS;
      if (signals === 0) continue;
      if ((signals & INIT_SIGNAL) !== 0) hasInit = true;
      if (signals !== INIT_SIGNAL) sipi = other;
      if (hasInit && sipi === other) return other;
    }
    return sipi;
  }

  /** Whether a CPU that began with this START may have been sent a second INIT sooner or later than it was: then the two do not commute. */
  isStartedTwice(event: number): boolean {
    const { events } = this;
    const cpu = cpuOf(events.actor[event]!);
    const cause = this.starterOf(event);
    if (cause < 0) return false;
    for (let other = cause + 1; other < events.count; other++)
      if ((this.raised(other, cpu) & INIT_SIGNAL) !== 0 && !this.isBefore(event, other)) return true;
    return false;
  }

  /** Bits that the event raises at the CPU; 0: none, or it is no IPI. */
  private raised(event: number, cpu: number): number {
    const { events } = this;
    if (opType(events.word(event, OpWord.HEAD)) !== OpType.IPI || events.word(event, OpWord.READ) !== cpu)
      return 0;
    return events.word(event, OpWord.WRITTEN);
  }

  /** Whether the event raises an interrupt of the CPU. What starts a CPU is none. */
  isInterruptTo(event: number, cpu: number): boolean {
    return (this.raised(event, cpu) & ~STARTUP_SIGNALS) !== 0;
  }

  /** The clock at `at` knows what `event` knows, and it. */
  join(to: Int32Array, at: number, event: number): void {
    const { clocks, width } = this;
    const from = event * DPOR_ACTORS;
    for (let actor = 0; actor < width; actor++)
      if (clocks[from + actor]! > to[at + actor]!) to[at + actor] = clocks[from + actor]!;
  }

  /** Whether `first` comes before `second` in every equivalent run. An event comes before itself. */
  isBefore(first: number, second: number): boolean {
    return first < this.clocks[second * DPOR_ACTORS + this.events.actor[first]!]!;
  }
}

function mix(hash: number, word: number): number {
  let h = Math.imul(hash ^ word, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35);
  return h ^ (h >>> 13);
}

const SEEDS = [0x51ed270b, 0x2f0b4c47] as const;

/** Two 32-bit halves of a digest. */
export type Fingerprint = readonly [number, number];

/** Digests of whole runs, from one table that is used again and again. */
export class Fingerprints {
  private readonly order = new HappensBefore();
  /** By event: both halves of its hash. */
  private hashes = new Int32Array(512);
  /** By actor: events counted so far. */
  private readonly counted = new Int32Array(DPOR_ACTORS);

  /** The same for two runs if and (but for collisions) only if they are one Mazurkiewicz trace. */
  of(log: OperationLog): Fingerprint {
    const { order } = this;
    order.read(log, 0);
    if (this.hashes.length < order.events.count * 2) this.hashes = new Int32Array(order.events.count * 4);
    this.counted.fill(0);
    return [this.half(0), this.half(1)];
  }

  private half(half: 0 | 1): number {
    const { events } = this.order;
    this.counted.fill(0);
    let sum = 0;
    for (let event = 0; event < events.count; event++) {
      if (!this.isCounted(event)) continue;
      const hash = this.hash(event, half);
      this.hashes[event * 2 + half] = hash;
      sum = (sum + mix(hash, 3)) | 0;
    }
    return sum;
  }

  /** Steps that nobody sees, or that touch nothing, may be made at one time or another: they are no part of what happened. */
  private isCounted(event: number): boolean {
    const flags = this.order.events.flags[event]!;
    return (flags & (EventFlag.VISIBLE | EventFlag.BUFFER)) !== 0 && (flags & EventFlag.START) === 0;
  }

  private hash(event: number, half: 0 | 1): number {
    const { events } = this.order;
    const actor = events.actor[event]!;
    let hash = mix(mix(SEEDS[half], actor), this.counted[actor]!++);
    hash = mix(mix(hash, opType(events.word(event, OpWord.HEAD))), events.word(event, OpWord.ADDRESS));
    // Who came right before, without an order among them: what came before those is in their hashes.
    let before = 0;
    for (let other = event - 1; other >= 0; other--) {
      if (!this.isCounted(other) || events.actor[other] === actor || !events.depends(other, event)) continue;
      before = (before + mix(this.hashes[other * 2 + half]!, 5)) | 0;
    }
    return mix(hash, before);
  }
}

const shared = new Fingerprints();

/** The digest of one run: see Fingerprints. */
export function fingerprint(log: OperationLog): Fingerprint {
  return shared.of(log);
}

/** Whether both events belong to the program or interrupts of one CPU. */
export function isSameStack(events: EventTable, one: number, other: number): boolean {
  const [a, b] = [events.actor[one]!, events.actor[other]!];
  return cpuOf(a) === cpuOf(b) && flowOf(a) !== Flow.BUFFER && flowOf(b) !== Flow.BUFFER;
}
