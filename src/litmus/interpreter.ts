/**
 * One thread of a litmus test, from one access of memory to the next (ThreadRun). It keeps nothing between two threads but the
 * registers it is handed, so the caller may put those in shared memory when it is done.
 *
 * Nothing here waits: who performs the accesses may be suspended between any two (run-thread.ts), and what x86 makes of
 * operands and flags is compiled once, as plain code.
 */
import { assert } from '#base/assert';
import { type RmwOperation, conditionHolds } from './alu.ts';
import type { LitmusBus } from './bus.ts';
import { execute } from './execute.ts';
import type { LitmusLayout } from './layout.ts';
import { instructionText } from './print-instruction.ts';
import type { Instruction, LitmusProgram, OperandSize, Value } from './program.ts';
import { AccessFault, type ThreadState } from './thread-state.ts';

export interface ThreadLimits {
  /** Instructions a thread may execute. */
  readonly instructionsMax: number;
  /** Times a thread may jump backward. */
  readonly loopsMax: number;
}

export const THREAD_LIMITS: ThreadLimits = { instructionsMax: 10_000, loopsMax: 64 };

/**
 * How a thread ended. Only `done` makes a final state.
 *
 * `idle`: it came round a loop that changed nothing: same registers, same flags, nothing written. The run may be dropped
 * without losing a final state, because the same run without that round exists and ends the same: what the round read
 * left no trace, and a fence in it only asked for what could have happened anyway. So a spin loop ends, and the set of
 * final states is still complete.
 *
 * `limit`: it ran out of ThreadLimits; states may be missing. `fault`: it touched what is no variable of the test.
 */
export type ThreadEnd =
  | { readonly kind: 'done' }
  | { readonly kind: 'idle' }
  | { readonly kind: 'limit'; readonly message: string }
  | { readonly kind: 'fault'; readonly message: string };

interface Visit {
  readonly registers: Int32Array;
  readonly flags: number;
  readonly effects: number;
}

const DONE: ThreadEnd = { kind: 'done' };
const IDLE: ThreadEnd = { kind: 'idle' };

/** What a thread stands in front of. */
export const Access = { NONE: 0, LOAD: 1, STORE: 2, RMW: 3, FENCE: 4 } as const;
export type Access = (typeof Access)[keyof typeof Access];

/**
 * The bus of an instruction that is executed to see what it asks of memory. What it reads is answered in a second try, with
 * everything taken back that the first one did: no instruction reads more than once, and none reads behind a write.
 */
class Asked implements LitmusBus {
  access: Access = Access.NONE;
  address = 0;
  size: OperandSize = 4;
  /** What is stored, or the operand of a read-modify-write. */
  value: Value = 0;
  operation: RmwOperation = 'xchg';
  expected: Value = 0;
  #answer: Value | undefined;

  /** Before an instruction's first try; or, with what its read came to, before the second. */
  begin(answer?: Value): void {
    this.access = Access.NONE;
    this.#answer = answer;
  }

  load(address: number, size: OperandSize): Value {
    return this.#read(Access.LOAD, address, size);
  }

  rmw(operation: RmwOperation, address: number, size: OperandSize, operand: Value, expected: Value): Value {
    this.operation = operation;
    this.value = operand;
    this.expected = expected;
    return this.#read(Access.RMW, address, size);
  }

  store(address: number, size: OperandSize, value: Value): void {
    // Of what has not been read yet: this is no try that counts.
    if (this.isRead) return;
    assert(this.access === Access.NONE, 'litmus: an instruction writes twice');
    this.access = Access.STORE;
    this.address = address;
    this.size = size;
    this.value = value;
  }

  fence(): void {
    this.access = Access.FENCE;
  }

  /** Whether the instruction has to be tried again, with an answer. */
  get isRead(): boolean {
    return this.access === Access.LOAD || this.access === Access.RMW;
  }

