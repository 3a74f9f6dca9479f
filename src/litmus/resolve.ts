/**
 * From what a file says to what it means: types nobody wrote, sizes that follow from them, addresses of array elements,
 * and the list of what is observed.
 */
import { unreachable } from '#base/assert';
import type { RawProposition, RawQuestion } from './conditions.ts';
import type { RawConstant, RawVariable } from './initial-state.ts';
import type { DecodedInstruction } from './instructions.ts';
import { isMemory } from './operands.ts';
import { ObservedTable } from './observed-table.ts';
import type {
  Constant,
  CType,
  Dialect,
  InitialRegister,
  Instruction,
  LitmusProgram,
  LitmusThread,
  LitmusVariable,
  MemoryOperand,
  Operand,
  OperandSize,
  Proposition,
} from './program.ts';
import type { RawProgram } from './raw-program.ts';
import { litmusError } from './source.ts';
import { addressType, INT } from './types.ts';

/** @throws {SmplabError} SMPLAB_BAD_LITMUS */
export function resolveProgram(raw: RawProgram): LitmusProgram {
  const types = inferTypes(raw);
  const threads = raw.threads.map((thread): LitmusThread => {
    const pointers = initialPointers(raw, thread.proc);
    const instructions = thread.instructions.map((each) => sizeInstruction(raw.file, each, pointers, types));
    return { proc: thread.proc, instructions, labels: thread.labels };
  });
  const variables = [...types].map(([name, type]) => resolveVariable(raw, name, type, types));
  const initialRegisters = resolveRegisters(raw, types);
  const table = new ObservedTable(raw, threads, initialRegisters, variables);
  const { question } = raw;
  for (const { location, declared } of question.locations) table.add(location, declared);
  if (question.filter !== undefined) table.addAll(question.filter);
  table.addAll(question.condition);
  const observed = table.order();
  const proposition = (each: RawProposition): Proposition => resolveProposition(each, table, types);
  const { comment } = raw;
  return {
    dialect: raw.dialect,
    name: raw.name,
    ...(comment === undefined ? {} : { comment }),
    information: raw.information,
    variables,
    initialRegisters,
    threads,
    symbolicRegisters: raw.registers.symbolic,
    observed,
    locations: question.locations.flatMap(({ location }) => table.indices(location)),
    ...(question.filter === undefined ? {} : { filter: proposition(question.filter) }),
    quantifier: question.quantifier,
    condition: proposition(question.condition),
  };
}

/** Registers of a thread that hold the address of a variable from the start: slot -> variable. */
function initialPointers(raw: RawProgram, proc: number): Map<number, string> {
  const pointers = new Map<number, string>();
  for (const { proc: of, register, value } of raw.state.registers) {
    if (of === proc && value.symbol !== undefined) pointers.set(register.slot, value.symbol);
  }
  return pointers;
}

/** The variable an operand is meant to touch: by name, or by the address its base register starts with. */
function variableOf(operand: MemoryOperand, pointers: ReadonlyMap<number, string>): string | undefined {
  return operand.variable ?? (operand.base === undefined ? undefined : pointers.get(operand.base.slot));
}

/** Types of all variables, by name in ascending order. Undeclared ones are int, or as wide as their widest access. */
function inferTypes(raw: RawProgram): Map<string, CType> {
  const widest = new Map<string, number>();
  const note = (name: string, bytes: number): void => {
    widest.set(name, Math.max(widest.get(name) ?? INT.size, bytes));
  };
  const noteConstant = ({ symbol }: RawConstant): void => {
    if (symbol !== undefined) note(symbol, 0);
  };
  for (const thread of raw.threads) {
    const pointers = initialPointers(raw, thread.proc);
    for (const instruction of thread.instructions) {
      for (const operand of [instruction.source, instruction.destination]) {
        noteOperand(instruction, operand, pointers, note);
      }
    }
  }
  for (const variable of raw.state.variables.values()) {
    variable.values.forEach(noteConstant);
    note(variable.name, initialBytes(variable, raw.dialect));
  }
  for (const { value } of raw.state.registers) noteConstant(value);
  noteQuestion(raw.question, note, noteConstant);
  const names = [...widest.keys()].toSorted(byCodeUnit);
  return new Map(
    names.map((name) => {
      const declared = raw.state.variables.get(name)?.declared?.type;
      return [name, declared ?? (widest.get(name)! > INT.size ? { size: 8, signed: true } : INT)];
    }),
  );
}

function noteOperand(
  instruction: DecodedInstruction,
  operand: Operand | undefined,
  pointers: ReadonlyMap<number, string>,
  note: (name: string, bytes: number) => void,
): void {
  if (operand?.kind === 'immediate' && operand.symbol !== undefined) note(operand.symbol, 0);
  if (!isMemory(operand)) return;
  const name = variableOf(operand, pointers);
  if (name === undefined) return;
  // Only the source of movzx and movsx can be in memory, and lea looks at no memory at all.
  note(name, instruction.operation === 'lea' ? 0 : instruction.sourceSize);
}

