/**
 * Following a schedule that was changed: where its next actor cannot go, the others go first. Exact prefixes diverge there;
 * what shrinking and explaining try out must not fail for so little.
 */
import { type Executor, type RunResult, RunStop, type Segment } from './executor.ts';
import { joined } from './schedule.ts';

/** Runs a changed schedule may take before the rest of it is left to the policy. */
const REPAIRS_MAX = 8;

export interface LenientRun {
  readonly result: RunResult;
  /** Runs it took. */
  readonly runs: number;
}

/**
 * @param exact is followed exactly: if that cannot be, the result is DIVERGED
 * @param rest is followed as nearly as can be
 * @param policy what comes after
 */
export function runLeniently(
  executor: Executor,
  exact: readonly Segment[],
  rest: readonly Segment[],
  policy: number,
): LenientRun {
  const stepsExact = exact.reduce((sum, { steps }) => sum + steps, 0);
  let prefix = joined([...exact, ...rest]);
  for (let runs = 1; ; runs++) {
    const result = executor.run({ prefix, policy, seed: 1 });
    const at = result.divergedAt;
    if (result.stop !== RunStop.DIVERGED || at < stepsExact) return { result, runs };
    const { done, left } = split(prefix, at);
    prefix = joined([...done, ...(runs < REPAIRS_MAX ? postponed(left) : [])]);
  }
}

/** A schedule in two: so many steps, and what comes after. */
export function split(
  schedule: readonly Segment[],
  stepsDone: number,
): { readonly done: Segment[]; readonly left: Segment[] } {
  const [done, left]: [Segment[], Segment[]] = [[], []];
  let room = stepsDone;
  for (const { actor, steps } of schedule) {
    const taken = Math.min(room, steps);
    if (taken > 0) done.push({ actor, steps: taken });
    if (taken < steps) left.push({ actor, steps: steps - taken });
    room -= taken;
  }
  return { done, left };
}

/** The first actor waits until the next one has had its turn; what is left of it goes if nobody comes after. */
function postponed(left: readonly Segment[]): readonly Segment[] {
  const [first, second, ...others] = left;
  return first === undefined || second === undefined ? [] : [second, first, ...others];
}
