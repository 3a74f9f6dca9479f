/**
 * What herd means by one execution: which store each load reads from, and in which order stores to the same place reach
 * memory. Two runs that agree on both are one execution, whatever else the schedule did.
 *
 * Kept cell by cell, so that accesses of different sizes may overlap. Stores are named by their thread and their number
 * in its program order, which is the order in which they enter and leave its store buffer.
 */
import { cpuOf } from '#base/strategy';
import {
  Footprint,
  footprint,
  OP_WORDS,
  opActor,
  opFlags,
  OpFlag,
  type OperationLog,
  opType,
  OpType,
  OpWord,
} from '#trace/operations';

/** Follows one execution. Addresses are offsets into the observed memory. */
export class ExecutionRecorder {
  readonly #cell: number;
  /** By cell, the stores that have reached it. */
  readonly #order: number[][] = [];
  readonly #reads: number[][] = [];
  readonly #stores: number[] = [];

  /** @param cell bytes that every access takes a whole number of, from a multiple of it */
  constructor(cell = 1) {
    this.#cell = cell;
  }

  /** The name of the thread's next store: 0 for the first store of thread 0, and so on. */
  nextStore(thread: number): number {
    const number = this.#stores[thread] ?? 0;
    this.#stores[thread] = number + 1;
    return number * 64 + thread;
  }

  /** The store reaches memory. */
  write(address: number, size: number, store: number): void {
    const end = (address + size) / this.#cell;
    for (let cell = address / this.#cell; cell < end; cell++) (this.#order[cell] ??= []).push(store);
  }

  readMemory(thread: number, address: number, size: number): void {
    const reads = (this.#reads[thread] ??= []);
    const end = (address + size) / this.#cell;
    for (let cell = address / this.#cell; cell < end; cell++) reads.push(this.#order[cell]?.at(-1) ?? -1);
  }

  readForwarded(thread: number, size: number, store: number): void {
    const reads = (this.#reads[thread] ??= []);
    for (let byte = 0; byte < size; byte += this.#cell) reads.push(store);
  }

  key(): string {
    // An array joins the arrays in it, and what is not there, as it should: with a comma, and as nothing.
    return `${this.#reads.join('|')}/${this.#order.join('|')}`;
  }
}

interface Buffered {
  readonly address: number;
  readonly size: number;
  readonly store: number;
}

/**
 * The key of a run, from its log.
 * @param base address of the first observed byte
 * @param bytes observed bytes; operations elsewhere (the machine's own) do not count
 * @param cell see ExecutionRecorder: keys with the same one can be compared
 */
export function executionKey(log: OperationLog, base: number, bytes: number, cell = 1): string {
  const recorder = new ExecutionRecorder(cell);
  const buffers: Buffered[][] = [];
  for (let record = 0; record < log.records; record++) {
    const at = record * OP_WORDS;
    const head = log.words[at + OpWord.HEAD]!;
    const address = (log.words[at + OpWord.ADDRESS]! >>> 0) - base;
    const size = log.words[at + OpWord.SIZE]!;
    if (opType(head) >= OpType.EVENT || address < 0 || address + size > bytes) continue;
    if ((opFlags(head) & OpFlag.FAULTED) === 0) follow(recorder, buffers, head, address, size);
  }
  return recorder.key();
}

function follow(
  recorder: ExecutionRecorder,
  buffers: Buffered[][],
  head: number,
  address: number,
  size: number,
): void {
  const thread = cpuOf(opActor(head));
  const type = opType(head);
  const buffer = (buffers[thread] ??= []);
  if (type === OpType.BUFFER) {
    buffer.push({ address, size, store: recorder.nextStore(thread) });
    return;
  }
  if (type === OpType.FLUSH) {
    const oldest = buffer.shift()!;
    recorder.write(oldest.address, oldest.size, oldest.store);
    return;
  }
  const touches = footprint(type);
  if ((touches & Footprint.READS) !== 0) {
    const forwarded = (opFlags(head) & OpFlag.FORWARDED) !== 0;
    const newest = forwarded ? buffer.findLast((each) => overlap(each, address, size)) : undefined;
    if (newest === undefined) recorder.readMemory(thread, address, size);
    else recorder.readForwarded(thread, size, newest.store);
  }
  if ((touches & Footprint.WRITES) !== 0) recorder.write(address, size, recorder.nextStore(thread));
}

function overlap(store: Buffered, address: number, size: number): boolean {
  return store.address < address + size && address < store.address + store.size;
}