function initialBytes(variable: RawVariable, dialect: Dialect): number {
  const wide = variable.values.some(({ value, symbol }) => {
    if (symbol !== undefined) return addressType(dialect).size > INT.size;
    return value < -(1n << 31n) || value >= 1n << 32n;
  });
  return wide ? 8 : 0;
}

function noteQuestion(
  question: RawQuestion,
  note: (name: string, bytes: number) => void,
  noteConstant: (constant: RawConstant) => void,
): void {
  const walk = (proposition: RawProposition): void => {
    if (proposition.kind === 'not') walk(proposition.of);
    if ('left' in proposition) {
      walk(proposition.left);
      walk(proposition.right);
    }
    if ('location' in proposition && proposition.location.kind === 'memory')
      note(proposition.location.variable, 0);
    if ('other' in proposition && proposition.other.kind === 'memory') note(proposition.other.variable, 0);
    if ('constant' in proposition) noteConstant(proposition.constant);
    if ('constants' in proposition) proposition.constants.forEach(noteConstant);
  };
  for (const { location } of question.locations) if (location.kind === 'memory') note(location.variable, 0);
  if (question.filter !== undefined) walk(question.filter);
  walk(question.condition);
}

/** Orders by UTF-16 code units: the same in every locale. */
function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Settles a size that neither suffix nor register said: that of the variable, or int. */
function sizeInstruction(
  file: string,
  instruction: DecodedInstruction,
  pointers: ReadonlyMap<number, string>,
  types: ReadonlyMap<string, CType>,
): Instruction {
  const { size, sourceSize, operation, line } = instruction;
  const operand = isMemory(instruction.destination) ? instruction.destination : instruction.source;
  const name = isMemory(operand) ? variableOf(operand, pointers) : undefined;
  const natural: OperandSize = (name === undefined ? undefined : types.get(name)?.size) ?? INT.size;
  const sized = {
    ...instruction,
    size: size === 0 ? natural : size,
    sourceSize: sourceSize === 0 ? natural : sourceSize,
  };
  if ((operation === 'movzx' || operation === 'movsx') && sized.sourceSize >= sized.size) {
    throw litmusError(
      file,
      line,
      `${operation} from ${sized.sourceSize} to ${sized.size} bytes extends nothing`,
    );
  }
  return sized;
}

function resolveVariable(
  raw: RawProgram,
  name: string,
  type: CType,
  types: ReadonlyMap<string, CType>,
): LitmusVariable {
  const variable = raw.state.variables.get(name);
  const count = variable?.elements ?? 1;
  const initial = Array.from({ length: count }, (_, at) => {
    const value = variable?.values[at];
    return value === undefined ? { value: 0n } : resolveConstant(value, types);
  });
  const declared = variable?.declared?.text;
  const shape = { name, type, array: variable?.elements !== undefined, initial };
  return declared === undefined ? shape : { ...shape, declared };
}

function resolveRegisters(raw: RawProgram, types: ReadonlyMap<string, CType>): InitialRegister[] {
  return raw.state.registers.map(({ proc, register, declared, value, line }) => {
    const thread = raw.threads.findIndex((each) => each.proc === proc);
    if (thread < 0) throw litmusError(raw.file, line, `there is no thread P${proc}`);
    const initial = { thread, register, value: resolveConstant(value, types) };
    return declared === undefined ? initial : { ...initial, declared: declared.text };
  });
}

/** `t[2]` becomes t plus two elements' bytes. */
function resolveConstant(constant: RawConstant, types: ReadonlyMap<string, CType>): Constant {
  const { value, symbol, element } = constant;
  if (symbol === undefined) return { value };
  const size = types.get(symbol)?.size ?? INT.size;
  return { value: value + BigInt((element ?? 0) * size), symbol };
}

function resolveProposition(
  raw: RawProposition,
  table: ObservedTable,
  types: ReadonlyMap<string, CType>,
): Proposition {
  switch (raw.kind) {
    case 'true':
    case 'false':
      return { kind: raw.kind };
    case 'equals':
      return {
        kind: 'equals',
        item: table.index(raw.location),
        constant: resolveConstant(raw.constant, types),
      };
    case 'same':
      return { kind: 'same', item: table.index(raw.location), other: table.index(raw.other) };
    case 'not':
      return { kind: 'not', of: resolveProposition(raw.of, table, types) };
    case 'list':
      return table
        .elements(raw.location, raw.constants.length)
        .map((item, at): Proposition => ({
          kind: 'equals',
          item,
          constant: resolveConstant(raw.constants[at]!, types),
        }))
        .reduce((left, right) => ({ kind: 'and', left, right }));
    case 'and':
    case 'or':
    case 'implies':
      return {
        kind: raw.kind,
        left: resolveProposition(raw.left, table, types),
        right: resolveProposition(raw.right, table, types),
      };
    default:
      return unreachable(raw, 'resolveProposition');
  }
}
