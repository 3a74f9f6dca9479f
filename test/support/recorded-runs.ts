/** Recorded runs by chance, and an explorer of every interleaving that shares no code with the checker. */
import * as fc from 'fast-check';
import { Does, type RecordedOperation, type RecordedRun } from '#checkers/execution';

export const BASE = 0x1000;

interface Step {
  readonly does: Does;
  /** Offset from BASE. */
  readonly at: number;
  readonly size: number;
  readonly value: number;
}

/** Programs: what each thread does, with what it writes. */
export function programs(threadsMax: number, stepsMax: number, mixed: boolean): fc.Arbitrary<Step[][]> {
  const place = mixed
    ? fc.constantFrom([0, 4], [0, 2], [2, 2], [3, 1], [4, 4], [4, 1], [0, 8])
    : fc.constantFrom([0, 4], [4, 4]);
  const step = fc.record({
    does: fc.constantFrom(
      Does.LOAD,
      Does.LOAD,
      Does.LOAD,
      Does.STORE,
      Does.STORE,
      Does.STORE,
      Does.RMW,
      Does.DRAIN,
    ),
    place,
    value: fc.integer({ min: 0, max: 3 }),
  });
  return fc
    .array(fc.array(step, { minLength: 1, maxLength: stepsMax }), { minLength: 2, maxLength: threadsMax })
    .map((threads) =>
      threads.map((steps) => steps.map(({ does, place: [at, size], value }) => ({ does, at, size, value }))),
    );
}

/** Memory and buffers of threads that go on one at a time. */
class Tso {
  readonly memory = new Uint8Array(8);
  readonly buffers: { at: number; bytes: number[] }[][];

  constructor(threads: number) {
    this.buffers = Array.from({ length: threads }, () => []);
  }

  /** undefined: a buffered store covers a part of it. */
  load(thread: number, at: number, size: number): number[] | undefined {
    const newest = this.buffers[thread]!.findLast(
      (store) => store.at < at + size && at < store.at + store.bytes.length,
    );
    if (newest === undefined) return Array.from(this.memory.subarray(at, at + size));
    if (newest.at > at || newest.at + newest.bytes.length < at + size) return undefined;
    return newest.bytes.slice(at - newest.at, at - newest.at + size);
  }

  flush(thread: number): void {
    const { at, bytes } = this.buffers[thread]!.shift()!;
    this.memory.set(bytes, at);
  }

  copy(): Tso {
    const copy = new Tso(this.buffers.length);
    copy.memory.set(this.memory);
    for (const [thread, buffer] of this.buffers.entries()) copy.buffers[thread]!.push(...buffer);
    return copy;
  }
}

const bytesOf = (value: number, size: number): number[] =>
  Array.from({ length: size }, (_, byte) => (byte < 4 ? (value >>> (8 * byte)) & 0xff : 0));
const wordOf = (bytes: readonly number[], from = 0): number =>
  bytes.slice(from, from + 4).reduce((word, byte, at) => (word | (byte << (8 * at))) >>> 0, 0);

/** Runs a program in one order of many. @param choose a number below its argument @param isSc no buffers */
export function runOf(
  program: readonly (readonly Step[])[],
  choose: (below: number) => number,
  isSc: boolean,
): RecordedRun {
  const machine = new Tso(program.length);
  const threads: RecordedOperation[][] = program.map(() => []);
  for (;;) {
    const moves: (() => void)[] = [];
    for (const [thread, steps] of program.entries()) {
      const buffer = machine.buffers[thread]!;
      const step = steps[threads[thread]!.length];
      if (buffer.length > 0) moves.push(() => machine.flush(thread));
      if (step === undefined) continue;
      const { does, at, size, value } = step;
      const done = (read: readonly number[], written: readonly number[]): void => {
        threads[thread]!.push(operation(does, BASE + at, size, read, written));
      };
      if (does === Does.STORE)
        moves.push(() => {
          buffer.push({ at, bytes: bytesOf(value, size) });
          if (isSc) machine.flush(thread);
          done([], bytesOf(value, size));
        });
      else if (does === Does.LOAD) {
        const read = machine.load(thread, at, size);
        if (read !== undefined) moves.push(() => done(read, []));
      } else if (buffer.length === 0)
        moves.push(() => {
          const read = machine.load(thread, at, size)!;
          const written = bytesOf((wordOf(read) + value) >>> 0, size);
          if (does === Does.RMW) machine.memory.set(written, at);
          done(read, written);
        });
    }
    if (moves.length === 0) break;
    moves[choose(moves.length)]!();
  }
  const memory = [...machine.memory];
  return { threads, initial: () => 0, final: (address) => wordOf(memory, address - BASE) };
}

function operation(
  does: Does,
  address: number,
  size: number,
  read: readonly number[],
  written: readonly number[],
): RecordedOperation {
  const isDrain = does === Does.DRAIN;
  return {
    does,
    address,
    size: isDrain ? 0 : size,
    read: isDrain ? 0 : wordOf(read),
    readHigh: isDrain ? 0 : wordOf(read, 4),
    written: isDrain ? 0 : wordOf(written),
    writtenHigh: isDrain ? 0 : wordOf(written, 4),
    site: 0,
  };
}

/** Whether some interleaving reads and leaves what the run did: tries all. */
export function isPossible(run: RecordedRun, isSc: boolean): boolean {
  const seen = new Set<string>();
  // What nobody touches is nobody's business.
  const touched = run.threads.flatMap((operations) =>
    operations.flatMap(({ address, size }) =>
      Array.from({ length: size }, (_, byte) => address - BASE + byte),
    ),
  );
  const finalByte = (at: number): number => (run.final(BASE + (at & ~3)) >>> ((at & 3) * 8)) & 0xff;
  const visit = (machine: Tso, next: readonly number[]): boolean => {
    const key = `${next.join()} ${machine.memory.join()} ${JSON.stringify(machine.buffers)}`;
    if (seen.has(key)) return false;
    seen.add(key);
    let isOver = true;
    for (const [thread, operations] of run.threads.entries()) {
      if (machine.buffers[thread]!.length > 0) {
        isOver = false;
        const flushed = machine.copy();
        flushed.flush(thread);
        if (visit(flushed, next)) return true;
      }
      const made = operations[next[thread]!];
      if (made === undefined) continue;
      isOver = false;
      const after = machine.copy();
      if (perform(after, thread, made, isSc) && visit(after, next.with(thread, next[thread]! + 1)))
        return true;
    }
    return isOver && touched.every((at) => machine.memory[at] === finalByte(at));
  };
  return visit(
    new Tso(run.threads.length),
    run.threads.map(() => 0),
  );
}

function perform(machine: Tso, thread: number, made: RecordedOperation, isSc: boolean): boolean {
  const { does, size } = made;
  const at = made.address - BASE;
  const buffer = machine.buffers[thread]!;
  const bytes = (low: number, high: number): number[] =>
    [...bytesOf(low, 4), ...bytesOf(high, 4)].slice(0, size);
  const written = bytes(made.written, made.writtenHigh);
  if (does === Does.STORE) {
    buffer.push({ at, bytes: written });
    if (isSc) machine.flush(thread);
    return true;
  }
  if (does !== Does.LOAD && buffer.length > 0) return false;
  if (does === Does.DRAIN) return true;
  const read = machine.load(thread, at, size);
  if (read === undefined || read.join() !== bytes(made.read, made.readHigh).join()) return false;
  if (does === Does.RMW) machine.memory.set(written, at);
  return true;
}
