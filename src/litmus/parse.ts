/**
 * Reads a litmus file of herd's two x86 dialects: `X86_64`, AT&T syntax as diy7 writes it, and the older, Intel-like
 * `X86`. The format is described in the diy7 manual (diy.inria.fr/doc), chapters "Test syntax" of litmus7 and herd7.
 */
import { parseQuestion } from './conditions.ts';
import { parseInitialState } from './initial-state.ts';
import type { Dialect, LitmusProgram } from './program.ts';
import { RegisterFile } from './registers.ts';
import { resolveProgram } from './resolve.ts';
import { blankComments, litmusError, LITMUS_CHARACTERS_MAX, TokenReader, tokenize } from './source.ts';
import { parseTable } from './table.ts';

interface Section {
  readonly text: string;
  readonly line: number;
}

interface Header {
  readonly dialect: Dialect;
  readonly name: string;
  readonly comment: string | undefined;
  readonly information: [string, string][];
}

/**
 * @param text the whole file
 * @param file its name, for messages
 * @throws {SmplabError} SMPLAB_BAD_LITMUS, as `FILE:LINE: message`
 */
export function parseLitmus(text: string, file: string): LitmusProgram {
  if (text.length > LITMUS_CHARACTERS_MAX) {
    throw litmusError(file, 1, `longer than ${LITMUS_CHARACTERS_MAX} characters: not a litmus test`);
  }
  const clean = blankComments(file, text.replace(/^\uFEFF/, ''));
  const open = findBrace(file, clean);
  const close = findClosing(file, clean, open);
  const header = parseHeader(file, clean.slice(0, open));
  const { dialect } = header;
  const rest = clean.slice(close + 1);
  const question = QUESTION.exec(rest);
  const tableEnd = question === null ? rest.length : question.index + question[1]!.length;
  const initial = section(clean, open + 1, close);
  const table = section(clean, close + 1, close + 1 + tableEnd);
  const asked = section(clean, close + 1 + tableEnd, clean.length);

  const registers = new RegisterFile(dialect);
  const reader = (part: Section): TokenReader => new TokenReader(file, tokenize(file, part.text, part.line));
  const state = parseInitialState(reader(initial), dialect, registers);
  const threads = parseTable(file, table.text, table.line, dialect, registers);
  const parsed = parseQuestion(reader(asked), dialect, registers);
  return resolveProgram({ file, ...header, registers, state, threads, question: parsed });
}

/** Where the table ends and the question begins. */
const QUESTION = /(^|[;\s])(?:locations|filter|exists|forall|final|with|(?:~|not\b)\s*exists)\b/;

function section(text: string, from: number, to: number): Section {
  return { text: text.slice(from, to), line: text.slice(0, from).split('\n').length };
}

/** The brace of the init block begins a line, or else is the first there is: comments and information may have some. */
function findBrace(file: string, text: string): number {
  const match = /^ *\{/m.exec(text);
  const at = match === null ? text.indexOf('{') : match.index + match[0].length - 1;
  if (at >= 0) return at;
  throw litmusError(file, 1, "there is no init block: expected a line that begins with '{'");
}

function findClosing(file: string, text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    if (text[i] === '{') depth++;
    else if (text[i] === '}' && --depth === 0) return i;
  }
  throw litmusError(file, text.slice(0, open).split('\n').length, 'the init block has no closing }');
}

function parseHeader(file: string, text: string): Header {
  const lines = text.split('\n');
  let at = lines.findIndex((line) => line.trim() !== '');
  const title = /^\s*(\S+)\s+([^\s"]+)\s*(.*)$/.exec(lines[at] ?? '');
  if (title === null) throw litmusError(file, at + 1, 'expected the architecture and the name of the test');
  const dialect = dialectOf(title[1]!);
  if (dialect === undefined) {
    throw litmusError(file, at + 1, `architecture '${title[1]!}' is not X86 or X86_64`);
  }
  lines[at] = title[3]!;
  let comment: string | undefined;
  const information: [string, string][] = [];
  for (; at < lines.length; at++) {
    const line = lines[at]!.trim();
    const quoted = /^"([^"]*)"$/.exec(line);
    const pair = /^([A-Za-z][\w.-]*)\s*=(.*)$/.exec(line);
    if (quoted !== null) comment = quoted[1]!;
    else if (pair !== null) information.push([pair[1]!, pair[2]!.trim()]);
    else if (line !== '') {
      throw litmusError(file, at + 1, `expected a "comment", key=value or {, found '${line}'`);
    }
  }
  return { dialect, name: title[2]!, comment, information };
}

function dialectOf(word: string): Dialect | undefined {
  if (/^x86$/i.test(word)) return 'X86';
  return /^(x86[_-]64|amd64)$/i.test(word) ? 'X86_64' : undefined;
}
