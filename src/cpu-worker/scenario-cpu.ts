/** A CPU of a parallel machine that runs a scenario: its flows begin together, or most runs would be over one after the other. */
import type { ParallelBus } from '#memory/parallel-bus';
import { CpuThread } from './cpu-thread.ts';

export class ScenarioCpu extends CpuThread {
  override runTask(fn: number, arg0: number, arg1: number, arg2: number, text: string): number {
    (this.bus as ParallelBus).startLine();
    return super.runTask(fn, arg0, arg1, arg2, text);
  }
}
