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
import {
  CpuWord,
  type GeometryInput,
  MACHINE_MAGIC,
  MachineWord,
  Mode,
  Pending,
  PowerState,
  RunState,
  geometry,
} from '#memory/layout';
import { ParallelBus } from '#memory/parallel-bus';
import { NULL } from '#memory/struct';
import { symbolHash } from '#memory/symbols';
import { start_kernel } from '#kernel/init';
import { policyByNumber } from '#scheduler/policies';
import { attach_arch } from '#smp/arch';
import { cpu_idle, start_secondary } from '#smp/smpboot';
import { type LoadedScenario, type ScenarioSource, loadScenario } from '#scenario/program';
import { serveCampaign } from './campaign.ts';
import { ResetTaken } from './control-flow.ts';
import { CpuThread } from './cpu-thread.ts';
import type { ThreadBus } from './thread-bus.ts';
import { powerUp, takeSignals } from './power.ts';

/** What the host sends with a CPU's task. */
export interface CpuTask {
  readonly buffer: SharedArrayBuffer;
  readonly geometry: GeometryInput;
  readonly cpu: number;
  /** In a machine that is searched: what it runs. */
  readonly scenario?: ScenarioSource;
}

const RUN_STATE = machineWord(MachineWord.RUN_STATE);
const RUN_EPOCH = machineWord(MachineWord.RUN_EPOCH);
const POWERED_OFF = -1;
const AT_REST = machineWord(MachineWord.CPUS_AT_REST);

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
  const thread = new CpuThread(layout);
  const bus = makeBus(task, layout, words, thread);
  bus.thread = threadId;
  bus.registers.set(CpuWord.THREAD, threadId);
  thread.attach(bus);
  attachBus(bus);
  attach_arch(thread);
  if (bus.registers.power === PowerState.OFF) powerUp(bus, task.cpu);
  try {
    for (let epoch = rest(bus, 0); epoch !== POWERED_OFF; epoch = rest(bus, epoch)) {
      thread.untilStopped(() => live(bus, thread, loaded));
    }
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
    return new ParallelBus(task.buffer, layout, task.cpu, thread);
  }
  return new DeterministicBus(task.buffer, layout, task.cpu, thread, policyByNumber);
}

/**
 * Waits for the host to start the machine once more than `epoch` says. Answers the new epoch, or POWERED_OFF.
 * A start that was followed by a stop before this thread looked is a start all the same: it has to come to rest again.
 */
function rest(bus: ThreadBus, epoch: number): number {
  const { i32 } = bus;
  const wake = bus.registers.base + CpuWord.WAKE;
  Atomics.add(i32, AT_REST, 1);
  bus.ringDoorbell();
  for (;;) {
    const seen = Atomics.load(i32, wake);
    if (Atomics.load(i32, RUN_STATE) === RunState.OFF) return POWERED_OFF;
    const now = Atomics.load(i32, RUN_EPOCH);
    if (now !== epoch) return now;
    Atomics.wait(i32, wake, seen);
  }
}

/** A CPU's life from where its registers say it is. Comes back only by being stopped. */
function live(bus: ThreadBus, thread: CpuThread, loaded: LoadedScenario | undefined): void {
  // A snapshot may have given this thread another context than it had.
  bus.reloadContext();
  bus.resetContext();
  if (bus instanceof DeterministicBus) {
    if (loaded !== undefined && bus.searching) serveCampaign(bus, thread, loaded);
    bus.park();
  }
  if (thread.powerState === PowerState.RUNNING) {
    if (bus.cpu === 0 && bus.registers.get(CpuWord.STARTED) === 0) {
      bus.registers.set(CpuWord.STARTED, 1);
      start_kernel();
    } else {
      idle(bus);
    }
  }
  for (;;) {
    try {
      runAsIs(bus);
    } catch (error) {
      if (!(error instanceof ResetTaken)) throw error;
    }
  }
}

function runAsIs(bus: ThreadBus): never {
  for (;;) {
    // After the idle loop this thread may be another CPU than before, but a dead one.
    if (bus.registers.power === PowerState.RUNNING) {
      idle(bus);
      continue;
    }
    const signals = bus.waitForSignal(Pending.INIT | Pending.SIPI);
    if (takeSignals(bus, signals)) {
      bus.resetContext();
      start_secondary();
    }
  }
}

/** The idle loop, as its own first frame. */
function idle(bus: ThreadBus): void {
  const { registers } = bus;
  bus.resetContext();
  registers.set(CpuWord.CURRENT_TASK, NULL);
  registers.set(CpuWord.HARDIRQ_COUNT, 0);
  registers.set(CpuWord.PREEMPT_COUNT, 1);
  registers.set(CpuWord.IRQS_ENABLED, 1);
  cpu_idle();
}
