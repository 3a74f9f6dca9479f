/** Mnemonics of both dialects: operation, size by suffix, condition code. */
import type { ConditionCode, Operation, OperandSize } from './program.ts';

export interface Mnemonic {
  readonly operation: Operation;
  /** By suffix; absent where the operands say it. */
  readonly size?: OperandSize;
  readonly sourceSize?: OperandSize;
  readonly condition?: ConditionCode;
}

const SUFFIXES: Readonly<Record<string, OperandSize>> = { b: 1, w: 2, l: 4, q: 8 };

/** Every spelling of a condition. `lt`, `gt` are herd's own, for l and g. */
const CONDITIONS: Readonly<Record<string, ConditionCode>> = {
  o: 'o',
  no: 'no',
  b: 'b',
  c: 'b',
  nae: 'b',
  ae: 'ae',
  nb: 'ae',
  nc: 'ae',
  e: 'e',
  z: 'e',
  ne: 'ne',
  nz: 'ne',
  be: 'be',
  na: 'be',
  a: 'a',
  nbe: 'a',
  s: 's',
  ns: 'ns',
  p: 'p',
  pe: 'p',
  np: 'np',
  po: 'np',
  l: 'l',
  lt: 'l',
  nge: 'l',
  ge: 'ge',
  nl: 'ge',
  le: 'le',
  ng: 'le',
  g: 'g',
  gt: 'g',
  nle: 'g',
};

/** Those that take a size suffix. */
const SIZED: readonly Operation[] = [
  'mov',
  'add',
  'adc',
  'sub',
  'sbb',
  'and',
  'or',
  'xor',
  'cmp',
  'test',
  'inc',
  'dec',
  'neg',
  'not',
  'shl',
  'shr',
  'sar',
  'imul',
  'lea',
  'xchg',
  'uxch',
  'xadd',
  'cmpxchg',
  'bt',
  'bts',
  'btr',
  'btc',
  'nop',
  'ret',
];

function mnemonicTable(): ReadonlyMap<string, Mnemonic> {
  const table = new Map<string, Mnemonic>();
  const sized = (name: string, mnemonic: Mnemonic): void => {
    if (!table.has(name)) table.set(name, mnemonic);
    for (const [suffix, size] of Object.entries(SUFFIXES)) {
      // A name that is one already keeps its meaning: `cmovl` is "if less", not a 32-bit `cmov`.
      if (!table.has(name + suffix)) table.set(name + suffix, { ...mnemonic, size });
    }
  };
  for (const name of ['mfence', 'sfence', 'lfence'] as const) table.set(name, { operation: name });
  for (const name of ['pause', 'endbr64', 'endbr32']) table.set(name, { operation: 'nop' });
  table.set('jmp', { operation: 'jmp' });
  // Conditions before suffixes: `setb` and `cmovb` are "if below", not byte-sized.
  for (const [name, condition] of Object.entries(CONDITIONS)) {
    table.set(`j${name}`, { operation: 'j', condition });
    table.set(`set${name}`, { operation: 'set', size: 1, condition });
    table.set(`cmov${name}`, { operation: 'cmov', condition });
  }
  for (const [name, condition] of Object.entries(CONDITIONS)) {
    sized(`cmov${name}`, { operation: 'cmov', condition });
  }
  for (const operation of SIZED) sized(operation, { operation });
  sized('sal', { operation: 'shl' });
  table.set('movabsq', { operation: 'mov', size: 8 });
  table.set('movabs', { operation: 'mov', size: 8 });
  for (const [letter, operation] of [
    ['z', 'movzx'],
    ['s', 'movsx'],
  ] as const) {
    table.set(operation, { operation });
    for (const pair of ['bw', 'bl', 'bq', 'wl', 'wq', 'lq']) {
      const [from, to] = [pair[0]!, pair[1]!];
      if (operation === 'movzx' && from === 'l') continue;
      table.set(`mov${letter}${from}${to}`, { operation, size: SUFFIXES[to]!, sourceSize: SUFFIXES[from]! });
    }
  }
  table.set('movsxd', { operation: 'movsx', sourceSize: 4 });
  return table;
}

/** Made when the first instruction is read: CPU threads carry this file, and few of them ever run a litmus test. */
let mnemonics: ReadonlyMap<string, Mnemonic> | undefined;

/** Instructions we know and refuse, and why: a wrong answer would be worse than none. */
const REFUSED: readonly (readonly [RegExp, string])[] = [
  [/^movnt|^maskmov/, 'is a non-temporal store: weaker than x86-TSO, which is what the machine models'],
  [/^(clflush|clflushopt|clwb)$/, 'is about caches and persistence, which the machine does not model'],
  [/^(push|pop|call)/, 'needs a stack, which a litmus thread has not'],
  [
    /^(movd|movs[bdqw]?|movdq|movaps|movups|stos|cmps|rep)/,
    'is a string or vector instruction, which the machine does not model',
  ],
  [/^cmpxchg(8|16)b$/, 'is a double-word operation, which the machine does not model'],
];

export function findMnemonic(name: string): Mnemonic | undefined {
  mnemonics ??= mnemonicTable();
  return mnemonics.get(name.toLowerCase());
}

/** Why an instruction that is not in the table is not accepted. */
export function refusal(name: string): string {
  const lower = name.toLowerCase();
  const known = REFUSED.find(([pattern]) => pattern.test(lower));
  return known === undefined ? `unknown instruction '${name}'` : `'${name}' ${known[1]}`;
}
