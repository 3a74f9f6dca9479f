/** The block in braces: types and initial values of variables and registers, in the C-like way herd writes them. */
import type { CType, Dialect, RegisterName } from './program.ts';
import type { RegisterFile } from './registers.ts';
import { toBigInt, type TokenReader } from './source.ts';
import { addressType, isTypeWord, typeOf } from './types.ts';

/** Longest array a test may declare, in elements. */
export const ARRAY_ELEMENTS_MAX = 1024;

/** Elements of all arrays of a test together. */
export const ELEMENTS_MAX = 4096;

/** A constant before the sizes of variables are known: `t[2]` is an address that depends on the type of t. */
export interface RawConstant {
  readonly value: bigint;
  readonly symbol?: string;
  readonly element?: number;
}

export interface DeclaredType {
  readonly type: CType;
  readonly text: string;
}

export interface RawVariable {
  readonly name: string;
  readonly declared: DeclaredType | undefined;
  /** Elements in brackets; undefined for a scalar. */
  readonly elements: number | undefined;
  readonly values: readonly RawConstant[];
  readonly line: number;
}

export interface RawRegister {
  readonly proc: number;
  readonly register: RegisterName;
  readonly declared: DeclaredType | undefined;
  readonly value: RawConstant;
  readonly line: number;
}

export interface RawInitialState {
  readonly variables: Map<string, RawVariable>;
  readonly registers: RawRegister[];
  /** Array elements so far. */
  elements: number;
}

const ZERO: RawConstant = { value: 0n };

/** @throws {SmplabError} SMPLAB_BAD_LITMUS */
export function parseInitialState(
  reader: TokenReader,
  dialect: Dialect,
  registers: RegisterFile,
): RawInitialState {
  const state: RawInitialState = { variables: new Map(), registers: [], elements: 0 };
  while (reader.peek().kind !== 'end') {
    if (reader.accept(';')) continue;
    parseDeclaration(reader, dialect, registers, state);
    if (reader.peek().kind !== 'end') reader.expect(';', 'after an initial value');
  }
  return state;
}

function parseDeclaration(
  reader: TokenReader,
  dialect: Dialect,
  registers: RegisterFile,
  state: RawInitialState,
): void {
  const { line } = reader.peek();
  const declared = parseType(reader, dialect);
  const at = parseProc(reader);
  if (at !== undefined) {
    const register = parseRegister(reader, registers);
    const value = reader.accept('=') ? parseConstant(reader) : ZERO;
    state.registers.push({ proc: at, register, declared, value, line });
    return;
  }
  const bracketed = reader.accept('[');
  const name = parseName(reader, 'of a variable or thread:register');
  if (bracketed) reader.expect(']', `after [${name}`);
  const elements = !bracketed && reader.accept('[') ? parseCount(reader) : undefined;
  state.elements += elements ?? 0;
  if (state.elements > ELEMENTS_MAX)
    throw reader.error(`arrays of more than ${ELEMENTS_MAX} elements together`, line);
  const values = reader.accept('=') ? parseValues(reader, elements) : [];
  if (state.variables.has(name)) throw reader.error(`variable ${name} is initialised twice`, line);
  state.variables.set(name, { name, declared, elements, values, line });
}

/** Type words and stars in front of a location, if there are any. */
export function parseType(reader: TokenReader, dialect: Dialect): DeclaredType | undefined {
  const words: string[] = [];
  while (reader.peek().kind === 'name' && isTypeWord(reader.peek().text)) words.push(reader.next().text);
  let stars = 0;
  while (reader.accept('*')) stars++;
  if (words.length === 0 && stars === 0) {
    const [first, second] = [reader.peek(), reader.peek(1)];
    if (first.kind === 'name' && second.kind === 'name') throw reader.error(`unknown type '${first.text}'`);
    return undefined;
  }
  if (stars > 0)
    return { type: addressType(dialect), text: `${words.join(' ') || 'int'} ${'*'.repeat(stars)}` };
  const type = typeOf(words, dialect);
  if (type === undefined) throw reader.error(`'${words.join(' ')}' is not a type`);
  return { type, text: words.join(' ') };
}

/** `0:` or `P0:`; undefined when something else comes. */
export function parseProc(reader: TokenReader): number | undefined {
  const token = reader.peek();
  if (reader.peek(1).text !== ':') return undefined;
  const number = token.kind === 'number' ? token.text : /^P(\d+)$/.exec(token.text)?.[1];
  if (number === undefined || !/^\d{1,4}$/.test(number)) {
    throw reader.error(`'${token.text}' is not the number of a thread`);
  }
  reader.next();
  reader.next();
  return Number(number);
}

export function parseRegister(reader: TokenReader, registers: RegisterFile): RegisterName {
  const token = reader.next();
  const register = token.kind === 'name' ? registers.find(token.text) : undefined;
  if (register === undefined)
    throw reader.error(`'${token.text}' is not a register this machine has`, token.line);
  return register;
}

export function parseName(reader: TokenReader, what: string): string {
  const token = reader.next();
  if (token.kind !== 'name' || token.text.startsWith('%')) {
    throw reader.error(`expected the name ${what}, found '${token.text}'`, token.line);
  }
  return token.text;
}

export function parseCount(reader: TokenReader): number {
  const token = reader.next();
  const count = token.kind === 'number' ? Number(toBigInt(token.text)) : Number.NaN;
  if (!(count >= 0 && count <= ARRAY_ELEMENTS_MAX)) {
    throw reader.error(
      `expected a number of elements from 0 to ${ARRAY_ELEMENTS_MAX}, found '${token.text}'`,
      token.line,
    );
  }
  reader.expect(']', 'after a number of elements');
  return count;
}

function parseValues(reader: TokenReader, elements: number | undefined): RawConstant[] {
  if (elements === undefined) return [parseConstant(reader)];
  const { line } = reader.peek();
  const values = parseList(reader);
  if (values.length !== elements) {
    throw reader.error(`an array of ${elements} has ${values.length} initial values`, line);
  }
  return values;
}

/** `{1, 2}` */
export function parseList(reader: TokenReader): RawConstant[] {
  reader.expect('{', 'before the values of an array');
  const values: RawConstant[] = [];
  do values.push(parseConstant(reader));
  while (reader.accept(','));
  reader.expect('}', 'after the values of an array');
  return values;
}

/** A number, `x`, `&x`, `x+4`, `t[2]` (both addresses), or ATOMIC_INIT(number). */
export function parseConstant(reader: TokenReader): RawConstant {
  reader.accept('&');
  const token = reader.next();
  if (token.kind === 'number') return { value: fitting(reader, toBigInt(token.text), token.line) };
  if (token.kind !== 'name' || token.text.startsWith('%')) {
    throw reader.error(`expected a value, found '${token.text}'`, token.line);
  }
  if (token.text === 'ATOMIC_INIT') {
    reader.expect('(', 'after ATOMIC_INIT');
    const inner = parseConstant(reader);
    reader.expect(')', 'after a value');
    return inner;
  }
  if (reader.accept('[')) return { value: 0n, symbol: token.text, element: parseCount(reader) };
  if (!reader.accept('+')) return { value: 0n, symbol: token.text };
  const offset = reader.next();
  if (offset.kind !== 'number')
    throw reader.error(`expected a number of bytes, found '${offset.text}'`, offset.line);
  return { value: fitting(reader, toBigInt(offset.text), offset.line), symbol: token.text };
}

function fitting(reader: TokenReader, value: bigint, line: number): bigint {
  if (value >= -(1n << 63n) && value < 1n << 64n) return value;
  throw reader.error(`${value} does not fit in 64 bits`, line);
}
