/** Every schedule of a program, one by one: slow, simple, and the measure of all that is clever. */
import { interruptActor } from '#base/strategy';
import { policyNumber } from '#scheduler/policies';
import { OP_WORDS, OpType, opType } from '#trace/operations';
import { type Executor, type RunResult, RunStop, type Segment } from './executor.ts';
import { MASK_ACTORS, RunSteps } from './run-steps.ts';

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
 * Runs every order of visible steps; where there are interrupts, of stores that enter a buffer as well, since those keep
 * interrupts away. When memory becomes known as shared it begins again, and says so with `atRestart`: what `atRun` saw before is to be
 * forgotten.
 */
export function enumerateAll(
  executor: Executor,
  atRun: (result: RunResult) => void,
  atRestart: () => void,
  runsMax = 1_000_000,
): Enumeration {
  const policy = policyNumber('stay');
  const steps = new RunSteps();
  let waiting: Branch[] = [ROOT];
  let hasInterrupts = false;
  let runs = 0;
  for (let branch = waiting.pop(); branch !== undefined; branch = waiting.pop()) {
    if (runs === runsMax) return { runs, isComplete: false };
    const result = executor.run({ prefix: branch.prefix, policy, seed: 1 });
    runs++;
    steps.read(result.log);
    const isNews: boolean = !hasInterrupts && interrupts(steps);
    hasInterrupts ||= isNews;
    if (result.sharedGrew || isNews) {
      waiting = [ROOT];
      atRestart();
      continue;
    }
    if (branch.isTry && result.stop === RunStop.DIVERGED) continue;
    for (let step = branch.steps; step < steps.count; step++)
      for (let actor = 0; actor < executor.actors; actor++) {
        const isTry = hasInterrupts && isBuffered(steps, step);
        const isOther = isTry || (steps.isChoice(step) && steps.couldGo(step, actor));
        if (actor === steps.actor[step] || !isOther) continue;
        waiting.push({ prefix: steps.prefixTo(step, actor), steps: step + 1, isTry });
      }
    atRun(result);
  }
  return { runs, isComplete: true };
}

/** A store that enters a buffer keeps interrupts away, and the log does not say who could have gone in front of it. */
function isBuffered(steps: RunSteps, step: number): boolean {
  return typeOf(steps, step) === OpType.BUFFER;
}

function typeOf(steps: RunSteps, step: number): number {
  return opType(steps.log.words[steps.first[step]! * OP_WORDS]!);
}

/** Whether an interrupt could be taken somewhere, or was raised: it may have been kept away where nobody asked. */
function interrupts(steps: RunSteps): boolean {
  for (let step = 0; step < steps.count; step++) {
    if (typeOf(steps, step) === OpType.IPI) return true;
    for (let cpu = 0; cpu < MASK_ACTORS / 4; cpu++) if (steps.couldGo(step, interruptActor(cpu))) return true;
  }
  return false;
}
