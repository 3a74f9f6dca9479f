/** What each instruction does to registers, flags and memory (Intel SDM volume 2). Jumps are the interpreter's. */
import { unreachable } from '#base/assert';
import {
  applyRmw,
  compute,
  type Computation,
  conditionHolds,
  Flag,
  type RmwOperation,
  truncate,
} from './alu.ts';
import type { Instruction, MemoryOperand, Operand, Value } from './program.ts';
import { ACCUMULATOR_SLOT } from './registers.ts';
import {
  linearAddress,
  read,
  readRegister,
  rmw,
  type ThreadState,
  write,
  writeRegister,
} from './thread-state.ts';

/** @throws {AccessFault} */
export function execute(state: ThreadState, instruction: Instruction): void {
  const { operation, size } = instruction;
  switch (operation) {
    case 'mov':
      return write(state, instruction.destination!, size, read(state, instruction.source!, size));
    case 'movzx':
    case 'movsx':
      return extend(state, instruction);
    case 'lea':
      return write(
        state,
        instruction.destination!,
        size,
        linearAddress(state, instruction.source as MemoryOperand, size),
      );
    case 'cmp':
    case 'test':
      compute(
        state,
        operation,
        size,
        read(state, instruction.destination!, size),
        read(state, instruction.source!, size),
      );
      return undefined;
    case 'cmov': {
      // The load happens whether or not the condition holds.
      const value = read(state, instruction.source!, size);
      const moves = conditionHolds(instruction.condition!, state.flags);
      // A 32-bit destination is extended with zeros either way.
      return write(
        state,
        instruction.destination!,
        size,
        moves ? value : read(state, instruction.destination!, size),
      );
    }
    case 'set':
      return write(
        state,
        instruction.destination!,
        1,
        conditionHolds(instruction.condition!, state.flags) ? 1 : 0,
      );
    case 'xchg':
    case 'uxch':
    case 'xadd':
    case 'cmpxchg':
      return exchange(state, instruction);
    case 'bt':
    case 'bts':
    case 'btr':
    case 'btc':
      return testBit(state, instruction);
    case 'mfence':
      return state.bus.fence();
    case 'sfence':
    case 'lfence':
    case 'nop':
      return undefined;
    case 'not':
      return update(state, instruction, 'xor', truncate(-1n, size), undefined);
    case 'inc':
    case 'dec':
      return update(state, instruction, operation === 'inc' ? 'add' : 'sub', truncate(1n, size), operation);
    case 'neg':
      return update(state, instruction, 'neg', truncate(0n, size), 'neg');
    case 'add':
    case 'sub':
    case 'and':
    case 'or':
    case 'xor':
      return update(state, instruction, operation, read(state, instruction.source!, size), operation);
    case 'adc':
    case 'sbb':
      return updateWithCarry(state, instruction, operation);
    case 'shl':
    case 'shr':
    case 'sar':
    case 'imul':
      return combine(state, instruction, operation);
    case 'jmp':
    case 'j':
    case 'ret':
      return undefined;
    default:
      return unreachable(operation, 'litmus interpreter');
  }
}

function extend(state: ThreadState, { operation, size, sourceSize, source, destination }: Instruction): void {
  const value = BigInt(read(state, source!, sourceSize));
  const extended = operation === 'movsx' ? BigInt.asIntN(sourceSize * 8, value) : value;
  write(state, destination!, size, truncate(extended, size));
}

/** Shifts and products: no locked form, so memory is loaded and stored. */
function combine(state: ThreadState, instruction: Instruction, operation: Computation): void {
  const { size } = instruction;
  const destination = instruction.destination!;
  const operand = read(state, instruction.source!, size);
  write(state, destination, size, compute(state, operation, size, read(state, destination, size), operand));
}

/**
 * Read-modify-write of the destination: one atomic step when locked, a load and a store of its own otherwise.
 * @param flagsBy what the flags are set by; undefined leaves them alone
 */
