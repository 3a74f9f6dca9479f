/**
 * Entry of a CPU thread. One pool task is one CPU of one machine, from power-on to power-off; then the thread goes back
 * to the pool and can be another machine's CPU.
 */
// First: it decides every address.
import '#kernel/image';
import { threadId } from 'node:worker_threads';
import { assert } from '#base/assert';
import { machineWord } from '#memory/base-bus';
import { attachBus } from '#memory/bus';
import { DeterministicBus } from '#memory/deterministic-bus';
import { sealImage } from '#memory/image';
import { CpuWord, type GeometryInput, MACHINE_MAGIC, MachineWord, Mode, geometry } from '#memory/layout';
import { ParallelBus } from '#memory/parallel-bus';
import { RecordingBus } from '#memory/recording-bus';
import { symbolHash } from '#memory/symbols';
import { policyByNumber } from '#scheduler/policies';
import { attach_arch } from '#smp/arch';
import { type ScenarioSource, loadScenario } from '#scenario/program';
import { CpuThread } from './cpu-thread.ts';
import { ScenarioCpu } from './scenario-cpu.ts';
import { serveMachine } from './life.ts';
import type { ThreadBus } from './thread-bus.ts';

/** What the host sends with a CPU's task. */
export interface CpuTask {
  readonly buffer: ArrayBufferLike;
  readonly geometry: GeometryInput;
  readonly cpu: number;
  /** In a machine that is searched: what it runs. */
  readonly scenario?: ScenarioSource;
  /** In a parallel machine: operations are recorded. */
  readonly isRecorded?: boolean;
}

/**
 * Serves as one CPU until the machine is powered off. Named, not default: the pool calls it by its name.
 * @throws InvariantError if this thread's kernel image is not the machine's
 */
export function serve(task: CpuTask): void {
  const layout = geometry(task.geometry);
  const words = new Int32Array(task.buffer);
  assert(
    words[machineWord(MachineWord.MAGIC)] === MACHINE_MAGIC,
    'serve: this is not the memory of a machine',
  );
  const image = sealImage();
  const loaded = task.scenario === undefined ? undefined : loadScenario(task.scenario);
  const hash = image.hash ^ symbolHash();
  assert(
    words[machineWord(MachineWord.LAYOUT_HASH)] === hash,
    `serve: CPU ${task.cpu} has another kernel image than its machine: smplab was built while it ran`,
  );
  const isParallel = words[machineWord(MachineWord.MODE)] === Mode.PARALLEL;
  const thread = isParallel && loaded !== undefined ? new ScenarioCpu(layout) : new CpuThread(layout);
  const bus = makeBus(task, layout, words, thread);
  bus.thread = threadId;
  bus.registers.set(CpuWord.THREAD, threadId);
  thread.attach(bus);
  attachBus(bus);
  attach_arch(thread);
  try {
    serveMachine(bus, thread, loaded);
  } finally {
    loaded?.unload();
    attachBus(undefined);
  }
}

function makeBus(
  task: CpuTask,
  layout: ReturnType<typeof geometry>,
  words: Int32Array,
  thread: CpuThread,
): ThreadBus {
  if (words[machineWord(MachineWord.MODE)] === Mode.PARALLEL) {
    const Kind = task.isRecorded === true ? RecordingBus : ParallelBus;
    return new Kind(task.buffer, layout, task.cpu, thread);
  }
  return new DeterministicBus(task.buffer, layout, task.cpu, thread, policyByNumber);
}
