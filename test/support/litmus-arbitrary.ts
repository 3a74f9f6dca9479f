/**
 * Litmus tests by chance, as texts: small enough to be enumerated, and with everything in them that changes how threads
 * meet: plain accesses, locked ones, fences, branches over accesses, spin loops.
 */
import * as fc from 'fast-check';
import type { Dialect } from '#litmus/program';

export interface LitmusShape {
  /** Accesses and fences of all threads together. */
  readonly operationsMax: number;
  readonly threadsMax: number;
  readonly variablesMax: number;
  /** Loops that wait for a variable to become nonzero. They make executions that come to nothing. */
  readonly spins: boolean;
}

export const SMALL: LitmusShape = { operationsMax: 8, threadsMax: 3, variablesMax: 3, spins: false };

const VARIABLES = ['x', 'y', 'z'];
/** Threads should meet: two of the variables come up twice as often as the third. */
const OFTEN = ['x', 'x', 'y', 'y', 'z'];
const REGISTERS = ['eax', 'ebx', 'ecx', 'edx'];

/** One line of a thread without its labels; `operations` is what it costs of the budget. */
interface Piece {
  readonly lines: (at: number) => string[];
  readonly operations: number;
}

function pieceOf(dialect: Dialect, shape: LitmusShape): fc.Arbitrary<Piece> {
  const intel = dialect === 'X86';
  const memory = (name: string): string => (intel ? `[${name}]` : `(${name})`);
  const register = (name: string): string => (intel ? name.toUpperCase() : `%${name}`);
  const two = (name: string, suffix: string, destination: string, source: string): string =>
    intel ? `${name.toUpperCase()} ${destination},${source}` : `${name}${suffix} ${source},${destination}`;
  const one = (name: string, operand: string): string =>
    intel ? `${name.toUpperCase()} ${operand}` : `${name}l ${operand}`;
  const word = (text: string): string => (intel ? text.toUpperCase() : text);

  const variable = fc
    .constantFrom(...OFTEN.filter((name) => VARIABLES.indexOf(name) < shape.variablesMax))
    .map(memory);
  const target = fc.constantFrom(...REGISTERS).map(register);
  const value = fc.integer({ min: 1, max: 3 }).map((number) => `$${number}`);
  const simple = (operations: number, ...lines: string[]): Piece => ({ operations, lines: () => lines });

  const store = fc.tuple(variable, value).map(([to, number]) => simple(1, two('mov', 'l', to, number)));
  const load = fc.tuple(variable, target).map(([from, to]) => simple(1, two('mov', 'l', to, from)));
  const choices: { weight: number; arbitrary: fc.Arbitrary<Piece> }[] = [
    { weight: 12, arbitrary: store },
    { weight: 12, arbitrary: load },
    {
      weight: 2,
      arbitrary: fc.tuple(variable, target).map(([to, from]) => simple(1, two('mov', 'l', to, from))),
    },
    { weight: 2, arbitrary: fc.constant(simple(1, word('mfence'))) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(variable, target, value)
        .map(([to, from, number]) => simple(1, two('mov', 'l', from, number), two('xchg', 'l', to, from))),
    },
    {
      weight: 2,
      arbitrary: fc
        .tuple(variable, fc.constantFrom('add', 'sub', 'and', 'or', 'xor'), value)
        .map(([to, name, number]) => simple(1, `${word('lock ')}${two(name, 'l', to, number)}`)),
    },
    { weight: 1, arbitrary: variable.map((to) => simple(1, `${word('lock ')}${one('inc', to)}`)) },
    { weight: 1, arbitrary: variable.map((to) => simple(2, one('inc', to))) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(variable, target)
        .map(([to, from]) => simple(1, `${word('lock ')}${two('xadd', 'l', to, from)}`)),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(variable, fc.constantFrom('ebx', 'ecx').map(register), value)
        .map(([to, from, number]) =>
          simple(1, two('mov', 'l', from, number), `${word('lock ')}${two('cmpxchg', 'l', to, from)}`),
        ),
    },
    {
      // A store that happens only if a register is zero.
      weight: 1,
      arbitrary: fc.tuple(target, variable, value).map(([tested, to, number]) => ({
        operations: 1,
        lines: (at: number) => [
          two('cmp', 'l', tested, '$0'),
          `${word('jne')} L${at}`,
          two('mov', 'l', to, number),
          `L${at}:`,
        ],
      })),
    },
  ];
  if (shape.spins) {
    const spin = fc.tuple(variable, target).map(([from, to]) => ({
      operations: 2,
      lines: (at: number) => [
        `W${at}:`,
        two('mov', 'l', to, from),
        two('cmp', 'l', to, '$0'),
        `${word('je')} W${at}`,
      ],
    }));
    choices.push({ weight: 2, arbitrary: spin });
  }
  return fc.oneof(...choices);
}

/** Texts of tests that look at every register and every variable. */
export function litmusArbitrary(shape: LitmusShape = SMALL): fc.Arbitrary<string> {
  return fc.constantFrom<Dialect>('X86', 'X86_64').chain((dialect) =>
    fc
      .array(fc.array(pieceOf(dialect, shape), { minLength: 2, maxLength: 4, size: 'max' }), {
        minLength: Math.min(2, shape.threadsMax),
        maxLength: shape.threadsMax,
      })
      .map((threads) => litmusText(dialect, withinBudget(threads, shape.operationsMax), shape.variablesMax)),
  );
}

/** Leaves out pieces that would make more operations than there may be: the last of each thread, so that all keep some. */
function withinBudget(threads: readonly (readonly Piece[])[], operationsMax: number): Piece[][] {
  const kept: Piece[][] = threads.map(() => []);
  let left = operationsMax;
  const longest = Math.max(...threads.map(({ length }) => length));
  for (let at = 0; at < longest; at++) {
    threads.forEach((pieces, thread) => {
      const piece = pieces[at];
      if (piece === undefined || piece.operations > left) return;
      left -= piece.operations;
      kept[thread]!.push(piece);
    });
  }
  return kept;
}

function litmusText(dialect: Dialect, threads: readonly (readonly Piece[])[], variables: number): string {
  const columns = threads.map((pieces, thread) => [
    `P${thread}`,
    ...pieces.flatMap((piece, at) => piece.lines(at)),
  ]);
  const rows = Math.max(...columns.map((column) => column.length));
  const table = Array.from(
    { length: rows },
    (_, row) => `${columns.map((column) => column[row] ?? '').join(' | ')} ;`,
  );
  const names = VARIABLES.slice(0, variables);
  const registers = threads.flatMap((_, thread) =>
    REGISTERS.map((name) => (dialect === 'X86' ? `${thread}:${name.toUpperCase()}` : `${thread}:${name}`)),
  );
  const observed = [...registers, ...names].map((name) => `${name};`).join(' ');
  const initial = names.map((name) => `${name}=0;`).join(' ');
  return `${dialect} generated\n{ ${initial} }\n${table.join('\n')}\nlocations [${observed}]\nforall (true)\n`;
}

/** One test for each seed, always the same. */
export function generateLitmus(seed: number, shape: LitmusShape = SMALL): string {
  return fc.sample(fc.noBias(litmusArbitrary(shape)), { seed, numRuns: 1 })[0]!;
}
