/**
 * What happens before what in a run, by the Linux kernel memory model: the half of the race check that knows clocks.
 *
 * What orders, besides the order within a flow:
 *  - a RELEASE store and what reads it with ACQUIRE; a read-modify-write is both, and a full barrier (x86), so a chain of
 *    them is a release sequence;
 *  - barrier, marked store -> marked load of it, barrier; a RELEASE passes on what marked loads before it saw;
 *  - AWAIT of a marked kind counts as acquire: everything behind a kernel's wait loop depends on its outcome, and the loop
 *    is followed by a barrier (spin_lock, csd_lock_wait, wait_event each have one);
 *  - an IPI and the entry of the interrupt it raises, INIT or SIPI and the START of the CPU they start;
 *  - a task that leaves one CPU and goes on on another.
 * START is ordered behind all the host did, because the host is not in the log. Dependencies are not seen: where the
 * kernel's order rests on an address or control dependency alone (RCU readers), use an acquire.
 * Source: tools/memory-model of Linux (explanation.txt).
 *
 * **One CPU.** Its store buffer is part of the flow that stores. Its main flow and its interrupt flow are two threads of
 * execution (a nested interrupt is a third), as with CONFIG_KCSAN_INTERRUPT_WATCHER: an interrupt that lands inside
 * `counter++` loses an update as surely as a second CPU does. The interrupt flag is their lock: `cli` takes it, `sti` gives
 * it back, so does entry and exit of an interrupt. And since a CPU sees its own stores in order, a marked store read by
 * another flow of the same CPU orders, whatever its kind.
 *
 * Under tso the program's store is BUFFER: its clocks count. Others may see of it what it publishes from its FLUSH on.
 */
import { ACTORS_PER_CPU, type Actor, cpuOf } from '#base/strategy';
import { NR_CPUS } from '#base/limits';
import { AccessKind, EventType } from '#trace/events';
import { OP_WORDS, OpFlag, OpType, OpWord, STARTUP_SIGNALS, opKind } from '#trace/operations';
import type { Shadow } from './shadow.ts';
import { StoreQueues } from './store-queues.ts';
import { VectorClocks } from './vector-clocks.ts';

/** Rows of a thread: what it knows, what its marked loads saw and no barrier confirmed, what it knew at its last barrier. */
const KNOWN = 0;
const SEEN = 1;
const FENCED = 2;
const THREAD_ROWS = 3;

/** Rows of a published store: for acquiring readers, and for other flows of its own CPU. */
const FOR_ALL = 0;
const FOR_OWN_CPU = 1;
const NOBODYS_CPU = -1;

const ACTORS_MAX = NR_CPUS * ACTORS_PER_CPU;
const NOT_SEEN = -1;

/** The one event that orders: a task leaves a CPU or arrives at one. */
export const TASK_EVENT: number = OpType.EVENT + EventType.TASK;

/** A thread is a flow of the run, numbered from 0 as they come up. */
export class Ordering {
  readonly #clocks = new VectorClocks();
  readonly #shadow: Shadow;
  #words: Int32Array = new Int32Array(0);
  /** By actor: its thread, or NOT_SEEN. */
  readonly #threadOf = new Int16Array(ACTORS_MAX).fill(NOT_SEEN);
  /** By thread: its actor, the first of its rows, and not 0 while it holds its CPU's interrupt flag as a lock. */
  readonly #actorOf = new Int16Array(ACTORS_MAX);
  readonly #rows = new Int32Array(ACTORS_MAX);
  readonly #irqsOff = new Uint8Array(ACTORS_MAX);
  /** By CPU: row of its interrupt flag as a lock, and row of those who sent it INIT or SIPI; 0 none. */
  readonly #flagRow = new Int32Array(NR_CPUS);
  readonly #startRow = new Int32Array(NR_CPUS);
  #startsSent = false;
  readonly #stores = new StoreQueues();

  /** @param shadow keeps the rows that words have published; reset by its owner */
  constructor(shadow: Shadow) {
    this.#shadow = shadow;
  }

