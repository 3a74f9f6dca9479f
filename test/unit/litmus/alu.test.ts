/** Arithmetic and flags, against what the results mean. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compute, type Computation, conditionHolds, Flag, type FlagHolder, wide } from '#litmus/alu';
import type { ConditionCode, OperandSize } from '#litmus/program';

const SEED = 0xa1;
const OPERATIONS: Computation[] = [
  'add',
  'adc',
  'sub',
  'sbb',
  'and',
  'or',
  'xor',
  'cmp',
  'test',
  'shl',
  'shr',
  'sar',
  'imul',
  'inc',
  'dec',
  'neg',
];

/** Numbers near the edges of every width, and some between. */
const interesting = fc.oneof(
  fc.constantFrom(
    0n,
    1n,
    2n,
    0x7fn,
    0x80n,
    0xffn,
    0x7fffn,
    0x8000n,
    0xffffn,
    0x7fff_ffffn,
    0x8000_0000n,
    0xffff_ffffn,
  ),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);

describe('litmus arithmetic', () => {
  it(`numbers and bigints agree on result and flags, at 8, 16 and 32 bits (seed ${SEED})`, () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...OPERATIONS),
        fc.constantFrom<OperandSize>(1, 2, 4),
        interesting,
        interesting,
        fc.boolean(),
        (operation, size, left, right, carry) => {
          const bits = size * 8;
          const [a, b] = [BigInt.asUintN(bits, left), BigInt.asUintN(bits, right)];
          const fast = { flags: carry ? Flag.CARRY : 0 };
          const exact = { flags: fast.flags };
          const result = compute(fast, operation, size, Number(a), Number(b));
          expect([BigInt(result), fast.flags]).toEqual([wide(exact, operation, bits, a, b), exact.flags]);
        },
      ),
      { seed: SEED, numRuns: 3000 },
    );
  });

  it(`results are what the integers say, modulo the width (seed ${SEED})`, () => {
    fc.assert(
      fc.property(
        fc.constantFrom(8, 16, 32, 64),
        interesting,
        interesting,
        fc.boolean(),
        (bits, left, right, carried) => {
          const [a, b] = [BigInt.asUintN(bits, left), BigInt.asUintN(bits, right)];
          const carry = carried ? 1n : 0n;
          const result = (operation: Computation): bigint =>
            wide({ flags: carried ? Flag.CARRY : 0 }, operation, bits, a, b);
          const meant: [Computation, bigint][] = [
            ['add', a + b],
            ['adc', a + b + carry],
            ['sub', a - b],
            ['sbb', a - b - carry],
            ['and', a & b],
            ['or', a | b],
            ['xor', a ^ b],
            ['inc', a + 1n],
            ['dec', a - 1n],
            ['neg', -a],
            ['imul', BigInt.asIntN(bits, a) * BigInt.asIntN(bits, b)],
          ];
          for (const [operation, integer] of meant) {
            expect([operation, result(operation)]).toEqual([operation, BigInt.asUintN(bits, integer)]);
          }
        },
      ),
      { seed: SEED, numRuns: 500 },
    );
  });

  it(`after cmp, every condition says how the two compare (seed ${SEED})`, () => {
    fc.assert(
      fc.property(fc.constantFrom<OperandSize>(1, 2, 4, 8), interesting, interesting, (size, left, right) => {
        const bits = size * 8;
        const [a, b] = [BigInt.asUintN(bits, left), BigInt.asUintN(bits, right)];
        const [signedA, signedB] = [BigInt.asIntN(bits, a), BigInt.asIntN(bits, b)];
        const state = { flags: 0 };
        if (size === 8) compute(state, 'cmp', size, a, b);
        else compute(state, 'cmp', size, Number(a), Number(b));
        const meant: [ConditionCode, boolean][] = [
          ['e', a === b],
          ['ne', a !== b],
          ['b', a < b],
          ['ae', a >= b],
          ['be', a <= b],
          ['a', a > b],
          ['l', signedA < signedB],
          ['ge', signedA >= signedB],
          ['le', signedA <= signedB],
          ['g', signedA > signedB],
          ['s', BigInt.asIntN(bits, a - b) < 0n],
          ['o', BigInt.asIntN(bits, signedA - signedB) !== signedA - signedB],
        ];
        for (const [code, holds] of meant)
          expect([code, conditionHolds(code, state.flags)]).toEqual([code, holds]);
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });

  it('inc and dec leave the carry alone', () => {
    const state: FlagHolder = { flags: Flag.CARRY };
    compute(state, 'inc', 4, 0, 0);
    expect(state.flags & Flag.CARRY).toBe(Flag.CARRY);
    state.flags = 0;
    compute(state, 'dec', 4, 0, 0);
    expect(state.flags & Flag.CARRY).toBe(0);
  });

  it('a shift by nothing leaves the flags alone', () => {
    const state = { flags: Flag.CARRY | Flag.ZERO };
    expect(compute(state, 'shl', 4, 5, 32)).toBe(5);
    expect(state.flags).toBe(Flag.CARRY | Flag.ZERO);
  });
});
