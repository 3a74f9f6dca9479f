/** What is asked of the final states: `locations`, `filter`, and the condition. Reading only; see outcome.ts for judging. */
import {
  type DeclaredType,
  parseConstant,
  parseCount,
  parseList,
  parseName,
  parseProc,
  parseRegister,
  parseType,
  type RawConstant,
} from './initial-state.ts';
import type { Dialect, Quantifier, RegisterName } from './program.ts';
import type { RegisterFile } from './registers.ts';
import type { TokenReader } from './source.ts';

/** Deepest nesting of a condition: far above any real one, and below what a reader by recursion can take. */
export const CONDITION_DEPTH_MAX = 200;

export type RawLocation =
  | {
      readonly kind: 'register';
      readonly proc: number;
      readonly register: RegisterName;
      readonly line: number;
    }
  | {
      readonly kind: 'memory';
      readonly variable: string;
      readonly element: number | undefined;
      readonly line: number;
    };

export type RawProposition =
  | { readonly kind: 'true' | 'false' }
  | { readonly kind: 'equals'; readonly location: RawLocation; readonly constant: RawConstant }
  | { readonly kind: 'list'; readonly location: RawLocation; readonly constants: readonly RawConstant[] }
  | { readonly kind: 'same'; readonly location: RawLocation; readonly other: RawLocation }
  | { readonly kind: 'not'; readonly of: RawProposition }
  | {
      readonly kind: 'and' | 'or' | 'implies';
      readonly left: RawProposition;
      readonly right: RawProposition;
    };

export interface RawQuestion {
  readonly locations: readonly {
    readonly location: RawLocation;
    readonly declared: DeclaredType | undefined;
  }[];
  readonly filter: RawProposition | undefined;
  readonly quantifier: Quantifier;
  readonly condition: RawProposition;
}

/** Atoms of one condition: each is a level of the tree it is kept as. */
export const CONDITION_ATOMS_MAX = 2000;

interface Context {
  readonly reader: TokenReader;
  readonly dialect: Dialect;
  readonly registers: RegisterFile;
  atoms: number;
}

/** @throws {SmplabError} SMPLAB_BAD_LITMUS */
export function parseQuestion(reader: TokenReader, dialect: Dialect, registers: RegisterFile): RawQuestion {
  const context: Context = { reader, dialect, registers, atoms: 0 };
  const locations = reader.accept('locations') ? parseLocations(context) : [];
  const filter = reader.accept('filter') ? parseOr(context, 0) : undefined;
  const quantifier = parseQuantifier(reader);
  const condition: RawProposition = quantifier === undefined ? { kind: 'true' } : parseOr(context, 0);
  reader.accept(';');
  skipKinds(reader);
  if (reader.peek().kind !== 'end')
    throw reader.error(`unexpected '${reader.peek().text}' after the condition`);
  return { locations, filter, quantifier: quantifier ?? 'forall', condition };
}

/** undefined: there is no condition, which herd takes as one that always holds. */
function parseQuantifier(reader: TokenReader): Quantifier | undefined {
  if (reader.peek().kind === 'end') return undefined;
  if (reader.accept('exists') || reader.accept('final')) return 'exists';
  if (reader.accept('forall')) return 'forall';
  if (reader.accept('~') || reader.accept('not')) {
    reader.expect('exists', 'after ~');
    return '~exists';
  }
  if (reader.peek().text === '(') return 'exists';
  throw reader.error(`expected exists, ~exists or forall, found '${reader.peek().text}'`);
}

/** `with tso: exists; ...` says what single models of herd are expected to do; it asks nothing of ours. */
function skipKinds(reader: TokenReader): void {
  if (!reader.accept('with')) return;
  while (reader.peek().kind !== 'end') {
    parseName(reader, 'of a model');
    reader.expect(':', 'after the name of a model');
    if (parseQuantifier(reader) === undefined) throw reader.error('expected exists, ~exists or forall');
    if (!reader.accept(';')) return;
  }
}

