/**
 * A litmus test after reading: what its threads do, on which variables, and what is asked of the final states.
 *
 * Everything here is plain data, so that two programs can be compared and one can be sent to another thread. Values are
 * numbers up to 32 bits and bigints at 64: a 64-bit number in JavaScript would not be exact.
 */

/** Bytes an instruction touches. */
export type OperandSize = 1 | 2 | 4 | 8;

/** `number` (unsigned) for sizes 1, 2 and 4; `bigint` (unsigned) for size 8. Never mixed within one instruction. */
export type Value = number | bigint;

export type Dialect = 'X86' | 'X86_64';

/** A register as an instruction or a condition names it: `eax` is the low four bytes of slot 0. */
export interface RegisterName {
  /** 0..15 in the order of RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP, R8..R15; from 16 up symbolic registers. */
  readonly slot: number;
  readonly size: OperandSize;
  /** ah, bh, ch, dh: the second byte. */
  readonly high: boolean;
}

export interface RegisterOperand extends RegisterName {
  readonly kind: 'register';
}

export interface ImmediateOperand {
  readonly kind: 'immediate';
  readonly value: bigint;
  /** `$x`: the address of this variable, plus `value`. */
  readonly symbol?: string;
}

/** variable + displacement + base + index * scale; what is absent counts 0. */
export interface MemoryOperand {
  readonly kind: 'memory';
  readonly variable?: string;
  readonly displacement: number;
  readonly base?: RegisterName;
  readonly index?: RegisterName;
  readonly scale: number;
}

export type Operand = RegisterOperand | ImmediateOperand | MemoryOperand;

export type AluOperation =
  'add' | 'adc' | 'sub' | 'sbb' | 'and' | 'or' | 'xor' | 'cmp' | 'test' | 'shl' | 'shr' | 'sar' | 'imul';

export type Operation =
  | AluOperation
  | 'inc'
  | 'dec'
  | 'neg'
  | 'not'
  | 'mov'
  | 'movzx'
  | 'movsx'
  | 'lea'
  | 'xchg'
  | 'uxch'
  | 'xadd'
  | 'cmpxchg'
  | 'bt'
  | 'bts'
  | 'btr'
  | 'btc'
  | 'cmov'
  | 'set'
  | 'jmp'
  | 'j'
  | 'mfence'
  | 'sfence'
  | 'lfence'
  | 'nop'
  | 'ret';

/** Condition of a jump, set or cmov, by its shortest canonical name (`nz` is read as `ne`). */
export type ConditionCode =
  'o' | 'no' | 'b' | 'ae' | 'e' | 'ne' | 'be' | 'a' | 's' | 'ns' | 'p' | 'np' | 'l' | 'ge' | 'le' | 'g';

export interface Instruction {
  readonly operation: Operation;
  readonly size: OperandSize;
  /** movzx and movsx: bytes of the source; otherwise the same as `size`. */
  readonly sourceSize: OperandSize;
  /** An atomic read-modify-write: lock prefix, or xchg with memory. */
  readonly locked: boolean;
  readonly destination?: Operand;
  readonly source?: Operand;
  readonly condition?: ConditionCode;
  /** Jumps: the label, and the index of the instruction behind it. */
  readonly label?: string;
  readonly target?: number;
  /** Line of the file, from 1. */
  readonly line: number;
}

export interface LitmusThread {
  /** The number in `P0`. */
  readonly proc: number;
  readonly instructions: readonly Instruction[];
  /** Labels and the index of the instruction each stands before (the number of instructions: the end). */
  readonly labels: readonly (readonly [string, number])[];
}

/** A C type as far as a litmus test has use for it. */
export interface CType {
  readonly size: OperandSize;
  readonly signed: boolean;
}

/** A number, or the address of a variable (`symbol`) plus that many bytes. */
export interface Constant {
  readonly value: bigint;
  readonly symbol?: string;
}

export interface LitmusVariable {
  readonly name: string;
  readonly type: CType;
  /** As the file declares it; absent where the type was inferred. */
  readonly declared?: string;
  /** Elements; `array` tells `int x` from `int x[1]`. */
  readonly array: boolean;
  readonly initial: readonly Constant[];
}

export interface InitialRegister {
  /** Index into `threads`. */
  readonly thread: number;
  readonly register: RegisterName;
  readonly declared?: string;
  readonly value: Constant;
}

/** One thing a final state says. `name` is as the log prints it: `0:EAX`, `[x]`, `t[1]`. */
export interface Observed {
  readonly name: string;
  readonly type: CType;
  readonly at:
    | { readonly kind: 'register'; readonly thread: number; readonly register: RegisterName }
    | { readonly kind: 'memory'; readonly variable: string; readonly element: number };
}

/** `item` and `other` are indices into `observed`. */
export type Proposition =
  | { readonly kind: 'true' }
  | { readonly kind: 'false' }
  | { readonly kind: 'equals'; readonly item: number; readonly constant: Constant }
  | { readonly kind: 'same'; readonly item: number; readonly other: number }
  | { readonly kind: 'not'; readonly of: Proposition }
  | { readonly kind: 'and' | 'or' | 'implies'; readonly left: Proposition; readonly right: Proposition };

export type Quantifier = 'exists' | '~exists' | 'forall';

export interface LitmusProgram {
  readonly dialect: Dialect;
  readonly name: string;
  /** The quoted line under the name, without quotes. */
  readonly comment?: string;
  /** key=value lines of the header, in order. */
  readonly information: readonly (readonly [string, string])[];
  /** Sorted by name. */
  readonly variables: readonly LitmusVariable[];
  readonly initialRegisters: readonly InitialRegister[];
  readonly threads: readonly LitmusThread[];
  /** Names of symbolic registers, without %; the first has slot 16. */
  readonly symbolicRegisters: readonly string[];
  /** What final states say, in the order of the log: registers by thread, then variables by name. */
  readonly observed: readonly Observed[];
  /** Indices into `observed` of what stands under `locations`. */
  readonly locations: readonly number[];
  readonly filter?: Proposition;
  readonly quantifier: Quantifier;
  readonly condition: Proposition;
}

/** Register slots a thread of this program has. Each is two 32-bit words, low first. */
export function registerSlots(program: LitmusProgram): number {
  return 16 + program.symbolicRegisters.length;
}

/** No access of this program to memory is smaller: every one is so many bytes, or a whole number of times that. */
export function accessBytesMin(program: LitmusProgram): number {
  const sizes = program.threads.flatMap(({ instructions }) =>
    instructions.flatMap(({ operation, size, sourceSize }) => [size, operation === 'set' ? 1 : sourceSize]),
  );
  return Math.min(8, ...sizes);
}
