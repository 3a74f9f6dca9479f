/**
 * What a CPU thread of a parallel machine runs. Kept apart from searched.ts because nearly all of starting a thread is getting
 * code into it, and a third of that would be for searching.
 */
// First: it decides every address.
import '#kernel/image';
import { ParallelBus } from '#memory/parallel-bus';
import { CpuThread } from './cpu-thread.ts';
import { type CpuTask, serveTask } from './serve.ts';

const begin = (): void => {};

/** See serveTask. Named, not default: the loader calls it by its name. */
export function serve(task: CpuTask): void {
  serveTask(task, (layout) => {
    const thread = new CpuThread(layout);
    return { bus: new ParallelBus(task.buffer, layout, task.cpu, thread), thread, begin };
  });
}
