/**
 * One cell of the program table, decoded. Operands come in AT&T's order (source first) in X86_64 and in Intel's in X86;
 * for xchg, xadd, cmpxchg and cmov, which herd itself has written both ways, the operand in memory decides.
 */
import { findMnemonic, type Mnemonic, refusal } from './mnemonics.ts';
import { isMemory, isRegister, OperandError, parseOperand, type ParsedOperand } from './operands.ts';
import type { Dialect, Instruction, Operand, Operation, OperandSize } from './program.ts';
import type { RegisterFile } from './registers.ts';
import { litmusError } from './source.ts';

/** Instructions that read, change and write their destination, and may be locked. */
const LOCKABLE: ReadonlySet<Operation> = new Set<Operation>([
  'add',
  'adc',
  'sub',
  'sbb',
  'and',
  'or',
  'xor',
  'inc',
  'dec',
  'neg',
  'not',
  'xchg',
  'xadd',
  'cmpxchg',
  'bts',
  'btr',
  'btc',
]);

const OPERANDS_ONE: ReadonlySet<Operation> = new Set<Operation>(['inc', 'dec', 'neg', 'not', 'set']);
const OPERANDS_NONE: ReadonlySet<Operation> = new Set<Operation>([
  'mfence',
  'sfence',
  'lfence',
  'nop',
  'ret',
]);

export interface Cell {
  readonly file: string;
  readonly line: number;
  readonly dialect: Dialect;
  readonly registers: RegisterFile;
}

/** An instruction whose size may still depend on the type of a variable: `size` 0 until then. */
export interface DecodedInstruction extends Omit<Instruction, 'size' | 'sourceSize'> {
  readonly size: OperandSize | 0;
  readonly sourceSize: OperandSize | 0;
}

/** @throws {SmplabError} SMPLAB_BAD_LITMUS */
export function decodeInstruction(cell: Cell, text: string): DecodedInstruction {
  const words = /^(lock\s+)?([A-Za-z]\w*)\s*(.*)$/is.exec(text);
  if (words === null) throw litmusError(cell.file, cell.line, `'${text}' is not an instruction`);
  const locked = words[1] !== undefined;
  const name = words[2]!;
  const mnemonic = findMnemonic(name);
  if (mnemonic === undefined) throw litmusError(cell.file, cell.line, refusal(name));
  if (mnemonic.operation === 'j' || mnemonic.operation === 'jmp')
    return decodeJump(cell, mnemonic, words[3]!, locked);
  try {
    const parts = splitOperands(words[3]!);
    const parsed = parts.map((part) => parseOperand(part, cell.dialect, cell.registers));
    return assemble(cell, name, mnemonic, parsed, locked);
  } catch (error) {
    if (error instanceof OperandError) throw litmusError(cell.file, cell.line, `${name}: ${error.message}`);
    throw error;
  }
}

function decodeJump(cell: Cell, mnemonic: Mnemonic, rest: string, locked: boolean): DecodedInstruction {
  const label = rest.trim();
  if (locked) throw litmusError(cell.file, cell.line, 'a jump cannot be locked');
  if (!/^[A-Za-z_.][\w.]*$/.test(label)) throw litmusError(cell.file, cell.line, `'${label}' is not a label`);
  const { operation, condition } = mnemonic;
  const jump = { operation, size: 4, sourceSize: 4, locked: false, label, line: cell.line } as const;
  return condition === undefined ? jump : { ...jump, condition };
}

/** Splits at commas outside brackets. */
function splitOperands(text: string): string[] {
  if (text.trim() === '') return [];
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!;
    if (character === '(' || character === '[') depth++;
    else if (character === ')' || character === ']') depth--;
    else if (character === ',' && depth === 0) {
      parts.push(text.slice(from, i).trim());
      from = i + 1;
    }
  }
  parts.push(text.slice(from).trim());
  return parts;
}

