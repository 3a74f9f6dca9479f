/**
 * Arithmetic as x86 does it, with its flags (Intel SDM volume 1, 3.4.3). Up to 32 bits on numbers, because that is what
 * nearly every test does and it is fast; at 64 bits on bigints. `wide` is written for any width, so that a test can
 * hold the two against each other.
 */
import { unreachable } from '#base/assert';
import type { AluOperation, ConditionCode, OperandSize, Value } from './program.ts';

/** Bits of EFLAGS, at their real places. */
export const Flag = { CARRY: 1, PARITY: 4, ZERO: 64, SIGN: 128, OVERFLOW: 2048 } as const;

export interface FlagHolder {
  flags: number;
}

export type Computation = AluOperation | 'inc' | 'dec' | 'neg';

/** What a read-modify-write makes of the old value. */
export type RmwOperation = 'xchg' | 'add' | 'sub' | 'and' | 'or' | 'xor' | 'neg' | 'cmpxchg';

/** Computes and sets the flags. `cmp` and `test` answer the difference and the conjunction. */
export function compute(
  state: FlagHolder,
  operation: Computation,
  size: OperandSize,
  a: Value,
  b: Value,
): Value {
  if (size === 8) return wide(state, operation, 64, a as bigint, b as bigint);
  return narrow(state, operation, size * 8, a as number, b as number);
}

/** The value an atomic read-modify-write stores. `expected` matters to cmpxchg only. */
export function applyRmw(
  operation: RmwOperation,
  size: OperandSize,
  old: Value,
  operand: Value,
  expected: Value,
): Value {
  const ignored: FlagHolder = { flags: 0 };
  if (operation === 'xchg') return operand;
  if (operation === 'cmpxchg') return old === expected ? operand : old;
  return compute(ignored, operation, size, old, operand);
}

/** Unsigned value of the low `size` bytes. */
export function truncate(value: bigint, size: OperandSize): Value {
  const low = BigInt.asUintN(size * 8, value);
  return size === 8 ? low : Number(low);
}

function narrow(state: FlagHolder, operation: Computation, bits: number, a: number, b: number): number {
  const span = 2 ** bits;
  const carry = state.flags & Flag.CARRY;
  switch (operation) {
    case 'add':
      return narrowSum(state, bits, a, b, 0);
    case 'adc':
      return narrowSum(state, bits, a, b, carry);
    case 'sub':
    case 'cmp':
      return narrowDifference(state, bits, a, b, 0);
    case 'sbb':
      return narrowDifference(state, bits, a, b, carry);
    case 'inc':
      return keepCarry(state, carry, narrowSum(state, bits, a, 1, 0));
    case 'dec':
      return keepCarry(state, carry, narrowDifference(state, bits, a, 1, 0));
    case 'neg':
      return narrowDifference(state, bits, 0, a, 0);
    case 'and':
    case 'test':
      return setNarrow(state, bits, (a & b) >>> 0, 0);
    case 'or':
      return setNarrow(state, bits, (a | b) >>> 0, 0);
    case 'xor':
      return setNarrow(state, bits, (a ^ b) >>> 0, 0);
    case 'imul': {
      const product = toSigned(a, span) * toSigned(b, span);
      const fits = product >= -span / 2 && product < span / 2;
      const low = (Math.imul(a, b) >>> 0) % span;
      return setNarrow(state, bits, low, fits ? 0 : Flag.CARRY | Flag.OVERFLOW);
    }
    case 'shl':
    case 'shr':
    case 'sar':
      return narrowShift(state, operation, bits, a, b & 31);
    default:
      return unreachable(operation, 'narrow');
  }
}

function keepCarry(state: FlagHolder, carry: number, result: number): number {
  state.flags = (state.flags & ~Flag.CARRY) | carry;
  return result;
}

function toSigned(value: number, span: number): number {
  return value >= span / 2 ? value - span : value;
}

/** Sets zero, sign and parity by the result, the others as given. */
function setNarrow(state: FlagHolder, bits: number, result: number, others: number): number {
  const sign = result >= 2 ** (bits - 1) ? Flag.SIGN : 0;
  state.flags = others | sign | (result === 0 ? Flag.ZERO : 0) | parity(result & 0xff);
  return result;
}

/** Set when the low byte has an even number of ones. */
function parity(byte: number): number {
  let ones = 0;
  for (let rest = byte; rest !== 0; rest &= rest - 1) ones++;
  return ones % 2 === 0 ? Flag.PARITY : 0;
}

function narrowSum(state: FlagHolder, bits: number, a: number, b: number, carry: number): number {
  const span = 2 ** bits;
  const sum = a + b + carry;
  const result = sum % span;
  const overflow = (a ^ result) & (b ^ result) & (1 << (bits - 1)) ? Flag.OVERFLOW : 0;
  return setNarrow(state, bits, result, overflow | (sum >= span ? Flag.CARRY : 0));
}

function narrowDifference(state: FlagHolder, bits: number, a: number, b: number, borrow: number): number {
  const span = 2 ** bits;
  const difference = a - b - borrow;
  const result = difference < 0 ? difference + span : difference;
  const overflow = (a ^ b) & (a ^ result) & (1 << (bits - 1)) ? Flag.OVERFLOW : 0;
  return setNarrow(state, bits, result, overflow | (difference < 0 ? Flag.CARRY : 0));
}

function narrowShift(
  state: FlagHolder,
  operation: 'shl' | 'shr' | 'sar',
  bits: number,
  a: number,
  count: number,
): number {
  // The bigint form is exact for every count; shifts are too rare to deserve a second one.
  return Number(wideShift(state, operation, bits, BigInt(a), BigInt(count)));
}

