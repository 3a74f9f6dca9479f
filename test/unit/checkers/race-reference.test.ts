import { describe, expect, it } from 'vitest';
import { seedState, xorshift32 } from '#base/prng';
import { AccessKind } from '#trace/events';
import { OP_WORDS, OpType, OpWord, type OperationLog, opActor, opKind, opType } from '#trace/operations';
import { RaceDetector } from '#checkers/races';
import { LogBuilder } from '../../support/log-builder.ts';

const { PLAIN, ONCE, ACQUIRE, RELEASE } = AccessKind;

/** Sets of records as bits: what the detector keeps in vector clocks, shadow cells and replaced accesses, kept whole. */
interface Flow {
  known: bigint;
  seen: bigint;
  fenced: bigint;
}

const record = (index: number): bigint => 1n << BigInt(index);

/** Words on which some pair races, by definition: every pair of accesses looked at. For main flows, sc, whole words. */
function racyWords({ words, records }: OperationLog): number[] {
  const flows = new Map<number, Flow>();
  const published = new Map<number, bigint>();
  const accesses: { address: number; actor: number; at: number; isWrite: boolean; isPlain: boolean }[] = [];
  const racy = new Set<number>();
  for (let at = 0; at < records; at++) {
    const [head, address] = [words[at * OP_WORDS]!, words[at * OP_WORDS + OpWord.ADDRESS]!];
    const [type, kind, actor] = [opType(head), opKind(head), opActor(head)];
    const flow = flows.get(actor) ?? { known: 0n, seen: 0n, fenced: 0n };
    flows.set(actor, flow);
    flow.known |= record(at);
    const isRmw = type === OpType.RMW;
    if (type === OpType.FENCE || isRmw) flow.fenced = flow.known |= flow.seen;
    if (type === OpType.FENCE) continue;
    const isWrite = isRmw || type === OpType.STORE;
    const isPlain = !isRmw && kind === PLAIN;
    const reads = isRmw || (type === OpType.LOAD && !isPlain) ? (published.get(address) ?? 0n) : 0n;
    if (isRmw || kind === ACQUIRE) flow.known |= reads;
    else flow.seen |= reads;
    for (const other of accesses) {
      const meets = other.address === address && (other.isWrite || isWrite) && (other.isPlain || isPlain);
      if (meets && ((flow.known | reads) & record(other.at)) === 0n) racy.add(address);
    }
    accesses.push({ address, actor, at, isWrite, isPlain });
    if (isRmw || kind === RELEASE) published.set(address, flow.known | flow.seen);
    else if (isWrite) published.set(address, isPlain ? 0n : flow.fenced);
    if (isRmw) flow.fenced = flow.known;
  }
  return [...racy].toSorted((a, b) => a - b);
}

function randomLog(seed: number): OperationLog {
  let state = seedState(seed);
  const draw = (below: number): number => {
    state = xorshift32(state);
    return state % below;
  };
  const log = new LogBuilder();
  const variables = ['x', 'y', 'flag'];
  for (let step = 0; step < 6 + (seed % 40); step++) {
    const flow = log.cpu(draw(4));
    const variable = variables[draw(3)]!;
    // Mostly marked, or everything would race with everything.
    const choice = draw(12);
    if (choice === 0) flow.read(variable);
    else if (choice === 1) flow.write(variable, step);
    else if (choice < 4) flow.read(variable, { kind: ONCE });
    else if (choice < 6) flow.write(variable, step, { kind: ONCE });
    else if (choice < 8) flow.read(variable, { kind: ACQUIRE });
    else if (choice < 10) flow.release(variable, step);
    else if (choice === 10) flow.rmw(variable, step);
    else flow.fence();
  }
  return log.build();
}

describe('the race detector against the definition', () => {
  it('400 random logs: the same words race, whichever of a pair came first', () => {
    const detector = new RaceDetector();
    const sizes = new Set<number>();
    for (let seed = 1; seed <= 400; seed++) {
      const log = randomLog(seed);
      const expected = racyWords(log);
      detector.scan(log);
      const found = new Set<number>();
      for (let pair = 0; pair < detector.count; pair++) {
        found.add(log.words[detector.pairs[pair * 2]! * OP_WORDS + OpWord.ADDRESS]!);
      }
      expect(
        [...found].toSorted((a, b) => a - b),
        `seed ${seed}`,
      ).toEqual(expected);
      sizes.add(expected.length);
    }
    // Clean logs and racy ones, both.
    expect(sizes.size).toBe(4);
  });
});
