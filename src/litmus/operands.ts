/** Operands of instructions, in AT&T's spelling (`$1`, `%eax`, `4(%rax,%rbx,8)`, `(x)`) and in herd's Intel-like one. */
import type {
  Dialect,
  MemoryOperand,
  Operand,
  OperandSize,
  RegisterName,
  RegisterOperand,
} from './program.ts';
import type { RegisterFile } from './registers.ts';
import { toBigInt } from './source.ts';

export interface ParsedOperand {
  readonly operand: Operand;
  /** `DWORD PTR [x]`: what it says about the size. */
  readonly size?: OperandSize;
}

const NUMBER = /^[+-]?(0[xX][0-9a-fA-F]+|0[oO][0-7]+|0[bB][01]+|[0-9]+)$/;
const NAME = /^[A-Za-z_][\w.]*$/;
const NAME_AND_OFFSET = /^[A-Za-z_][\w.]*(\s*[+-]\s*\w+)?$/;
const POINTER = /^(byte|word|dword|qword)(?:\s+ptr)?\s*(?=\[)/i;
const POINTER_SIZES: Readonly<Record<string, OperandSize>> = { byte: 1, word: 2, dword: 4, qword: 8 };

/** Thrown inside the room only; the caller knows the line. */
export class OperandError extends Error {}

/** @throws {OperandError} */
export function parseOperand(text: string, dialect: Dialect, registers: RegisterFile): ParsedOperand {
  const pointer = POINTER.exec(text);
  const bare = (pointer === null ? text : text.slice(pointer[0].length)).trim();
  const operand = parseBare(bare, dialect, registers);
  return pointer === null ? { operand } : { operand, size: POINTER_SIZES[pointer[1]!.toLowerCase()]! };
}

function parseBare(text: string, dialect: Dialect, registers: RegisterFile): Operand {
  if (text === '') throw new OperandError('an operand is missing');
  if (text.startsWith('$')) return parseImmediate(text.slice(1).trim(), registers);
  if (NUMBER.test(text)) return parseImmediate(text, registers);
  const register = /^%?\w+$/.test(text) ? registers.find(text) : undefined;
  if (register !== undefined) return { kind: 'register', ...register };
  // A segment in front means nothing in a flat address space.
  const flat = text.replace(/^%?[cdefgs]s:/i, '');
  const shape = /^([^()[\]]*)(?:\(([^()]*)\)|\[([^[\]]*)\])$/.exec(flat);
  if (shape !== null) return parseMemory(shape[1]!.trim(), (shape[2] ?? shape[3])!.trim(), registers);
  if (text.startsWith('%')) throw new OperandError(`'${text}' is not a register this machine has`);
  if (dialect === 'X86_64' && NAME_AND_OFFSET.test(text)) return parseMemory(text, '', registers);
  if (NAME.test(text))
    throw new OperandError(`'${text}': write [${text}] for the memory, $${text} for its address`);
  throw new OperandError(`'${text}' is not an operand`);
}

function parseImmediate(text: string, registers: RegisterFile): Operand {
  if (NUMBER.test(text)) return { kind: 'immediate', value: signed(text) };
  const sum = /^([A-Za-z_][\w.]*)\s*([+-]\s*\w+)?$/.exec(text);
  if (sum === null || registers.find(sum[1]!) !== undefined) {
    throw new OperandError(`'$${text}' is not a number or the name of a variable`);
  }
  const offset = sum[2] === undefined ? 0n : signed(sum[2].replace(/\s+/g, ''));
  return { kind: 'immediate', value: offset, symbol: sum[1]! };
}

function signed(text: string): bigint {
  if (!NUMBER.test(text)) throw new OperandError(`'${text}' is not a number`);
  return toBigInt(text.replace(/^\+/, ''));
}

type Address = { -readonly [Key in keyof MemoryOperand]: MemoryOperand[Key] };

function parseMemory(outside: string, inside: string, registers: RegisterFile): Operand {
  const address: Address = { kind: 'memory', displacement: 0, scale: 1 };
  if (outside !== '') addTerms(address, outside, registers);
  if (inside === '') {
    if (outside === '') throw new OperandError('() is not an address');
  } else if (inside.includes(',')) addBaseIndexScale(address, inside, registers);
  else addTerms(address, inside, registers);
  if (!Number.isSafeInteger(address.displacement) || Math.abs(address.displacement) > 0x7fff_ffff) {
    throw new OperandError(`displacement ${address.displacement} does not fit in 32 bits`);
  }
  return address;
}

/** `base, index, scale` of AT&T; each may be empty. */
function addBaseIndexScale(address: Address, inside: string, registers: RegisterFile): void {
  const [base = '', index = '', scale = '1', extra] = inside.split(',').map((part) => part.trim());
  if (extra !== undefined) throw new OperandError(`'(${inside})' has more than a base, an index and a scale`);
  if (base !== '') addTerms(address, base, registers);
  if (index !== '') address.index = registerIn(index, registers);
  address.scale = scaleOf(scale);
}

/** Registers, numbers and one variable, with + and - between them, and `register*scale`. */
function addTerms(address: Address, text: string, registers: RegisterFile): void {
  const terms = text.match(/[+-]?\s*[^+\-\s][^+-]*/g);
  if (terms === null || terms.join('') !== text.trim()) throw new OperandError(`'${text}' is not an address`);
  for (const term of terms) addTerm(address, term.replace(/\s+/g, ''), registers);
}

function addTerm(address: Address, term: string, registers: RegisterFile): void {
  if (NUMBER.test(term)) {
    address.displacement += Number(signed(term));
    return;
  }
  const bare = term.replace(/^\+/, '');
  const [name = '', scale] = bare.split('*');
  // Everything is addressed from the instruction pointer in 64-bit code; a variable's address is the same either way.
  if (/^%?rip$/i.test(name) && scale === undefined) return;
  const register = registers.find(name);
  if (register !== undefined && scale === undefined && address.base === undefined) address.base = register;
  else if (register !== undefined && address.index === undefined) {
    address.index = register;
    address.scale = scaleOf(scale ?? '1');
  } else if (register === undefined && NAME.test(bare) && address.variable === undefined)
    address.variable = bare;
  else throw new OperandError(`'${term}' has no place in an address`);
}

function registerIn(text: string, registers: RegisterFile): RegisterName {
  const register = registers.find(text);
  if (register === undefined) throw new OperandError(`'${text}' is not a register this machine has`);
  return register;
}

function scaleOf(text: string): number {
  // herd's own nop tests write a scale of 0.
  if (!['0', '1', '2', '4', '8'].includes(text))
    throw new OperandError(`scale '${text}' is not 1, 2, 4 or 8`);
  return Number(text);
}

export function isRegister(operand: Operand | undefined): operand is RegisterOperand {
  return operand?.kind === 'register';
}

export function isMemory(operand: Operand | undefined): operand is MemoryOperand {
  return operand?.kind === 'memory';
}
