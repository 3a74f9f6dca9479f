/** Every schedule of a program, one by one: slow, simple, and the measure of all that is clever. */
import { policyNumber } from '#scheduler/policies';
import type { Executor, RunResult, Segment } from './executor.ts';
import { RunSteps } from './run-steps.ts';

export interface Enumeration {
  readonly runs: number;
  /** False: the limit came first. */
  readonly isComplete: boolean;
}

/**
 * Runs every order of visible steps. When memory becomes known as shared it begins again: `atRun` sees only runs after
 * which that did not happen, and may see a schedule more than once over several beginnings.
 *
 * @param everyStep branches in front of every step that was a choice or could have been one, stores that enter a buffer
 *   included; otherwise at choice points only
 */
export function enumerateAll(
  executor: Executor,
  atRun: (result: RunResult) => void,
  runsMax = 1_000_000,
): Enumeration {
  const policy = policyNumber('stay');
  const steps = new RunSteps();
  let waiting: { prefix: readonly Segment[]; steps: number }[] = [{ prefix: [], steps: 0 }];
  let runs = 0;
  for (let branch = waiting.pop(); branch !== undefined; branch = waiting.pop()) {
    if (runs === runsMax) return { runs, isComplete: false };
    const result = executor.run({ prefix: branch.prefix, policy, seed: 1 });
    runs++;
    if (result.sharedGrew) {
      waiting = [{ prefix: [], steps: 0 }];
      continue;
    }
    steps.read(result.log);
    for (let step = branch.steps; step < steps.count; step++)
      for (let actor = 0; actor < executor.actors; actor++)
        if (actor !== steps.actor[step] && steps.isChoice(step) && steps.couldGo(step, actor))
          waiting.push({ prefix: steps.prefixTo(step, actor), steps: step + 1 });
    atRun(result);
  }
  return { runs, isComplete: true };
}
