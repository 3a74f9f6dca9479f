/**
 * Runs one thread of a litmus test on whatever memory it is given: a CPU of the machine, or a model. All that may be suspended
 * is here, and small: each access, and nothing of what x86 makes of it (interpreter.ts).
 */
import type { LitmusBus } from './bus.ts';
import { Access, THREAD_LIMITS, type ThreadEnd, type ThreadLimits, ThreadRun } from './interpreter.ts';
import { initialRegisters, layoutOf, type LitmusLayout } from './layout.ts';
import type { LitmusProgram, Value } from './program.ts';

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
  const run = new ThreadRun(program, thread, registers, layout, limits);
  let end = run.advance();
  while (end === undefined) {
    const answer = perform(run, bus);
    end = run.advance(answer);
  }
  return end;
}

/**
 * The access that a thread stands in front of. Answers what it read, if it is one that reads.
 * @plain
 */
function perform({ asked }: ThreadRun, bus: LitmusBus): Value | undefined {
  const { access, address, size, value } = asked;
  if (access === Access.LOAD) return bus.load(address, size);
  if (access === Access.RMW) return bus.rmw(asked.operation, address, size, value, asked.expected);
  if (access === Access.STORE) bus.store(address, size, value);
  else bus.fence();
  return undefined;
}
