/** Everything a test looks at, each thing once, in the order in which logs print it. */
import type { RawLocation, RawProposition } from './conditions.ts';
import type { DeclaredType } from './initial-state.ts';
import type {
  CType,
  InitialRegister,
  LitmusThread,
  LitmusVariable,
  Observed,
  RegisterName,
} from './program.ts';
import { ACCUMULATOR_SLOT, registerText } from './registers.ts';
import type { RawProgram } from './raw-program.ts';
import { litmusError } from './source.ts';
import { INT } from './types.ts';

export class ObservedTable {
  readonly #raw: RawProgram;
  readonly #threads: readonly LitmusThread[];
  readonly #initial: readonly InitialRegister[];
  readonly #variables: readonly LitmusVariable[];
  readonly #items = new Map<string, Observed>();
  readonly #indices = new Map<string, number>();

  constructor(
    raw: RawProgram,
    threads: readonly LitmusThread[],
    initial: readonly InitialRegister[],
    variables: readonly LitmusVariable[],
  ) {
    this.#raw = raw;
    this.#threads = threads;
    this.#initial = initial;
    this.#variables = variables;
  }

  /** Enters a location, or every element of an array. The first type that is declared for it holds. */
  add(location: RawLocation, declared?: DeclaredType): void {
    for (const [key, item] of this.#expand(location, declared)) {
      if (!this.#items.has(key)) this.#items.set(key, item);
    }
  }

  addAll(proposition: RawProposition): void {
    if (proposition.kind === 'not') this.addAll(proposition.of);
    if ('left' in proposition) {
      this.addAll(proposition.left);
      this.addAll(proposition.right);
    }
    if ('location' in proposition) this.add(proposition.location);
    if ('other' in proposition) this.add(proposition.other);
  }

  /** Fixes the order: registers by thread and slot, then variables by name. Indices are valid from here on. */
  order(): Observed[] {
    const sorted = [...this.#items].toSorted(([, a], [, b]) => this.#compare(a, b));
    sorted.forEach(([key], at) => this.#indices.set(key, at));
    return sorted.map(([, item]) => item);
  }

  indices(location: RawLocation): number[] {
    return this.#expand(location).map(([key]) => this.#indices.get(key)!);
  }

  /** @throws {SmplabError} for a whole array: a condition compares it with a list */
  index(location: RawLocation): number {
    const found = this.indices(location);
    if (found.length === 1) return found[0]!;
    throw litmusError(
      this.#raw.file,
      location.line,
      'an array is compared with a list: t={1,2}, or by element: t[0]=1',
    );
  }

  elements(location: RawLocation, count: number): number[] {
    const found = this.indices(location);
    if (found.length === count) return found;
    const message = `a list of ${count} values is compared with ${found.length} elements`;
    throw litmusError(this.#raw.file, location.line, message);
  }

  #expand(location: RawLocation, declared?: DeclaredType): [string, Observed][] {
    const { file } = this.#raw;
    if (location.kind === 'register') {
      const thread = this.#threads.findIndex(({ proc }) => proc === location.proc);
      if (thread < 0) throw litmusError(file, location.line, `there is no thread P${location.proc}`);
      return [this.#register(thread, location.register, declared)];
    }
    const variable = this.#variables.find(({ name }) => name === location.variable)!;
    const count = variable.initial.length;
    const { element } = location;
    if (element !== undefined && element >= count) {
      throw litmusError(
        file,
        location.line,
        `${variable.name}[${element}] is beyond the end of ${variable.name}`,
      );
    }
    const elements = element === undefined ? Array.from({ length: count }, (_, at) => at) : [element];
    if (elements.length === 0) throw litmusError(file, location.line, `${variable.name} has no elements`);
    return elements.map((at): [string, Observed] => {
      const name = variable.array ? `${variable.name}[${at}]` : `[${variable.name}]`;
      const where = { kind: 'memory', variable: variable.name, element: at } as const;
      return [name, { name, type: variable.type, at: where }];
    });
  }

  #register(thread: number, register: RegisterName, declared?: DeclaredType): [string, Observed] {
    const { dialect, registers } = this.#raw;
    const { proc } = this.#threads[thread]!;
    const name = `${proc}:${registerText(dialect, registers.symbolic, register)}`;
    const type = this.#registerType(thread, register, declared);
    return [name, { name, type, at: { kind: 'register', thread, register } }];
  }

  /**
   * Untyped registers are int, as in herd: `0:rax=-1` holds after `movl $-1,%eax`. A 64-bit one is looked at whole when
   * the test declares it so, starts it with more than an int, or moves 64 bits into it.
   */
  #registerType(thread: number, register: RegisterName, declared?: DeclaredType): CType {
    const initially = this.#raw.state.registers.find(
      (each) => each.proc === this.#threads[thread]!.proc && each.register.slot === register.slot,
    );
    const type = declared?.type ?? initially?.declared?.type;
    if (type !== undefined) return type.size <= register.size ? type : { ...type, size: register.size };
    if (register.size < 8) return { size: register.size, signed: true };
    return this.#holdsWide(thread, register.slot) ? { size: 8, signed: true } : INT;
  }

  #holdsWide(thread: number, slot: number): boolean {
    const initially = this.#initial.some(({ thread: of, register, value }) => {
      if (of !== thread || register.slot !== slot) return false;
      return value.symbol !== undefined || value.value < -(1n << 31n) || value.value >= 1n << 32n;
    });
    if (initially) return true;
    return this.#threads[thread]!.instructions.some(({ operation, size, destination, source }) => {
      if (size !== 8 || operation === 'cmp' || operation === 'test' || operation === 'bt') return false;
      if (destination?.kind === 'register' && destination.slot === slot) return true;
      if (operation === 'cmpxchg') return slot === ACCUMULATOR_SLOT;
      const swaps = operation === 'xchg' || operation === 'uxch' || operation === 'xadd';
      return swaps && source?.kind === 'register' && source.slot === slot;
    });
  }

  #compare(a: Observed, b: Observed): number {
    if (a.at.kind === 'register' && b.at.kind === 'register') {
      const procs = this.#threads[a.at.thread]!.proc - this.#threads[b.at.thread]!.proc;
      if (procs !== 0) return procs;
      const slots = a.at.register.slot - b.at.register.slot;
      if (slots !== 0) return slots;
      return (
        b.at.register.size - a.at.register.size || Number(a.at.register.high) - Number(b.at.register.high)
      );
    }
    if (a.at.kind === 'memory' && b.at.kind === 'memory') {
      if (a.at.variable !== b.at.variable) return a.at.variable < b.at.variable ? -1 : 1;
      return a.at.element - b.at.element;
    }
    return a.at.kind === 'register' ? -1 : 1;
  }
}
