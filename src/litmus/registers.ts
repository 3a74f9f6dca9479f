/** Names of x86's general registers. Slots follow herd's order, because logs sort registers by it. */
import type { Dialect, OperandSize, RegisterName } from './program.ts';

export const ARCHITECTURAL_SLOTS = 16;

/** Symbolic registers of one test: as many as can ever become real ones in four threads. */
export const SYMBOLIC_REGISTERS_MAX = 64;

const CLASSIC = ['ax', 'bx', 'cx', 'dx', 'si', 'di', 'bp', 'sp'] as const;

/** Slot of RAX: what cmpxchg compares with. */
export const ACCUMULATOR_SLOT = 0;
/** Slot of RCX: the count of a shift by %cl. */
export const COUNT_SLOT = 2;

function nameTable(): ReadonlyMap<string, RegisterName> {
  const table = new Map<string, RegisterName>();
  const add = (name: string, slot: number, size: OperandSize, high = false): void => {
    table.set(name, { slot, size, high });
  };
  CLASSIC.forEach((name, slot) => {
    add(`r${name}`, slot, 8);
    add(`e${name}`, slot, 4);
    add(name, slot, 2);
    if (name.endsWith('x')) {
      add(`${name[0]!}l`, slot, 1);
      add(`${name[0]!}h`, slot, 1, true);
    } else {
      add(`${name}l`, slot, 1);
    }
  });
  for (let number = 8; number < 16; number++) {
    add(`r${number}`, number, 8);
    add(`r${number}d`, number, 4);
    add(`r${number}w`, number, 2);
    add(`r${number}b`, number, 1);
  }
  return table;
}

/** Both made when first asked for: CPU threads carry this file, and few of them ever run a litmus test. */
let byName: ReadonlyMap<string, RegisterName> | undefined;
let namesByKey: ReadonlyMap<string, string> | undefined;

function registers(): ReadonlyMap<string, RegisterName> {
  byName ??= nameTable();
  return byName;
}

function nameOf(register: RegisterName): string {
  namesByKey ??= new Map([...registers()].map(([name, known]) => [registerKey(known), name]));
  return namesByKey.get(registerKey(register))!;
}

function registerKey(register: RegisterName): string {
  return `${register.slot}/${register.size}/${register.high}`;
}

/** Segment registers are 0 in a flat machine; a test may name them, and then they are registers like any other. */
const SEGMENTS = new Set(['cs', 'ds', 'es', 'fs', 'gs', 'ss']);

/** Registers that x86 has and litmus tests of memory have no use for: not to be taken for symbolic ones. */
const NOT_GENERAL = /^%?([xyz]?mm\d+|st\d?|cr\d+|dr\d+|k\d|rip|eip|rflags|eflags)$/i;

/** The architectural register of this name, whatever its case, with or without %. */
export function findRegister(name: string): RegisterName | undefined {
  return registers().get(name.replace(/^%/, '').toLowerCase());
}

export function isSegment(name: string): boolean {
  return SEGMENTS.has(name.replace(/^%/, '').toLowerCase());
}

/** Registers of one file: the architectural ones, and symbolic ones (`%a`) in the order they are met. */
export class RegisterFile {
  readonly symbolic: string[] = [];
  readonly #wide: OperandSize;

  constructor(dialect: Dialect) {
    this.#wide = dialect === 'X86' ? 4 : 8;
  }

  /** `name` is a register's name, or `%name` of a symbolic one; anything else is none. */
  find(name: string): RegisterName | undefined {
    const known = findRegister(name);
    if (known !== undefined) return known;
    if (!name.startsWith('%') && !isSegment(name)) return undefined;
    if (NOT_GENERAL.test(name)) return undefined;
    const bare = name.replace(/^%/, '');
    let at = this.symbolic.indexOf(bare);
    if (at < 0 && this.symbolic.length === SYMBOLIC_REGISTERS_MAX) return undefined;
    if (at < 0) at = this.symbolic.push(bare) - 1;
    return { slot: ARCHITECTURAL_SLOTS + at, size: this.#wide, high: false };
  }
}

/** How the dialect spells a register in logs: EAX in X86, rax in X86_64. Symbolic ones keep their %. */
export function registerText(dialect: Dialect, symbolic: readonly string[], register: RegisterName): string {
  if (register.slot >= ARCHITECTURAL_SLOTS) {
    const name = symbolic[register.slot - ARCHITECTURAL_SLOTS]!;
    return isSegment(name) ? name : `%${name}`;
  }
  const name = nameOf(register);
  return dialect === 'X86' ? name.toUpperCase() : name;
}
