/** What runs a program under a schedule: the contract is the scheduler's, so that machine can fulfil it. */
export { RunStop } from '#scheduler/executor';
export type { Executor, Plan, RunFinding, RunResult, Segment, WaitingFlow } from '#scheduler/executor';