  /** @param wider the run before had more threads than rows had room for */
  begin(words: Int32Array, wider: boolean): void {
    this.#words = words;
    for (let thread = 0; thread < this.#clocks.threads; thread++) {
      const actor = this.#actorOf[thread]!;
      this.#threadOf[actor] = NOT_SEEN;
      this.#flagRow[cpuOf(actor)] = 0;
    }
    // A CPU that was sent SIPI and never started has a row and no thread.
    if (this.#startsSent) this.#startRow.fill(0);
    this.#startsSent = false;
    this.#stores.reset();
    if (wider) this.#clocks.widen();
    else this.#clocks.reset();
  }

  /** The thread of an actor, made if it is new; -1 if there are more threads than rows have room for. */
  threadFor(actor: Actor): number {
    const known = this.#threadOf[actor]!;
    const clocks = this.#clocks;
    if (known !== NOT_SEEN || clocks.threads === clocks.stride) return known;
    const thread = clocks.threads++;
    this.#threadOf[actor] = thread;
    this.#actorOf[thread] = actor;
    this.#irqsOff[thread] = 0;
    this.#rows[thread] = clocks.rows(THREAD_ROWS);
    return thread;
  }

  /** A thread makes its next operation. */
  tick(thread: number, type: number, flags: number, record: number): void {
    const actor = this.#actorOf[thread]!;
    if (type === OpType.IRQ_ENTRY) this.#othersHaveIrqsOn(actor);
    else if (type < OpType.EVENT) this.#followFlag(thread, cpuOf(actor), flags & OpFlag.IRQS_OFF);
    this.#clocks.set(this.#rows[thread]! + KNOWN, thread, record + 1);
  }

  /** True if an access of another thread, at that record, happened before what `thread` does now. */
  isBehind(thread: number, other: number, record: number): boolean {
    return this.#clocks.get(this.#rows[thread]! + KNOWN, other) > record;
  }

  /**
   * True if that access happened before the store which a marked load of this cell reads: then it happened before the
   * load as well, though for what the thread does next nothing follows.
   */
  isBehindPublished(cell: number, other: number, record: number): boolean {
    const sync = this.#shadow.sync[cell]!;
    return sync !== 0 && this.#clocks.get(sync + FOR_ALL, other) > record;
  }

  /** Full barrier: what marked loads saw is known from here on, and later marked stores pass it on. */
  barrier(thread: number): void {
    const rows = this.#rows[thread]!;
    this.#clocks.join(rows + KNOWN, rows + SEEN);
    this.#clocks.copy(rows + FENCED, rows + KNOWN);
  }

  /** A marked load learns what the store it reads has published. */
  read(thread: number, record: number, acquires: boolean): void {
    const at = record * OP_WORDS;
    const address = this.#words[at + OpWord.ADDRESS]! >>> 0;
    const size = this.#words[at + OpWord.SIZE]!;
    // A wait may end without having looked at memory: 0 bytes at 0, behind which there is all of it.
    if (size === 0) return;
    const last = (address + size - 1) >>> 2;
    const rows = this.#rows[thread]!;
    const cpu = cpuOf(this.#actorOf[thread]!);
    for (let word = address >>> 2; word <= last; word++) {
      const cell = this.#shadow.knownCellOf(word);
      const sync = cell < 0 ? 0 : this.#shadow.sync[cell]!;
      if (sync === 0) continue;
      this.#clocks.join(rows + (acquires ? KNOWN : SEEN), sync + FOR_ALL);
      if (this.#shadow.syncCpu[cell] === cpu) this.#clocks.join(rows + KNOWN, sync + FOR_OWN_CPU);
    }
  }

  /** A marked load got its value from its CPU's buffer: from the newest store of that word there, of whatever flow. */
  readForwarded(thread: number, record: number): void {
    const address = this.#words[record * OP_WORDS + OpWord.ADDRESS]!;
    const row = this.#stores.rowOfNewest(cpuOf(this.#actorOf[thread]!), address, this.#words);
    if (row !== 0) this.#clocks.join(this.#rows[thread]! + KNOWN, row + FOR_OWN_CPU);
  }

  /** A store is the newest of its word from here on: readers learn what it publishes, and no more what others did. */
  store(thread: number, record: number, kind: number): void {
    const cpu = cpuOf(this.#actorOf[thread]!);
    const at = record * OP_WORDS;
    const address = this.#words[at + OpWord.ADDRESS]! >>> 0;
    const last = (address + this.#words[at + OpWord.SIZE]! - 1) >>> 2;
    for (let word = address >>> 2; word <= last; word++) {
      const sync = this.#syncRowFor(word, kind, cpu);
      if (sync !== 0) this.#publish(sync, thread, kind);
    }
  }

  /** tso: a store waits in its CPU's buffer, with what it will publish. */
  buffer(thread: number, record: number, kind: number): void {
    const row = kind === AccessKind.PLAIN ? 0 : this.#clocks.rows(2);
    if (row !== 0) this.#publish(row, thread, kind);
    this.#stores.push(cpuOf(this.#actorOf[thread]!), record, row);
  }

  /** tso: the oldest buffered store of a CPU reaches memory. */
  flush(cpu: number): void {
    const store = this.#stores.pop(cpu);
    if (store === 0) return;
    const at = this.#stores.record[store]! * OP_WORDS;
    const row = this.#stores.row[store]!;
    const address = this.#words[at + OpWord.ADDRESS]! >>> 0;
    const last = (address + this.#words[at + OpWord.SIZE]! - 1) >>> 2;
    for (let word = address >>> 2; word <= last; word++) {
      const sync = this.#syncRowFor(word, opKind(this.#words[at]!), cpu);
      if (sync === 0) continue;
      this.#clocks.copy(sync + FOR_ALL, row + FOR_ALL);
      this.#clocks.copy(sync + FOR_OWN_CPU, row + FOR_OWN_CPU);
    }
  }

  /** What orders without being an access: interrupts, starts, and tasks that move. */
  signal(type: number, thread: number, record: number): void {
    const at = record * OP_WORDS;
    const known = this.#rows[thread]! + KNOWN;
    const cpu = cpuOf(this.#actorOf[thread]!);
    if (type === OpType.IPI) {
      this.#raise(thread, this.#words[at + OpWord.READ]!, this.#words[at + OpWord.WRITTEN]!);
    } else if (type === OpType.IRQ_ENTRY) {
      this.#enterInterrupt(thread, cpu, this.#words[at + OpWord.READ]!);
    } else if (type === OpType.IRQ_EXIT) {
      this.#clocks.join(this.#rowByCpu(this.#flagRow, cpu), known);
      this.#irqsOff[thread] = 0;
    } else if (type === OpType.START) {
      if (this.#startRow[cpu] !== 0) this.#clocks.join(known, this.#startRow[cpu]!);
    } else if (type === TASK_EVENT) {
      // Left behind where a task leaves a CPU, picked up where it goes on.
      const row = this.#rowByKey(taskKey(this.#words[at + OpWord.ADDRESS]!));
      if (this.#words[at + OpWord.READ] === 0) this.#clocks.copy(row, known);
      else this.#clocks.join(known, row);
    }
  }

  #raise(thread: number, target: number, vectors: number): void {
    const rows = this.#rows[thread]!;
    for (let bits = vectors; bits !== 0; bits &= bits - 1) {
      const starts = (bits & -bits & STARTUP_SIGNALS) !== 0;
      if (starts) this.#startsSent = true;
      const row = starts ? this.#rowByCpu(this.#startRow, target) : this.#rowByKey(vectorKey(target, bits));
      this.#clocks.join(row, rows + KNOWN);
      this.#clocks.join(row, rows + SEEN);
    }
  }

  #enterInterrupt(thread: number, cpu: number, vector: number): void {
    const known = this.#rows[thread]! + KNOWN;
    this.#clocks.join(known, this.#rowByKey(vectorKey(cpu, vector)));
    this.#clocks.join(known, this.#rowByCpu(this.#flagRow, cpu));
    this.barrier(thread);
  }

  /**
   * If the flow's interrupt flag changed before this operation, it took the lock or gave it back. Read from the flags of
   * operations, because not every change is a step: `sti` is none, and other instructions change the flag as well.
   */
  #followFlag(thread: number, cpu: number, off: number): void {
    if (off === this.#irqsOff[thread]) return;
    this.#irqsOff[thread] = off;
    const known = this.#rows[thread]! + KNOWN;
    const flag = this.#rowByCpu(this.#flagRow, cpu);
    if (off !== 0) this.#clocks.join(known, flag);
    else this.#clocks.join(flag, known);
  }

  /** An interrupt is taken: so what it interrupts has interrupts on, even if it made no operation since it set the flag. */
  #othersHaveIrqsOn(actor: Actor): void {
    const cpu = cpuOf(actor);
    for (let other = cpu * ACTORS_PER_CPU; other < (cpu + 1) * ACTORS_PER_CPU; other++) {
      const thread = this.#threadOf[other]!;
      if (other !== actor && thread !== NOT_SEEN) this.#followFlag(thread, cpu, 0);
    }
  }

  /** Rows for a store to publish in; 0 for a plain store, which publishes nothing and ends what was published. */
  #syncRowFor(word: number, kind: number, cpu: number): number {
    const shadow = this.#shadow;
    const cell = shadow.cellOf(word);
    const sync = shadow.sync[cell]!;
    if (kind === AccessKind.PLAIN) {
      if (sync !== 0) this.#clocks.clear(sync + FOR_ALL);
      shadow.syncCpu[cell] = NOBODYS_CPU;
      return 0;
    }
    shadow.syncCpu[cell] = cpu;
    if (sync !== 0) return sync;
    return (shadow.sync[cell] = this.#clocks.rows(2));
  }

  #publish(sync: number, thread: number, kind: number): void {
    const rows = this.#rows[thread]!;
    const releases = kind === AccessKind.RELEASE || kind === AccessKind.RMW;
    this.#clocks.copy(sync + FOR_OWN_CPU, rows + KNOWN);
    this.#clocks.copy(sync + FOR_ALL, rows + (releases ? KNOWN : FENCED));
    if (releases) this.#clocks.join(sync + FOR_ALL, rows + SEEN);
  }

  /** The row of something that is no memory word, made if there is none. */
  #rowByKey(key: number): number {
    const cell = this.#shadow.cellOf(key);
    const row = this.#shadow.sync[cell]!;
    return row === 0 ? (this.#shadow.sync[cell] = this.#clocks.row()) : row;
  }

  #rowByCpu(rows: Int32Array, cpu: number): number {
    const row = rows[cpu]!;
    return row === 0 ? (rows[cpu] = this.#clocks.row()) : row;
  }
}

/** Keys of what is no memory word are negative. */
function vectorKey(cpu: number, bits: number): number {
  return ~(cpu * 32 + (31 - Math.clz32(bits & -bits)));
}

function taskKey(address: number): number {
  return ~(NR_CPUS * 32 + (address >>> 2));
}
