/**
 * What runs a program under a schedule. Campaigns, DPOR, shrinking and replay know this interface and not what stands
 * behind it (CPU threads handing a baton, or resumable functions on one thread).
 */
import type { Actor } from '#base/strategy';
import type { OperationLog } from '#trace/operations';

/** A stretch of steps of one actor. Steps, not choice points: what is a choice point may change in a campaign. */
export interface Segment {
  readonly actor: Actor;
  readonly steps: number;
}

export interface Plan {
  /** Followed first, exactly. */
  readonly prefix: readonly Segment[];
  /** Number of the policy (scheduler/policies) that chooses after the prefix. */
  readonly policy: number;
  /** The policy's seed; 0 is taken as 1. */
  readonly seed: number;
  /** The policy's parameters: words from PolicyWord.PARAMETERS. */
  readonly parameters?: readonly number[];
  /** True: made by the program's code, whatever the executor remembers of it. */
  readonly isAnew?: boolean;
}

/** How a run ended. */
export const RunStop = {
  /** every flow has ended, or rests with nothing left to do */
  COMPLETE: 1,
  /** nobody can go on, and somebody is not done */
  DEADLOCK: 2,
  /** more steps than the limit */
  STEP_LIMIT: 3,
  /** the policy answered NOBODY: another run covers what would follow */
  COVERED: 4,
  /** the prefix could not be followed: its actor was not enabled */
  DIVERGED: 5,
  /** the simulated kernel panicked, or a flow was killed by an oops, and the scenario ends there */
  DIED: 6,
} as const;
export type RunStop = (typeof RunStop)[keyof typeof RunStop];

/** What the program's own checks, or the simulated kernel, said of a run. */
export interface RunFinding {
  /** 'check', 'oops', 'panic', 'deadlock', 'livelock', 'data-race', ... */
  readonly kind: string;
  /** One line, as the kernel would print it. The same defect gives the same title. */
  readonly title: string;
  readonly cpu?: number;
  /** Innermost first. */
  readonly stack?: readonly string[];
  readonly detail?: string;
}

/** A flow that cannot go on, in a deadlock: what its next step would be. */
export interface WaitingFlow {
  readonly actor: Actor;
  /** OpType */
  readonly type: number;
  readonly kind: number;
  /** 0 where it waits for no word. */
  readonly address: number;
  readonly size: number;
  /** Innermost kernel function. */
  readonly site: number;
  /** Innermost first. */
  readonly stack: readonly string[];
}

/** An actor in front of an operation that it could not make when the run ended. */
export interface BlockedActor {
  readonly actor: Actor;
  /** OpType: ACQUIRE, AWAIT, or what waits for an empty store buffer. */
  readonly type: number;
  /** What the operation would touch; of a wait, every word its condition looked at: address and bytes, in turn. */
  readonly ranges: readonly number[];
}

export interface RunResult {
  readonly stop: RunStop;
  /** Valid until the next run of this executor. */
  readonly log: OperationLog;
  readonly steps: number;
  /** Hand-overs from one actor to another. */
  readonly switches: number;
  /** DIVERGED: the step at which the prefix could not be followed. */
  readonly divergedAt: number;
  /** Memory became known as shared in this run: earlier steps on it were not choice points, from now on they are. */
  readonly sharedGrew: boolean;
  readonly findings: readonly RunFinding[];
  /** DEADLOCK: who waits for what. Valid until the next run. */
  readonly waiting?: readonly WaitingFlow[] | undefined;
  /** A digest of the final memory the program's observers look at: two runs of one trace have the same. Valid until the next run. */
  readonly finalState: string;
  /**
   * Who was left waiting, however the run ended. Valid until the next run. Exhaustive search needs it: what somebody waits for in vain may have
   * been there for a while, and the log does not say what that was.
   */
  readonly blocked?: readonly BlockedActor[] | undefined;
}

export interface Executor {
  /** Actors there can be: at most 64 for exhaustive search. */
  readonly actors: number;
  run(plan: Plan): RunResult;
}
