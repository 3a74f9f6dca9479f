/** A pool of CPUs that are no threads: see machine/pool.ts. */
import { CpuThread, type CpuTask, beginningOf, serveMachine } from '#cpu-worker/fiber-cpu';
import { twinOf } from '#base/resumable';
import { FiberBus } from '#memory/fiber-bus';
import { geometry } from '#memory/layout';
import type { LoadedScenario } from '#scenario/program';
import { policyByNumber } from '#scheduler/policies';
import { Fiber, Stand } from './fibers.ts';
import { Group } from './group.ts';

export class FiberPool {
  readonly #groups = new Map<ArrayBufferLike, Group>();
  readonly #over = new Map<Fiber, (error?: unknown) => void>();
  readonly threads = [];

  get size(): number {
    return 0;
  }

  /** The CPUs of the machine that has this memory. */
  group(buffer: ArrayBufferLike): Group {
    let group = this.#groups.get(buffer);
    if (group === undefined) this.#groups.set(buffer, (group = new Group()));
    return group;
  }

  start(task: CpuTask, _signal?: AbortSignal, loaded?: LoadedScenario): Promise<void> {
    const group = this.group(task.buffer);
    return new Promise((resolve, reject) => {
      const layout = geometry(task.geometry);
      const thread = new CpuThread(layout);
      const bus = new FiberBus(task.buffer, layout, task.cpu, thread, policyByNumber, group);
      thread.attach(bus);
      const fiber = new Fiber(bus, thread);
      this.#over.set(fiber, (error) => {
        fiber.clear();
        this.#over.delete(fiber);
        if (group.fibers.every(({ stack }) => stack.length === 0)) this.#groups.delete(task.buffer);
        if (error === undefined) resolve();
        else reject(error);
      });
      fiber.stack.push(twinOf(serveMachine)!(bus, thread, beginningOf(bus, thread, loaded)));
      // It has not begun: what it sleeps on is anything but this.
      fiber.stand = Stand.ASLEEP;
      fiber.value = Number.NaN;
      group.fibers[task.cpu] = fiber;
    });
  }

  /** Lets the CPUs of every machine go on until all of them sleep. */
  advance(): void {
    for (const group of this.#groups.values()) {
      group.advance((fiber) => {
        this.#over.get(fiber)?.(fiber.stand === Stand.THREW ? fiber.error : undefined);
      });
    }
  }

  /** The CPUs of the machine with that memory are gone, whatever they are in the middle of. */
  end(buffer: ArrayBufferLike): void {
    for (const fiber of this.#groups.get(buffer)?.fibers ?? []) this.#over.get(fiber)?.();
  }

  close(): Promise<void> {
    this.#groups.clear();
    return Promise.resolve();
  }
}
