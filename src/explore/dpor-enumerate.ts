/** Every schedule of a program, one by one: slow, simple, and the measure of all that is clever. */
import { type Actor, Flow, cpuOf, flowOf } from '#base/strategy';
import { policyNumber } from '#scheduler/policies';
import { OP_WORDS, OpType, opType } from '#trace/operations';
import { type Executor, type RunResult, RunStop, type Segment } from './executor.ts';
import { RunSteps } from './run-steps.ts';

export interface Enumeration {
  readonly runs: number;
  /** False: the limit came first. */
  readonly isComplete: boolean;
}

interface Branch {
  readonly prefix: readonly Segment[];
  readonly steps: number;
  /** Its last step may not be possible. */
  readonly isTry: boolean;
}

const ROOT: Branch = { prefix: [], steps: 0, isTry: false };

/**
 * Runs every order of visible steps, and interrupts also in front of each store that enters a buffer, since it keeps them
 * away. When memory becomes known as shared it begins again: `atRun` sees only runs after which that did not happen, and
 * may see a schedule more than once over several beginnings.
 */
export function enumerateAll(
  executor: Executor,
  atRun: (result: RunResult) => void,
  runsMax = 1_000_000,
): Enumeration {
  const policy = policyNumber('stay');
  const steps = new RunSteps();
  let waiting: Branch[] = [ROOT];
  let runs = 0;
  for (let branch = waiting.pop(); branch !== undefined; branch = waiting.pop()) {
    if (runs === runsMax) return { runs, isComplete: false };
    const result = executor.run({ prefix: branch.prefix, policy, seed: 1 });
    runs++;
    if (result.sharedGrew) {
      waiting = [ROOT];
      continue;
    }
    if (branch.isTry && result.stop === RunStop.DIVERGED) continue;
    steps.read(result.log);
    for (let step = branch.steps; step < steps.count; step++)
      for (let actor = 0; actor < executor.actors; actor++) {
        const isTry = isInterruptOver(steps, step, actor);
        const isOther = isTry || (steps.isChoice(step) && steps.couldGo(step, actor));
        if (actor === steps.actor[step] || !isOther) continue;
        waiting.push({ prefix: steps.prefixTo(step, actor), steps: step + 1, isTry });
      }
    atRun(result);
  }
  return { runs, isComplete: true };
}

/** Whether the actor is an interrupt that a store into the buffer would keep waiting: the log does not say if it is pending. */
function isInterruptOver(steps: RunSteps, step: number, actor: Actor): boolean {
  const type = opType(steps.log.words[steps.first[step]! * OP_WORDS]!);
  const who = steps.actor[step]!;
  if (type !== OpType.BUFFER || cpuOf(actor) !== cpuOf(who)) return false;
  return flowOf(who) === Flow.MAIN ? flowOf(actor) === Flow.INTERRUPT : flowOf(actor) === Flow.NESTED;
}
