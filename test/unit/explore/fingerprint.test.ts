import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FingerprintSet } from '#explore/fingerprint-set';
import { Fingerprints } from '#explore/fingerprint';
import { RunSteps } from '#explore/run-steps';
import { StateHash } from '#explore/state-hash';
import { OP_WORDS, OpFlag, OpType, type OperationLog, opHead } from '#trace/operations';

interface Operation {
  readonly actor: number;
  readonly type: number;
  readonly address: number;
  readonly size: number;
}

const ACTORS = [0, 1, 2, 4, 6, 8];
/** Words of two blocks of 1,024 bytes, some of them in operations on whole blocks, or from one into the next. */
const operation: fc.Arbitrary<Operation> = fc.record({
  actor: fc.constantFrom(...ACTORS),
  type: fc.constantFrom(OpType.LOAD, OpType.STORE, OpType.RMW, OpType.FENCE),
  address: fc.constantFrom(0x2000, 0x2004, 0x23fc, 0x2400),
  size: fc.constantFrom(4, 4, 4, 8, 1024, 1028),
});

function logOf(operations: readonly Operation[]): OperationLog {
  const words = operations.flatMap(({ actor, type, address, size }) => [
    opHead(type, 0, 0, actor),
    address,
    size,
    0,
    type === OpType.LOAD ? 0 : actor,
    0,
    0,
    0,
  ]);
  return { words: Int32Array.from(words), records: operations.length };
}

function slowly(log: OperationLog): number {
  const steps = new RunSteps();
  steps.read(log);
  const hash = new StateHash('trace');
  hash.reset();
  for (let step = 0; step < steps.count; step++) hash.step(steps, step);
  return hash.key();
}

describe('Fingerprints', () => {
  it('takes two orders of the same operations for one trace exactly if the hash that goes word by word does', () => {
    const prints = new Fingerprints();
    const orders = fc
      .array(operation, { minLength: 2, maxLength: 7 })
      .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })));
    let same = 0;
    fc.assert(
      fc.property(orders, ([one, other]) => {
        const isSame = slowly(logOf(one)) === slowly(logOf(other));
        if (isSame) same++;
        expect(prints.of(logOf(one)) === prints.of(logOf(other))).toBe(isSame);
      }),
      { numRuns: 2000, seed: 0x2a },
    );
    expect(same).toBeGreaterThan(100);
  });

  it('is the same where the log says which memory only one actor touches', () => {
    const prints = new Fingerprints();
    let own = 0;
    fc.assert(
      fc.property(fc.array(operation, { minLength: 2, maxLength: 12 }), (operations) => {
        const log = logOf(operations);
        for (const [index, one] of operations.entries()) {
          const others = operations.filter(({ actor }) => actor !== one.actor);
          const isShared = others.some(
            ({ address, size }) => address < one.address + one.size && one.address < address + size,
          );
          if (isShared) log.words[index * OP_WORDS]! |= OpFlag.VISIBLE << 11;
          else own++;
        }
        expect(prints.of({ ...log, isSettled: true })).toBe(prints.of(log));
      }),
      { numRuns: 1000, seed: 0x2a },
    );
    expect(own).toBeGreaterThan(500);
  });

  it('does not depend on the runs it has seen before', () => {
    const prints = new Fingerprints();
    const first = logOf([{ actor: 0, type: OpType.STORE, address: 0x2000, size: 1024 }]);
    const alone = prints.of(first);
    for (let word = 0; word < 2000; word++)
      prints.of(logOf([{ actor: 4, type: OpType.RMW, address: 0x2000 + word * 4, size: 4 }]));
    expect(prints.of(first)).toBe(alone);
  });
});

describe('FingerprintSet', () => {
  it('knows what it has seen, and what it has seen more than once, however many', () => {
    const set = new FingerprintSet(1_000_000);
    const numbers = Array.from({ length: 5000 }, (_, index) => index * 0x1_0000_0001 + index);
    for (const number of numbers) expect(set.add(number)).toBe(0);
    for (const number of numbers.slice(0, 100)) expect(set.add(number)).toBe(1);
    expect(set.size).toBe(5000);
    expect(set.list(true).toSorted((a, b) => a - b)).toEqual(numbers.slice(0, 100));
    expect(set.has(numbers[4000]!)).toBe(true);
    expect(set.has(7)).toBe(false);
  });

  it('keeps no more than it was told to', () => {
    const set = new FingerprintSet(2);
    for (const number of [1, 2, 3]) set.add(number);
    expect([set.size, set.has(2), set.has(3)]).toEqual([2, true, false]);
  });
});
