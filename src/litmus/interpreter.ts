/**
 * Runs one thread of a litmus test on whatever memory it is given: a CPU of the machine, or a model.
 *
 * A plain function that calls the bus and waits for it to return. It keeps nothing between calls but the registers it is
 * handed, so the caller may put those in shared memory when it is done.
 */
import { conditionHolds } from './alu.ts';
import type { LitmusBus } from './bus.ts';
import { execute } from './execute.ts';
import { initialRegisters, layoutOf, type LitmusLayout } from './layout.ts';
import { instructionText } from './print-instruction.ts';
import type { Instruction, LitmusProgram } from './program.ts';
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

/**
 * @param thread index into `program.threads`
 * @param registers `registerWords(program)` words: final when this returns
 * @param initial what they start as; may be the same array
 */
export function runThread(
  program: LitmusProgram,
  thread: number,
  bus: LitmusBus,
  registers: Int32Array,
  layout: LitmusLayout = layoutOf(program),
  initial: Int32Array = initialRegisters(program, layout, thread),
  limits: ThreadLimits = THREAD_LIMITS,
): ThreadEnd {
  if (initial !== registers) registers.set(initial);
  const { proc, instructions } = program.threads[thread]!;
  const state: ThreadState = { program, layout, bus, registers, flags: 0, effects: 0 };
  const visits: (Visit | undefined)[] = [];
  let loops = 0;
  let at = 0;
  for (let executed = 0; at < instructions.length; executed++) {
    const instruction = instructions[at]!;
    if (executed >= limits.instructionsMax) {
      return { kind: 'limit', message: `P${proc} executes more than ${limits.instructionsMax} instructions` };
    }
    if (instruction.operation === 'ret') break;
    if (instruction.target === undefined) {
      const fault = perform(state, instruction);
      if (fault !== undefined)
        return { kind: 'fault', message: `P${proc}, line ${instruction.line}: ${fault}` };
      at++;
      continue;
    }
    if (instruction.condition !== undefined && !conditionHolds(instruction.condition, state.flags)) {
      at++;
      continue;
    }
    if (instruction.target <= at) {
      if (isIdle(state, visits, at)) return IDLE;
      if (++loops > limits.loopsMax) {
        return { kind: 'limit', message: `P${proc} goes round its loops more than ${limits.loopsMax} times` };
      }
    }
    at = instruction.target;
  }
  return DONE;
}

/** Whether the thread jumps back from `at` exactly as it did the last time. */
function isIdle(state: ThreadState, visits: (Visit | undefined)[], at: number): boolean {
  const last = visits[at];
  if (
    last !== undefined &&
    last.effects === state.effects &&
    last.flags === state.flags &&
    last.registers.every((word, index) => word === state.registers[index])
  ) {
    return true;
  }
  visits[at] = { registers: state.registers.slice(), flags: state.flags, effects: state.effects };
  return false;
}

/** Executes what is no jump. Answers what went wrong, if anything did. */
function perform(state: ThreadState, instruction: Instruction): string | undefined {
  try {
    execute(state, instruction);
    return undefined;
  } catch (error) {
    if (!(error instanceof AccessFault)) throw error;
    return `'${instructionText(state.program, instruction)}' ${error.message}`;
  }
}