function parseLocations(context: Context): { location: RawLocation; declared: DeclaredType | undefined }[] {
  const { reader, dialect } = context;
  const locations: { location: RawLocation; declared: DeclaredType | undefined }[] = [];
  reader.expect('[', 'after locations');
  while (!reader.accept(']')) {
    const location = parseLocation(context);
    locations.push({ location, declared: parseType(reader, dialect) });
    if (reader.peek().text !== ']') reader.expect(';', 'between locations');
  }
  return locations;
}

/** `0:EAX`, `x`, `[x]`, `t[1]`. */
function parseLocation(context: Context): RawLocation {
  const { reader, registers } = context;
  const { line } = reader.peek();
  const proc = parseProc(reader);
  if (proc !== undefined) return { kind: 'register', proc, register: parseRegister(reader, registers), line };
  const bracketed = reader.accept('[');
  const variable = parseName(reader, 'of a variable or thread:register');
  if (variable === 'fault') throw reader.error('faults are not modelled', line);
  const element = reader.accept('[') ? parseCount(reader) : undefined;
  if (bracketed) reader.expect(']', `after [${variable}`);
  return { kind: 'memory', variable, element, line };
}

// From the loosest to the tightest, as herd's grammar ranks them: \/, then /\, then =>, then ~. That => binds more
// tightly than /\ surprises, but a file must mean here what it means there.

function parseOr(context: Context, depth: number): RawProposition {
  let left = parseAnd(context, depth);
  while (context.reader.accept('\\/')) left = { kind: 'or', left, right: parseAnd(context, depth) };
  return left;
}

function parseAnd(context: Context, depth: number): RawProposition {
  let left = parseImplies(context, depth);
  while (context.reader.accept('/\\')) left = { kind: 'and', left, right: parseImplies(context, depth) };
  return left;
}

function parseImplies(context: Context, depth: number): RawProposition {
  const left = parseNot(context, depth);
  if (!context.reader.accept('=>')) return left;
  return { kind: 'implies', left, right: parseImplies(context, deeper(context, depth)) };
}

function parseNot(context: Context, depth: number): RawProposition {
  const { reader } = context;
  if (reader.accept('~') || reader.accept('not')) {
    return { kind: 'not', of: parseNot(context, deeper(context, depth)) };
  }
  if (reader.accept('(')) {
    const inner = parseOr(context, deeper(context, depth));
    reader.expect(')', 'to close (');
    return inner;
  }
  if (++context.atoms > CONDITION_ATOMS_MAX) {
    throw reader.error(`a condition of more than ${CONDITION_ATOMS_MAX} atoms`);
  }
  if (reader.accept('true')) return { kind: 'true' };
  if (reader.accept('false')) return { kind: 'false' };
  return parseAtom(context);
}

function deeper(context: Context, depth: number): number {
  if (depth >= CONDITION_DEPTH_MAX) {
    throw context.reader.error(`the condition nests deeper than ${CONDITION_DEPTH_MAX} levels`);
  }
  return depth + 1;
}

function parseAtom(context: Context): RawProposition {
  const { reader } = context;
  const location = parseLocation(context);
  if (reader.accept('!=')) return { kind: 'not', of: parseRight(context, location) };
  if (!reader.accept('==')) reader.expect('=', 'in the condition');
  return parseRight(context, location);
}

/** The right of =. A bare name is the address of that variable; `[y]`, `*y` and `1:EBX` are what stands there. */
function parseRight(context: Context, location: RawLocation): RawProposition {
  const { reader } = context;
  if (reader.peek().text === '{') return { kind: 'list', location, constants: parseList(reader) };
  const star = reader.accept('*');
  if (star || reader.peek().text === '[' || reader.peek(1).text === ':') {
    return { kind: 'same', location, other: parseLocation(context) };
  }
  return { kind: 'equals', location, constant: parseConstant(reader) };
}
