/** The text of a litmus file while it is read: where we are, what comes next, and errors that say where. */
import { SmplabError } from '#base/errors';

/** Longest file that is read, in characters. Real ones have a few hundred; this keeps a wrong file from costing time. */
export const LITMUS_CHARACTERS_MAX = 100_000;

export interface Token {
  readonly kind: 'name' | 'number' | 'sign' | 'end';
  readonly text: string;
  readonly line: number;
}

/** Everything that can be wrong with a litmus file is said in this form. */
export function litmusError(file: string, line: number, message: string): SmplabError {
  return new SmplabError('SMPLAB_BAD_LITMUS', `${file}:${line}: ${message}`);
}

/**
 * Blanks out `(* ... *)` (nested) and `// ...` outside quotes, keeping every newline, so that lines stay what they were.
 * @throws {SmplabError} SMPLAB_BAD_LITMUS for a comment without an end
 */
export function blankComments(file: string, text: string): string {
  const out: string[] = [];
  let depth = 0;
  let opened = 1;
  let line = 1;
  let quoted = false;
  let i = 0;
  while (i < text.length) {
    const two = text.slice(i, i + 2);
    const one = text[i]!;
    if (one === '\n') {
      line++;
      // A quoted comment ends with its line at the latest: a stray quote must not hide the rest of the file.
      quoted = false;
      out.push('\n');
      i++;
    } else if (!quoted && two === '(*') {
      if (depth++ === 0) opened = line;
      out.push('  ');
      i += 2;
    } else if (depth > 0 && two === '*)') {
      depth--;
      out.push('  ');
      i += 2;
    } else if (depth > 0) {
      out.push(' ');
      i++;
    } else if (!quoted && two === '//') {
      while (i < text.length && text[i] !== '\n') i++;
    } else {
      if (one === '"') quoted = !quoted;
      out.push(one === '\r' || one === '\t' ? ' ' : one);
      i++;
    }
  }
  if (depth > 0) throw litmusError(file, opened, 'comment (* has no end *)');
  return out.join('');
}

const TOKEN =
  /\s+|(%?[A-Za-z_][\w.]*)|(-?0[xX][0-9a-fA-F]+|-?0[oO][0-7]+|-?0[bB][01]+|-?[0-9]+)|(\/\\|\\\/|=>|==|!=|[-=~()[\]{};,:*&+<>|!])/y;

/** Splits the init block, the locations and the condition into tokens. The table of instructions has its own reader. */
export function tokenize(file: string, text: string, firstLine: number): Token[] {
  const tokens: Token[] = [];
  let line = firstLine;
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (match === null) throw litmusError(file, line, `unexpected character '${text[at]!}'`);
    const [whole, name, number, sign] = match;
    if (name !== undefined) tokens.push({ kind: 'name', text: name, line });
    else if (number !== undefined) tokens.push({ kind: 'number', text: number, line });
    else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign, line });
    else for (const character of whole) if (character === '\n') line++;
  }
  tokens.push({ kind: 'end', text: 'end of file', line });
  return tokens;
}

/** A number as a file writes it: decimal, 0x, 0o or 0b, perhaps negative. */
export function toBigInt(text: string): bigint {
  return text.startsWith('-') ? -BigInt(text.slice(1)) : BigInt(text);
}

/** Reads tokens one after the other. */
export class TokenReader {
  readonly file: string;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(file: string, tokens: readonly Token[]) {
    this.file = file;
    this.#tokens = tokens;
  }

  peek(ahead = 0): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)]!;
  }

  next(): Token {
    const token = this.peek();
    if (token.kind !== 'end') this.#at++;
    return token;
  }

  /** Takes the next token if it is this one. */
  accept(text: string): boolean {
    const token = this.peek();
    if (token.kind === 'end' || token.text !== text) return false;
    this.#at++;
    return true;
  }

  expect(text: string, where: string): void {
    if (!this.accept(text)) throw this.error(`expected '${text}' ${where}, found '${this.peek().text}'`);
  }

  error(message: string, line = this.peek().line): SmplabError {
    return litmusError(this.file, line, message);
  }
}
