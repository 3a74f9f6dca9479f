/** What a CPU thread of any other machine runs: a deterministic one, or a parallel one that runs a scenario or is recorded. */
// First: it decides every address.
import '#kernel/image';
import { machineWord } from '#memory/base-bus';
import { DeterministicBus } from '#memory/deterministic-bus';
import { type Geometry, MachineWord, Mode } from '#memory/layout';
import { ParallelBus } from '#memory/parallel-bus';
import { RecordingBus } from '#memory/recording-bus';
import { policyByNumber } from '#scheduler/policies';
import { type LoadedScenario, loadScenario } from '#scenario/program';
import { beginningOf } from './campaign.ts';
import { CpuThread } from './cpu-thread.ts';
import { ScenarioCpu } from './scenario-cpu.ts';
import { type Cpu, type CpuTask, serveTask } from './serve.ts';

/** See serveTask. */
export function serve(task: CpuTask): void {
  const loaded = task.scenario === undefined ? undefined : loadScenario(task.scenario);
  try {
    serveTask(task, (layout, words) =>
      words[machineWord(MachineWord.MODE)] === Mode.PARALLEL
        ? parallelCpu(task, layout, loaded)
        : deterministicCpu(task, layout, loaded),
    );
  } finally {
    loaded?.unload();
  }
}

function parallelCpu(task: CpuTask, layout: Geometry, loaded: LoadedScenario | undefined): Cpu {
  const thread = loaded === undefined ? new CpuThread(layout) : new ScenarioCpu(layout);
  const Bus = task.isRecorded === true ? RecordingBus : ParallelBus;
  return { bus: new Bus(task.buffer, layout, task.cpu, thread), thread, begin: () => {} };
}

function deterministicCpu(task: CpuTask, layout: Geometry, loaded: LoadedScenario | undefined): Cpu {
  const thread = new CpuThread(layout);
  const bus = new DeterministicBus(task.buffer, layout, task.cpu, thread, policyByNumber);
  return { bus, thread, begin: beginningOf(bus, thread, loaded) };
}
