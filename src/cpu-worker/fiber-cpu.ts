/** What a CPU that is no thread is made of: the door of this room for the room fibers. */
export { beginFlow, beginningOf, endFlow, waitForStart } from './campaign.ts';
export { ResetTaken } from './control-flow.ts';
export { CpuThread } from './cpu-thread.ts';
export { serveMachine } from './life.ts';
export type { CpuTask } from './serve.ts';
