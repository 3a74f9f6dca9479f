/** The program table: one column for each thread, rows ended by `;`. */
import { type DecodedInstruction, decodeInstruction } from './instructions.ts';
import type { Dialect } from './program.ts';
import type { RegisterFile } from './registers.ts';
import { litmusError } from './source.ts';

/** Threads a test may have: CPUs of the machine that runs it. */
export const THREADS_MAX = 16;

export interface RawThread {
  readonly proc: number;
  readonly instructions: DecodedInstruction[];
  readonly labels: [string, number][];
}

interface Row {
  readonly line: number;
  readonly cells: readonly string[];
}

/** @throws {SmplabError} SMPLAB_BAD_LITMUS */
export function parseTable(
  file: string,
  text: string,
  firstLine: number,
  dialect: Dialect,
  registers: RegisterFile,
): RawThread[] {
  // `lock; incl (x)` is one instruction: its semicolon ends no row.
  const rows = splitRows(text.replace(/((?:^|[|;:])\s*lock)(\s*);/gi, '$1$2 '), firstLine);
  const [head, ...body] = rows;
  if (head === undefined) throw litmusError(file, firstLine, 'there is no program: expected a row P0 | P1 ;');
  const threads = parseHead(file, head);
  for (const row of body) {
    if (row.cells.length > threads.length) {
      throw litmusError(file, row.line, `a row of ${row.cells.length} cells for ${threads.length} threads`);
    }
    row.cells.forEach((cell, column) =>
      addCell({ file, line: row.line, dialect, registers }, threads[column]!, cell),
    );
  }
  for (const thread of threads) resolveLabels(file, thread);
  return threads;
}

/** The line of a row is that of its first character that is not blank. */
function splitRows(text: string, firstLine: number): Row[] {
  const rows: Row[] = [];
  let line = firstLine;
  for (const part of text.split(';')) {
    const blank = /^\s*/.exec(part)![0];
    const start = line + countLines(blank);
    line += countLines(part);
    if (part.trim() !== '') rows.push({ line: start, cells: part.split('|').map((cell) => cell.trim()) });
  }
  return rows;
}

function countLines(text: string): number {
  return text.split('\n').length - 1;
}

function parseHead(file: string, head: Row): RawThread[] {
  if (head.cells.length > THREADS_MAX) {
    throw litmusError(file, head.line, `${head.cells.length} threads; this machine takes ${THREADS_MAX}`);
  }
  const threads = head.cells.map((cell): RawThread => {
    const proc = /^P(\d{1,4})(\s*:.*)?$/.exec(cell)?.[1];
    if (proc === undefined) throw litmusError(file, head.line, `expected P0 | P1 ... ; found '${cell}'`);
    return { proc: Number(proc), instructions: [], labels: [] };
  });
  threads.forEach((thread, at) => {
    if (threads.findIndex((other) => other.proc === thread.proc) !== at) {
      throw litmusError(file, head.line, `P${thread.proc} stands there twice`);
    }
  });
  return threads;
}

/** Labels, any number of them, then an instruction or nothing. */
function addCell(
  cell: { file: string; line: number; dialect: Dialect; registers: RegisterFile },
  thread: RawThread,
  text: string,
): void {
  let rest = text.replace(/\s+/g, ' ');
  for (;;) {
    const label = /^([A-Za-z_.][\w.]*) ?: ?(.*)$/.exec(rest);
    if (label === null) break;
    const name = label[1]!;
    if (thread.labels.some(([known]) => known === name)) {
      throw litmusError(cell.file, cell.line, `label ${name} stands twice in P${thread.proc}`);
    }
    thread.labels.push([name, thread.instructions.length]);
    rest = label[2]!;
  }
  if (rest !== '') thread.instructions.push(decodeInstruction(cell, rest));
}

function resolveLabels(file: string, thread: RawThread): void {
  thread.instructions.forEach((instruction, at) => {
    if (instruction.label === undefined) return;
    const found = thread.labels.find(([name]) => name === instruction.label);
    if (found === undefined) {
      throw litmusError(file, instruction.line, `P${thread.proc} has no label ${instruction.label}`);
    }
    thread.instructions[at] = { ...instruction, target: found[1] };
  });
}