  #read(access: Access, address: number, size: OperandSize): Value {
    const answer = this.#answer;
    this.#answer = undefined;
    if (answer !== undefined) return answer;
    assert(this.access === Access.NONE, 'litmus: an instruction reads twice, or behind its write');
    this.access = access;
    this.address = address;
    this.size = size;
    return size === 8 ? 0n : 0;
  }
}

export class ThreadRun {
  readonly asked = new Asked();
  readonly #state: ThreadState;
  readonly #instructions: readonly Instruction[];
  readonly #proc: number;
  readonly #limits: ThreadLimits;
  readonly #visits: (Visit | undefined)[] = [];
  /** As they are in front of the instruction. */
  readonly #before: Int32Array;
  #executed = 0;
  #loops = 0;
  #at = 0;

  /** @param registers as they start; final when the thread has ended */
  constructor(
    program: LitmusProgram,
    thread: number,
    registers: Int32Array,
    layout: LitmusLayout,
    limits: ThreadLimits = THREAD_LIMITS,
  ) {
    const { proc, instructions } = program.threads[thread]!;
    this.#instructions = instructions;
    this.#proc = proc;
    this.#limits = limits;
    this.#before = registers.slice();
    this.#state = { program, layout, bus: this.asked, registers, flags: 0, effects: 0 };
  }

  /**
   * Goes on to the next access, which `asked` tells of then, or to the end.
   * @param answer what the last access read, if it was one that reads
   */
  advance(answer?: Value): ThreadEnd | undefined {
    if (answer !== undefined) {
      const end = this.#perform(answer);
      if (end !== undefined || this.asked.access !== Access.NONE) return end;
    }
    while (this.#at < this.#instructions.length) {
      const instruction = this.#instructions[this.#at]!;
      if (this.#executed >= this.#limits.instructionsMax)
        return this.#limit(`executes more than ${this.#limits.instructionsMax} instructions`);
      this.#executed++;
      if (instruction.operation === 'ret') break;
      const end = instruction.target === undefined ? this.#perform() : this.#jump(instruction);
      if (end !== undefined || this.asked.access !== Access.NONE) return end;
    }
    this.asked.begin();
    return DONE;
  }

  #limit(message: string): ThreadEnd {
    return { kind: 'limit', message: `P${this.#proc} ${message}` };
  }

  #jump({ condition, target }: Instruction): ThreadEnd | undefined {
    this.asked.begin();
    if (condition !== undefined && !conditionHolds(condition, this.#state.flags)) {
      this.#at++;
      return undefined;
    }
    if (target! <= this.#at) {
      if (this.#isIdle()) return IDLE;
      if (++this.#loops > this.#limits.loopsMax)
        return this.#limit(`goes round its loops more than ${this.#limits.loopsMax} times`);
    }
    this.#at = target!;
    return undefined;
  }

  /** Whether the thread jumps back from here exactly as it did the last time. */
  #isIdle(): boolean {
    const state = this.#state;
    const last = this.#visits[this.#at];
    if (
      last !== undefined &&
      last.effects === state.effects &&
      last.flags === state.flags &&
      last.registers.every((word, index) => word === state.registers[index])
    )
      return true;
    this.#visits[this.#at] = {
      registers: state.registers.slice(),
      flags: state.flags,
      effects: state.effects,
    };
    return false;
  }

  /** Executes what is no jump, as far as that can be done. Answers what went wrong, if anything did. */
  #perform(answer?: Value): ThreadEnd | undefined {
    const instruction = this.#instructions[this.#at]!;
    const state = this.#state;
    const { flags, effects } = state;
    this.#before.set(state.registers);
    this.asked.begin(answer);
    try {
      execute(state, instruction);
    } catch (error) {
      if (!(error instanceof AccessFault)) throw error;
      const text = instructionText(state.program, instruction);
      return {
        kind: 'fault',
        message: `P${this.#proc}, line ${instruction.line}: '${text}' ${error.message}`,
      };
    }
    if (this.asked.isRead) {
      state.registers.set(this.#before);
      state.flags = flags;
      state.effects = effects;
    } else this.#at++;
    return undefined;
  }
}
