/** A thread in the middle of its run: its registers, and how its operands become values and addresses. */
import { unreachable } from '#base/assert';
import { applyRmw, type FlagHolder, type RmwOperation, truncate } from './alu.ts';
import type { LitmusBus } from './bus.ts';
import { type LitmusLayout, VARIABLES_BASE } from './layout.ts';
import type { LitmusProgram, MemoryOperand, Operand, OperandSize, RegisterName, Value } from './program.ts';

export interface ThreadState extends FlagHolder {
  readonly program: LitmusProgram;
  readonly layout: LitmusLayout;
  readonly bus: LitmusBus;
  readonly registers: Int32Array;
  /** Writes that may have changed something: stores, and read-modify-writes that stored another value. */
  effects: number;
}

/** Carries a fault out of the depth of an instruction; never leaves runThread. */
export class AccessFault extends Error {}

export function rmw(
  state: ThreadState,
  operation: RmwOperation,
  target: MemoryOperand,
  size: OperandSize,
  operand: Value,
  expected: Value,
): Value {
  const old = state.bus.rmw(operation, offsetOf(state, target, size), size, operand, expected);
  if (applyRmw(operation, size, old, operand, expected) !== old) state.effects++;
  return old;
}

export function read(state: ThreadState, operand: Operand, size: OperandSize): Value {
  switch (operand.kind) {
    case 'register':
      return readRegister(state, operand, size);
    case 'memory':
      return state.bus.load(offsetOf(state, operand, size), size);
    case 'immediate': {
      const base =
        operand.symbol === undefined ? 0 : VARIABLES_BASE + state.layout.offsets.get(operand.symbol)!;
      return truncate(operand.value + BigInt(base), size);
    }
    default:
      return unreachable(operand, 'litmus read');
  }
}

export function write(state: ThreadState, operand: Operand, size: OperandSize, value: Value): void {
  if (operand.kind === 'register') return writeRegister(state, operand, size, value);
  state.effects++;
  state.bus.store(offsetOf(state, operand as MemoryOperand, size), size, value);
}

export function readRegister(
  { registers }: ThreadState,
  { slot, high }: RegisterName,
  size: OperandSize,
): Value {
  const low = registers[slot * 2]!;
  switch (size) {
    case 1:
      return high ? (low >>> 8) & 0xff : low & 0xff;
    case 2:
      return low & 0xffff;
    case 4:
      return low >>> 0;
    case 8:
      return (BigInt(registers[slot * 2 + 1]! >>> 0) << 32n) | BigInt(low >>> 0);
    default:
      return unreachable(size, 'readRegister');
  }
}

/** Writing 32 bits clears the upper half; writing 8 or 16 leaves the rest alone. */
export function writeRegister(
  { registers }: ThreadState,
  { slot, high }: RegisterName,
  size: OperandSize,
  value: Value,
): void {
  const low = registers[slot * 2]!;
  switch (size) {
    case 1:
      registers[slot * 2] = high
        ? (low & ~0xff00) | ((value as number) << 8)
        : (low & ~0xff) | (value as number);
      return;
    case 2:
      registers[slot * 2] = (low & ~0xffff) | (value as number);
      return;
    case 4:
      registers[slot * 2] = value as number;
      registers[slot * 2 + 1] = 0;
      return;
    case 8:
      registers[slot * 2] = Number(BigInt.asIntN(32, value as bigint));
      registers[slot * 2 + 1] = Number(BigInt.asIntN(32, (value as bigint) >> 32n));
  }
}

/** The address an operand names, as a number of up to 64 bits. */
export function linearAddress(state: ThreadState, operand: MemoryOperand, size: OperandSize): Value {
  let sum = BigInt(operand.displacement);
  if (operand.variable !== undefined)
    sum += BigInt(VARIABLES_BASE + state.layout.offsets.get(operand.variable)!);
  if (operand.base !== undefined) sum += BigInt(readRegister(state, operand.base, operand.base.size));
  if (operand.index !== undefined) {
    sum += BigInt(readRegister(state, operand.index, operand.index.size)) * BigInt(operand.scale);
  }
  return truncate(sum, size);
}

/**
 * The offset of an access into the variables.
 * @throws {AccessFault} outside them, or not aligned
 */
function offsetOf(state: ThreadState, operand: MemoryOperand, size: OperandSize): number {
  const address = addressOf(state, operand);
  const offset = address - VARIABLES_BASE;
  if (!(offset >= 0 && offset + size <= state.layout.bytes)) {
    throw new AccessFault(
      `touches address ${address < 0 ? '-' : ''}0x${Math.abs(address).toString(16)}, where no variable is`,
    );
  }
  if (offset % size !== 0)
    throw new AccessFault(`touches ${size} bytes that are not aligned: not atomic on x86`);
  return offset;
}

function addressOf(state: ThreadState, operand: MemoryOperand): number {
  if (operand.base === undefined && operand.index === undefined) {
    const base =
      operand.variable === undefined ? 0 : VARIABLES_BASE + state.layout.offsets.get(operand.variable)!;
    return base + operand.displacement;
  }
  // An address is as wide as the registers it is made of; it wraps around there, so that an index may be negative.
  const wide = operand.base?.size === 8 || operand.index?.size === 8;
  return Number(linearAddress(state, operand, wide ? 8 : 4));
}