/** The same at any width. Operands are unsigned and fit in `bits`. */
export function wide(state: FlagHolder, operation: Computation, bits: number, a: bigint, b: bigint): bigint {
  const carry = state.flags & Flag.CARRY;
  switch (operation) {
    case 'add':
      return wideSum(state, bits, a, b, 0n);
    case 'adc':
      return wideSum(state, bits, a, b, BigInt(carry));
    case 'sub':
    case 'cmp':
      return wideSum(state, bits, a, -b, 0n);
    case 'sbb':
      return wideSum(state, bits, a, -b, -BigInt(carry));
    case 'inc':
    case 'dec': {
      const result = wideSum(state, bits, a, operation === 'inc' ? 1n : -1n, 0n);
      state.flags = (state.flags & ~Flag.CARRY) | carry;
      return result;
    }
    case 'neg':
      return wideSum(state, bits, 0n, -a, 0n);
    case 'and':
    case 'test':
      return setWide(state, bits, a & b, 0);
    case 'or':
      return setWide(state, bits, a | b, 0);
    case 'xor':
      return setWide(state, bits, a ^ b, 0);
    case 'imul': {
      const product = BigInt.asIntN(bits, a) * BigInt.asIntN(bits, b);
      const fits = BigInt.asIntN(bits, product) === product;
      return setWide(state, bits, BigInt.asUintN(bits, product), fits ? 0 : Flag.CARRY | Flag.OVERFLOW);
    }
    case 'shl':
    case 'shr':
    case 'sar':
      return wideShift(state, operation, bits, a, b & (bits === 64 ? 63n : 31n));
    default:
      return unreachable(operation, 'wide');
  }
}

function setWide(state: FlagHolder, bits: number, result: bigint, others: number): bigint {
  const sign = result >> BigInt(bits - 1) === 1n ? Flag.SIGN : 0;
  state.flags = others | sign | (result === 0n ? Flag.ZERO : 0) | parity(Number(result & 0xffn));
  return result;
}

/** a + b + carry, where b and carry may be negative: then it is a difference, and the carry a borrow. */
function wideSum(state: FlagHolder, bits: number, a: bigint, b: bigint, carry: bigint): bigint {
  const sum = a + b + carry;
  const negative = b < 0n || carry < 0n;
  const signedA = BigInt.asIntN(bits, a);
  const signedB = negative ? -BigInt.asIntN(bits, -b) : BigInt.asIntN(bits, b);
  const exact = signedA + signedB + carry;
  const overflow = BigInt.asIntN(bits, exact) === exact ? 0 : Flag.OVERFLOW;
  const carried = sum < 0n || sum >> BigInt(bits) > 0n ? Flag.CARRY : 0;
  return setWide(state, bits, BigInt.asUintN(bits, sum), overflow | carried);
}

/** A count of 0 changes nothing, not even flags. Overflow is defined for a count of 1; we clear it otherwise. */
function wideShift(
  state: FlagHolder,
  operation: 'shl' | 'shr' | 'sar',
  bits: number,
  a: bigint,
  count: bigint,
): bigint {
  if (count === 0n) return a;
  const top = BigInt(bits - 1);
  if (operation === 'shl') {
    const carry = Number(((a << count) >> BigInt(bits)) & 1n);
    const result = BigInt.asUintN(bits, a << count);
    const overflow = count === 1n && Number(result >> top) !== carry ? Flag.OVERFLOW : 0;
    return setWide(state, bits, result, overflow | (carry === 1 ? Flag.CARRY : 0));
  }
  const from = operation === 'sar' ? BigInt.asIntN(bits, a) : a;
  const carry = (from >> (count - 1n)) & 1n;
  const overflow = operation === 'shr' && count === 1n && a >> top === 1n ? Flag.OVERFLOW : 0;
  const result = BigInt.asUintN(bits, from >> count);
  return setWide(state, bits, result, overflow | (carry === 1n ? Flag.CARRY : 0));
}

/** Whether a condition holds under these flags (SDM volume 2, Jcc). */
export function conditionHolds(condition: ConditionCode, flags: number): boolean {
  const is = (flag: number): boolean => (flags & flag) !== 0;
  switch (condition) {
    case 'o':
      return is(Flag.OVERFLOW);
    case 'no':
      return !is(Flag.OVERFLOW);
    case 'b':
      return is(Flag.CARRY);
    case 'ae':
      return !is(Flag.CARRY);
    case 'e':
      return is(Flag.ZERO);
    case 'ne':
      return !is(Flag.ZERO);
    case 'be':
      return is(Flag.CARRY | Flag.ZERO);
    case 'a':
      return !is(Flag.CARRY | Flag.ZERO);
    case 's':
      return is(Flag.SIGN);
    case 'ns':
      return !is(Flag.SIGN);
    case 'p':
      return is(Flag.PARITY);
    case 'np':
      return !is(Flag.PARITY);
    case 'l':
      return is(Flag.SIGN) !== is(Flag.OVERFLOW);
    case 'ge':
      return is(Flag.SIGN) === is(Flag.OVERFLOW);
    case 'le':
      return is(Flag.ZERO) || is(Flag.SIGN) !== is(Flag.OVERFLOW);
    case 'g':
      return !is(Flag.ZERO) && is(Flag.SIGN) === is(Flag.OVERFLOW);
    default:
      return unreachable(condition, 'conditionHolds');
  }
}
