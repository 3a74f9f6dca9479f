/** A program as a litmus file, and a condition as logs print it. */
import { unreachable } from '#base/assert';
import { immediateText, instructionText } from './print-instruction.ts';
import type { Constant, CType, LitmusProgram, LitmusThread, LitmusVariable, Proposition } from './program.ts';
import { registerText } from './registers.ts';

/** The whole file. Reading it again gives the same program. */
export function printLitmus(program: LitmusProgram): string {
  const lines = [`${program.dialect} ${program.name}`];
  if (program.comment !== undefined) lines.push(`"${program.comment}"`);
  for (const [key, value] of program.information) lines.push(`${key}=${value}`);
  lines.push('{', ...initialLines(program), '}', ...tableLines(program));
  if (program.locations.length > 0) {
    const items = program.locations.map((at) => locationText(program, at));
    lines.push(`locations [${items.join(' ')}]`);
  }
  if (program.filter !== undefined) lines.push(`filter (${propositionText(program, program.filter)})`);
  lines.push(conditionText(program));
  return `${lines.join('\n')}\n`;
}

function initialLines(program: LitmusProgram): string[] {
  const { dialect, symbolicRegisters } = program;
  const registers = program.initialRegisters.map(({ thread, register, declared, value }) => {
    const type = declared === undefined ? '' : `${declared} `;
    const { proc } = program.threads[thread]!;
    return `  ${type}${proc}:${registerText(dialect, symbolicRegisters, register)}=${constantText(value)};`;
  });
  return [...program.variables.map(variableText), ...registers];
}

function variableText({ name, declared, array, initial }: LitmusVariable): string {
  const type = declared === undefined ? (array ? 'int ' : '') : `${declared} `;
  const values = initial.map(constantText);
  if (!array) return `  ${type}${name}=${values[0]!};`;
  const list = values.length === 0 ? '' : `={${values.join(',')}}`;
  return `  ${type}${name}[${values.length}]${list};`;
}

export function constantText(constant: Constant): string {
  return immediateText(constant.symbol, constant.value);
}

/** Columns side by side, padded; a thread that has ended leaves its cells empty. */
function tableLines(program: LitmusProgram): string[] {
  const columns = program.threads.map((thread) => [`P${thread.proc}`, ...threadCells(program, thread)]);
  const rows = Math.max(...columns.map((cells) => cells.length));
  const widths = columns.map((cells) => Math.max(...cells.map((cell) => cell.length)));
  return Array.from({ length: rows }, (_, row) => {
    const cells = columns.map((column, at) => (column[row] ?? '').padEnd(widths[at]!));
    return ` ${cells.join(' | ')} ;`;
  });
}

function threadCells(program: LitmusProgram, { instructions, labels }: LitmusThread): string[] {
  const cells: string[] = [];
  for (let at = 0; at <= instructions.length; at++) {
    for (const [name, target] of labels) if (target === at) cells.push(`${name}:`);
    if (at < instructions.length) cells.push(instructionText(program, instructions[at]!));
  }
  return cells;
}

function locationText(program: LitmusProgram, at: number): string {
  const { name, type, at: where } = program.observed[at]!;
  return where.kind === 'register' ? `${name} ${typeText(type)};` : `${name};`;
}

function typeText(type: CType): string {
  return `${type.signed ? '' : 'u'}int${type.size * 8}_t`;
}

/** `exists (0:EAX=0 /\ 1:EAX=0)` */
export function conditionText(program: LitmusProgram): string {
  return `${program.quantifier} (${propositionText(program, program.condition)})`;
}

/** How tightly each kind binds, as herd's grammar ranks them. */
const RANK = { or: 0, and: 1, implies: 2, not: 3 } as const;
const SIGN = { or: '\\/', and: '/\\', implies: '=>' } as const;

export function propositionText(program: LitmusProgram, proposition: Proposition): string {
  switch (proposition.kind) {
    case 'true':
    case 'false':
      return proposition.kind;
    case 'equals':
      return `${program.observed[proposition.item]!.name}=${constantText(proposition.constant)}`;
    case 'same': {
      const { name, at } = program.observed[proposition.other]!;
      // A bare t[1] on the right is an address; with a star it is what stands there.
      const right = at.kind === 'memory' && !name.startsWith('[') ? `*${name}` : name;
      return `${program.observed[proposition.item]!.name}=${right}`;
    }
    case 'not':
      return `not (${propositionText(program, proposition.of)})`;
    case 'and':
    case 'or':
    case 'implies': {
      const rank = RANK[proposition.kind];
      // and, or group to the left, => to the right: the other side needs parentheses when it is of the same kind.
      const leftFloor = proposition.kind === 'implies' ? rank + 1 : rank;
      const rightFloor = proposition.kind === 'implies' ? rank : rank + 1;
      const left = grouped(program, proposition.left, leftFloor);
      return `${left} ${SIGN[proposition.kind]} ${grouped(program, proposition.right, rightFloor)}`;
    }
    default:
      return unreachable(proposition, 'propositionText');
  }
}

function grouped(program: LitmusProgram, proposition: Proposition, floor: number): string {
  const text = propositionText(program, proposition);
  const rank = proposition.kind in RANK ? RANK[proposition.kind as keyof typeof RANK] : RANK.not;
  return rank < floor ? `(${text})` : text;
}
