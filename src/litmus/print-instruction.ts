/** An instruction as a litmus file writes it. What is printed here is read back as the same instruction. */
import { unreachable } from '#base/assert';
import type {
  Instruction,
  LitmusProgram,
  MemoryOperand,
  Operand,
  Operation,
  OperandSize,
  RegisterName,
} from './program.ts';
import { registerText } from './registers.ts';

const SUFFIX: Readonly<Record<OperandSize, string>> = { 1: 'b', 2: 'w', 4: 'l', 8: 'q' };

/** Instructions whose name says everything. */
const UNSIZED: ReadonlySet<Operation> = new Set<Operation>(['mfence', 'sfence', 'lfence', 'jmp', 'j', 'set']);

export function instructionText(program: LitmusProgram, instruction: Instruction): string {
  const name = mnemonicText(program, instruction);
  const lock = instruction.locked && instruction.operation !== 'xchg' ? 'lock ' : '';
  const text = program.dialect === 'X86' ? (lock + name).toUpperCase() : lock + name;
  const operands = operandsText(program, instruction);
  return operands === '' ? text : `${text} ${operands}`;
}

function mnemonicText(program: LitmusProgram, instruction: Instruction): string {
  const { operation, size, sourceSize, condition } = instruction;
  if (UNSIZED.has(operation)) return operation + (condition ?? '');
  if (operation === 'movzx' || operation === 'movsx') {
    return `mov${operation[3]!}${SUFFIX[sourceSize]}${SUFFIX[size]}`;
  }
  const bare = operation + (condition ?? '');
  return sizeGoesWithoutSaying(program, instruction) ? bare : bare + SUFFIX[size];
}

/** In X86 an int has no suffix, as far as the operands say that it is one. */
function sizeGoesWithoutSaying(program: LitmusProgram, instruction: Instruction): boolean {
  const { destination, source, size } = instruction;
  if (destination === undefined) return size === 4;
  if (program.dialect !== 'X86' || size !== 4) return false;
  if (destination.kind === 'register') return destination.size === 4;
  if (source?.kind === 'register') return source.size === 4;
  if (destination.kind !== 'memory' || destination.variable === undefined) return false;
  return program.variables.find(({ name }) => name === destination.variable)?.type.size === 4;
}

function operandsText(program: LitmusProgram, { destination, source, label }: Instruction): string {
  if (label !== undefined) return label;
  const operands = [destination, source].filter((each) => each !== undefined);
  if (program.dialect === 'X86_64') operands.reverse();
  return operands.map((operand) => operandText(program, operand)).join(',');
}

function operandText(program: LitmusProgram, operand: Operand): string {
  switch (operand.kind) {
    case 'register':
      return registerName(program, operand);
    case 'immediate':
      return `$${immediateText(operand.symbol, operand.value)}`;
    case 'memory':
      return program.dialect === 'X86' ? intelText(program, operand) : attText(program, operand);
    default:
      return unreachable(operand, 'operandText');
  }
}

/** `x`, `x+4`, `-1`. */
export function immediateText(symbol: string | undefined, value: bigint): string {
  if (symbol === undefined) return String(value);
  return value === 0n ? symbol : symbol + signed(value);
}

function signed(value: bigint | number): string {
  return value < 0 ? String(value) : `+${value}`;
}

function registerName(program: LitmusProgram, register: RegisterName): string {
  const text = registerText(program.dialect, program.symbolicRegisters, register);
  return program.dialect === 'X86' || text.startsWith('%') ? text : `%${text}`;
}

function attText(program: LitmusProgram, operand: MemoryOperand): string {
  const { variable, displacement, base, index, scale } = operand;
  const place = variable === undefined ? '' : immediateText(variable, BigInt(displacement));
  if (base === undefined && index === undefined) {
    return variable === undefined ? `[${displacement}]` : `(${place})`;
  }
  const outside = variable === undefined && displacement !== 0 ? String(displacement) : place;
  const first = base === undefined ? '' : registerName(program, base);
  const rest = index === undefined ? '' : `,${registerName(program, index)},${scale}`;
  return `${outside}(${first}${rest})`;
}

function intelText(program: LitmusProgram, operand: MemoryOperand): string {
  const { variable, displacement, base, index, scale } = operand;
  const terms: string[] = [];
  if (variable !== undefined) terms.push(variable);
  if (base !== undefined) terms.push(registerName(program, base));
  if (index !== undefined) terms.push(`${registerName(program, index)}*${scale}`);
  const sum = terms.join('+');
  if (sum === '') return `[${displacement}]`;
  return displacement === 0 ? `[${sum}]` : `[${sum}${signed(displacement)}]`;
}