function assemble(
  cell: Cell,
  name: string,
  mnemonic: Mnemonic,
  parsed: readonly ParsedOperand[],
  lockPrefix: boolean,
): DecodedInstruction {
  const { operation } = mnemonic;
  const [destination, source] = arrange(cell.dialect, name, operation, parsed);
  const size = sizeOf(mnemonic, destination, source, parsed);
  const inMemory = isMemory(destination);
  if (lockPrefix && !(LOCKABLE.has(operation) && inMemory)) {
    throw new OperandError('the lock prefix needs a read-modify-write of memory');
  }
  checkOperands(operation, destination, source);
  return {
    operation,
    size,
    sourceSize: sourceSizeOf(mnemonic, source, parsed, size),
    locked: lockPrefix || (operation === 'xchg' && inMemory),
    ...(destination === undefined ? {} : { destination }),
    ...(source === undefined ? {} : { source }),
    ...(mnemonic.condition === undefined ? {} : { condition: mnemonic.condition }),
    line: cell.line,
  };
}

/** Which operand is the destination. */
function arrange(
  dialect: Dialect,
  name: string,
  operation: Operation,
  parsed: readonly ParsedOperand[],
): [Operand | undefined, Operand | undefined] {
  const operands = parsed.map((each) => each.operand);
  if (OPERANDS_NONE.has(operation)) {
    if (operands.length > 0 && operation !== 'nop') throw new OperandError(`${name} takes no operand`);
    return [undefined, undefined];
  }
  if (OPERANDS_ONE.has(operation) || (isShift(operation) && operands.length === 1)) {
    if (operands.length !== 1) throw new OperandError(`${name} takes one operand, not ${operands.length}`);
    return [operands[0], isShift(operation) ? { kind: 'immediate', value: 1n } : undefined];
  }
  if (operands.length !== 2) throw new OperandError(`${name} takes two operands, not ${operands.length}`);
  const [first, second] = operands as [Operand, Operand];
  if (['xchg', 'uxch', 'xadd', 'cmpxchg'].includes(operation)) {
    if (isMemory(first)) return [first, second];
    if (isMemory(second)) return [second, first];
  }
  if (operation === 'cmov' && isMemory(first)) return [second, first];
  if (operation === 'cmov' && isMemory(second)) return [first, second];
  return dialect === 'X86' ? [first, second] : [second, first];
}

function isShift(operation: Operation): boolean {
  return operation === 'shl' || operation === 'shr' || operation === 'sar';
}

function sizeOf(
  mnemonic: Mnemonic,
  destination: Operand | undefined,
  source: Operand | undefined,
  parsed: readonly ParsedOperand[],
): OperandSize | 0 {
  if (mnemonic.size !== undefined) return mnemonic.size;
  if (isRegister(destination)) return destination.size;
  const said = parsed.find((each) => each.size !== undefined)?.size;
  if (said !== undefined) return said;
  if (isRegister(source) && !isShift(mnemonic.operation)) return source.size;
  return destination === undefined ? 4 : 0;
}

function sourceSizeOf(
  mnemonic: Mnemonic,
  source: Operand | undefined,
  parsed: readonly ParsedOperand[],
  size: OperandSize | 0,
): OperandSize | 0 {
  if (mnemonic.operation !== 'movzx' && mnemonic.operation !== 'movsx') return size;
  if (mnemonic.sourceSize !== undefined) return mnemonic.sourceSize;
  if (isRegister(source)) return source.size;
  return parsed.find((each) => each.size !== undefined)?.size ?? 0;
}

function checkOperands(operation: Operation, destination?: Operand, source?: Operand): void {
  const comparing = operation === 'cmp' || operation === 'test' || operation === 'bt';
  if (destination?.kind === 'immediate' && !comparing)
    throw new OperandError('a number cannot be the destination');
  if (isMemory(destination) && isMemory(source)) throw new OperandError('only one operand can be in memory');
  if (operation === 'lea' && !isMemory(source))
    throw new OperandError('lea takes the address of an operand in memory');
  const toRegister = ['lea', 'movzx', 'movsx', 'cmov', 'imul'].includes(operation);
  if (toRegister && !isRegister(destination)) throw new OperandError('the destination must be a register');
  const fromRegister = ['xchg', 'uxch', 'xadd', 'cmpxchg'].includes(operation);
  if (fromRegister && !isRegister(source)) throw new OperandError('one operand must be a register');
  if (isShift(operation) && isMemory(source)) throw new OperandError('a shift counts by a number or %cl');
}