function update(
  state: ThreadState,
  instruction: Instruction,
  operation: RmwOperation & Computation,
  operand: Value,
  flagsBy: Computation | undefined,
): void {
  const { size } = instruction;
  const destination = instruction.destination!;
  if (instruction.locked) {
    const old = rmw(state, operation, destination as MemoryOperand, size, operand, operand);
    if (flagsBy !== undefined) compute(state, flagsBy, size, old, operand);
    return;
  }
  const old = read(state, destination, size);
  const next =
    flagsBy === undefined
      ? applyRmw(operation, size, old, operand, operand)
      : compute(state, flagsBy, size, old, operand);
  write(state, destination, size, next);
}

/** adc adds the operand and the carry: one number to the bus, two to the flags. */
function updateWithCarry(state: ThreadState, instruction: Instruction, operation: 'adc' | 'sbb'): void {
  if (!instruction.locked) return combine(state, instruction, operation);
  const { size } = instruction;
  const operand = read(state, instruction.source!, size);
  const total = truncate(BigInt(operand) + BigInt(state.flags & Flag.CARRY), size);
  const plain = operation === 'adc' ? 'add' : 'sub';
  const old = rmw(state, plain, instruction.destination as MemoryOperand, size, total, total);
  compute(state, operation, size, old, operand);
}

function exchange(state: ThreadState, instruction: Instruction): void {
  const { operation, size, locked } = instruction;
  const destination = instruction.destination!;
  const source = instruction.source!;
  const operand = read(state, source, size);
  if (operation === 'cmpxchg') {
    const expected = readRegister(state, { slot: ACCUMULATOR_SLOT, size, high: false }, size);
    const old = locked
      ? rmw(state, 'cmpxchg', destination as MemoryOperand, size, operand, expected)
      : read(state, destination, size);
    // The destination gets a write even when the comparison fails: its own value (SDM volume 2, CMPXCHG).
    if (!locked) write(state, destination, size, old === expected ? operand : old);
    compute(state, 'cmp', size, expected, old);
    if (old !== expected) writeRegister(state, { slot: ACCUMULATOR_SLOT, size, high: false }, size, old);
    return;
  }
  const rmwOperation = operation === 'xadd' ? 'add' : 'xchg';
  const old = locked
    ? rmw(state, rmwOperation, destination as MemoryOperand, size, operand, operand)
    : read(state, destination, size);
  // xadd writes its register before its destination, so that `xadd %eax,%eax` ends as the sum.
  if (operation === 'xadd') {
    write(state, source, size, old);
    const sum = compute(state, 'add', size, old, operand);
    if (!locked) write(state, destination, size, sum);
    return;
  }
  if (!locked) write(state, destination, size, operand);
  write(state, source, size, old);
}

/** A bit number in a register may reach beyond the operand when that is in memory; an immediate one wraps around. */
function testBit(state: ThreadState, instruction: Instruction): void {
  const { operation, size, locked, destination, source } = instruction;
  const number = BigInt(read(state, source!, size));
  const width = BigInt(size * 8);
  const far = destination!.kind === 'memory' && source!.kind === 'register';
  const reach = far
    ? Number(BigInt.asIntN(size * 8, number) >> (size === 8 ? 6n : size === 4 ? 5n : 4n)) * size
    : 0;
  const target: Operand = reach === 0 ? destination! : shifted(destination as MemoryOperand, reach);
  const mask = 1n << (number % width);
  const bit = truncate(mask, size);
  const [change, operand] =
    operation === 'btr'
      ? (['and', truncate(~mask, size)] as const)
      : ([operation === 'bts' ? 'or' : 'xor', bit] as const);
  const old = locked
    ? rmw(state, change, target as MemoryOperand, size, operand, operand)
    : read(state, target, size);
  if (!locked && operation !== 'bt')
    write(state, target, size, applyRmw(change, size, old, operand, operand));
  const set = (BigInt(old) & mask) !== 0n;
  state.flags = (state.flags & ~Flag.CARRY) | (set ? Flag.CARRY : 0);
}

function shifted(operand: MemoryOperand, bytes: number): MemoryOperand {
  return { ...operand, displacement: operand.displacement + bytes };
}
