/** Final states: taking them, printing them, judging them. */
import { unreachable } from '#base/assert';
import { constantValue, layoutOf, type LitmusLayout, registerWords, VARIABLES_BASE } from './layout.ts';
import { conditionText } from './print.ts';
import type { CType, LitmusProgram, Observed, Proposition } from './program.ts';

/** Value of each observed thing, in the order of `program.observed`, signed or not as its type says. */
export type FinalState = readonly bigint[];

export type MemoryModel = 'sc' | 'tso';

/**
 * Reads a final state.
 * @param memory the variables, `layout.bytes` of them
 * @param registers all threads' registers one after the other, `registerWords(program)` words each
 */
export function finalState(
  program: LitmusProgram,
  layout: LitmusLayout,
  memory: Uint8Array,
  registers: Int32Array,
): FinalState {
  return program.observed.map(({ type, at }) => {
    if (at.kind === 'memory')
      return typed(
        type,
        memoryBits(memory, layout.offsets.get(at.variable)! + at.element * type.size, type.size),
      );
    const word = at.thread * registerWords(program) + at.register.slot * 2;
    const bits = (BigInt(registers[word + 1]! >>> 0) << 32n) | BigInt(registers[word]! >>> 0);
    return typed(type, at.register.high ? bits >> 8n : bits);
  });
}

function memoryBits(memory: Uint8Array, offset: number, size: number): bigint {
  let bits = 0n;
  for (let byte = size - 1; byte >= 0; byte--) bits = (bits << 8n) | BigInt(memory[offset + byte]!);
  return bits;
}

function typed(type: CType, bits: bigint): bigint {
  return type.signed ? BigInt.asIntN(type.size * 8, bits) : BigInt.asUintN(type.size * 8, bits);
}

/** `0:EAX=0; 1:EAX=0;` */
export function stateText(program: LitmusProgram, layout: LitmusLayout, state: FinalState): string {
  return program.observed
    .map((item, at) => `${item.name}=${valueText(program, layout, item, state[at]!)};`)
    .join(' ');
}

/** A number, or the variable whose address it is. */
function valueText(program: LitmusProgram, layout: LitmusLayout, item: Observed, value: bigint): string {
  const offset = Number(value) - VARIABLES_BASE;
  if (item.type.size < 4 || offset < 0 || offset >= layout.bytes) return String(value);
  // The last variable that begins at or before the address.
  const variable = program.variables.findLast(({ name }) => layout.offsets.get(name)! <= offset)!;
  const inside = offset - layout.offsets.get(variable.name)!;
  return inside === 0 ? variable.name : `${variable.name}+${inside}`;
}

/** Whether a proposition holds in a state. A constant stands for its bits: -1 and 0xffffffff are the same int. */
export function holds(
  program: LitmusProgram,
  layout: LitmusLayout,
  proposition: Proposition,
  state: FinalState,
): boolean {
  switch (proposition.kind) {
    case 'true':
      return true;
    case 'false':
      return false;
    case 'equals': {
      const bits = program.observed[proposition.item]!.type.size * 8;
      const wanted = constantValue(layout, proposition.constant);
      const fits = wanted >= -(1n << BigInt(bits - 1)) && wanted < 1n << BigInt(bits);
      return fits && BigInt.asUintN(bits, wanted) === BigInt.asUintN(bits, state[proposition.item]!);
    }
    case 'same':
      return state[proposition.item] === state[proposition.other];
    case 'not':
      return !holds(program, layout, proposition.of, state);
    case 'and':
      return (
        holds(program, layout, proposition.left, state) && holds(program, layout, proposition.right, state)
      );
    case 'or':
      return (
        holds(program, layout, proposition.left, state) || holds(program, layout, proposition.right, state)
      );
    case 'implies':
      return (
        !holds(program, layout, proposition.left, state) || holds(program, layout, proposition.right, state)
      );
    default:
      return unreachable(proposition, 'holds');
  }
}

export interface StateCount {
  readonly state: FinalState;
  readonly text: string;
  /** Executions that end so. */
  readonly executions: number;
  /** Whether the proposition of the condition holds, whatever the quantifier. */
  readonly satisfies: boolean;
}

export type Observation = 'Never' | 'Sometimes' | 'Always';

export interface LitmusVerdict {
  readonly name: string;
  /** In ascending order of their values. */
  readonly states: readonly StateCount[];
  /** Executions counted, those that `filter` drops left out. */
  readonly executions: number;
  /** Executions whose final state has the proposition, and those whose has not. */
  readonly satisfying: number;
  readonly violating: number;
  readonly observation: Observation;
  /** Whether the condition is met with its quantifier: herd's Ok or No. */
  readonly validated: boolean;
  /** `exists (...)` */
  readonly condition: string;
}

/**
 * Collects how runs ended, and judges them.
 *
 * What is counted is for the caller to say. herd counts candidate executions: one for each choice of which store every
 * load reads and of the order of stores to each variable. Give each run's `executionKey`, and the numbers are herd's.
 */
export class Outcomes {
  readonly #program: LitmusProgram;
  readonly #layout: LitmusLayout;
  readonly #states = new Map<
    string,
    { readonly state: FinalState; readonly keys: Set<string>; uncounted: number }
  >();

  constructor(program: LitmusProgram) {
    this.#program = program;
    this.#layout = layoutOf(program);
  }

  /** @param key executions with the same key and state count once; without one, each call counts. */
  add(state: FinalState, key?: string): void {
    const { filter } = this.#program;
    if (filter !== undefined && !holds(this.#program, this.#layout, filter, state)) return;
    const name = state.join();
    let entry = this.#states.get(name);
    if (entry === undefined) this.#states.set(name, (entry = { state, keys: new Set(), uncounted: 0 }));
    if (key === undefined) entry.uncounted++;
    else entry.keys.add(key);
  }

  verdict(): LitmusVerdict {
    const program = this.#program;
    const states = [...this.#states.values()]
      .toSorted((a, b) => compareStates(a.state, b.state))
      .map(({ state, keys, uncounted }): StateCount => ({
        state,
        text: stateText(program, this.#layout, state),
        executions: keys.size + uncounted,
        satisfies: holds(program, this.#layout, program.condition, state),
      }));
    const count = (which: boolean): number =>
      states.reduce((sum, { satisfies, executions }) => (satisfies === which ? sum + executions : sum), 0);
    const satisfying = count(true);
    const violating = count(false);
    return {
      name: program.name,
      states,
      executions: satisfying + violating,
      satisfying,
      violating,
      observation: satisfying === 0 ? 'Never' : violating === 0 ? 'Always' : 'Sometimes',
      validated: isValidated(program, satisfying, violating),
      condition: conditionText(program),
    };
  }
}

function isValidated(program: LitmusProgram, satisfying: number, violating: number): boolean {
  if (program.quantifier === 'exists') return satisfying > 0;
  return program.quantifier === '~exists' ? satisfying === 0 : violating === 0;
}

function compareStates(a: FinalState, b: FinalState): number {
  for (let at = 0; at < a.length; at++) {
    if (a[at]! !== b[at]!) return a[at]! < b[at]! ? -1 : 1;
  }
  return 0;
}
