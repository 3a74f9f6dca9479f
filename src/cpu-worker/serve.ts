/** A pool task: one CPU of one machine, from power-on to power-off. What both kinds of thread code do of it. */
import { threadId } from 'node:worker_threads';
import { assert } from '#base/assert';
import { machineWord } from '#memory/base-bus';
import { attachBus } from '#memory/bus';
import { sealImage } from '#memory/image';
import {
  CpuWord,
  type Geometry,
  type GeometryInput,
  MACHINE_MAGIC,
  MachineWord,
  geometry,
} from '#memory/layout';
import { symbolHash } from '#memory/symbols';
import { attach_arch } from '#smp/arch';
import type { ScenarioSource } from '#scenario/program';
import type { CpuThread } from './cpu-thread.ts';
import { serveMachine } from './life.ts';
import type { ThreadBus } from './thread-bus.ts';

/** What the host sends with a CPU's task. */
export interface CpuTask {
  readonly buffer: ArrayBufferLike;
  readonly geometry: GeometryInput;
  readonly cpu: number;
  /** Which code the thread needs, by its file's name (loader.ts): all but parallel machines that run no scenario are `searched`. */
  readonly kind: 'parallel' | 'searched';
  /** In a machine that is searched: what it runs. */
  readonly scenario?: ScenarioSource;
  /** In a parallel machine: operations are recorded. */
  readonly isRecorded?: boolean;
  /** What the thread runs, if all threads of its pool have the same. */
  readonly code?: Uint8Array;
}

/** What a task is served with. */
export interface Cpu {
  readonly bus: ThreadBus;
  readonly thread: CpuThread;
  /** See serveMachine. */
  readonly begin: () => void;
}

/**
 * Serves as one CPU until the machine is powered off.
 * @throws InvariantError if this thread's kernel image is not the machine's
 */
export function serveTask(task: CpuTask, makeCpu: (layout: Geometry, words: Int32Array) => Cpu): void {
  const words = new Int32Array(task.buffer);
  assert(
    words[machineWord(MachineWord.MAGIC)] === MACHINE_MAGIC,
    'serveTask: this is not the memory of a machine',
  );
  const image = sealImage();
  // Threads that run the same code without a scenario have the same image.
  if (task.cpu === 0 || task.code === undefined || task.scenario !== undefined)
    assert(
      words[machineWord(MachineWord.LAYOUT_HASH)] === (image.hash ^ symbolHash()),
      `serveTask: CPU ${task.cpu} has another kernel image than its machine: smplab was built while it ran`,
    );
  const { bus, thread, begin } = makeCpu(geometry(task.geometry), words);
  bus.thread = threadId;
  bus.registers.set(CpuWord.THREAD, threadId);
  thread.attach(bus);
  attachBus(bus);
  attach_arch(thread);
  try {
    serveMachine(bus, thread, begin);
  } finally {
    attachBus(undefined);
  }
}
