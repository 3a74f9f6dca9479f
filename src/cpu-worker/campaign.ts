/**
 * A CPU's life in a machine that is searched: the idle loop, and in each run the flow that the scenario gives this CPU.
 *
 * A run ends for a thread when it notices that another one is on: whatever calls it has on its stack are unwound
 * (RunOver), and it takes up the new run's command where it stands here.
 */
import type { DeterministicBus } from '#memory/deterministic-bus';
import { CpuWord, MACHINE_BLOCK, MachineWord, Pending, PowerState } from '#memory/layout';
import { RunOver } from '#memory/run-over';
import { NULL, type Ptr } from '#memory/struct';
import { report_finding } from '#smp/printk';
import { TASK_DEAD, preempt_check_resched, set_curr, task_struct } from '#smp/sched';
import { come_online, idle_wait, idle_work } from '#smp/smpboot';
import { type LoadedScenario, complaintOf } from '#scenario/program';
import { ResetTaken } from './control-flow.ts';
import type { CpuThread } from './cpu-thread.ts';
import { takeSignals } from './power.ts';

const TASK_STATE = task_struct.offsetof('state');
const TASKS_OPEN = MACHINE_BLOCK + MachineWord.TASKS_OPEN * 4;

/** How a CPU of a deterministic machine begins, each time that it is started: see serveMachine. */
export function beginningOf(
  bus: DeterministicBus,
  thread: CpuThread,
  loaded: LoadedScenario | undefined,
): () => void {
  return () => {
    if (loaded !== undefined && bus.searching) serveCampaign(bus, thread, loaded);
    bus.park();
  };
}

/** Serves runs until the machine stops; comes back by an exception only. */
function serveCampaign(bus: DeterministicBus, thread: CpuThread, loaded: LoadedScenario): never {
  const { scenario } = loaded;
  if (scenario.always !== undefined) bus.invariant = () => checkAlways(bus, loaded);
  bus.adoptRun();
  bus.park();
  for (;;) {
    try {
      for (;;) once(bus, thread);
    } catch (error) {
      if (error instanceof RunOver) bus.adoptRun();
      else if (!(error instanceof ResetTaken)) throw error;
    }
  }
}

function once(bus: DeterministicBus, thread: CpuThread): void {
  if (bus.flowGranted) runFlow(bus, thread);
  else if (bus.registers.power === PowerState.RUNNING) {
    idle_wait();
    if (!bus.flowGranted) idle_work();
  } else {
    waitForStart(bus);
  }
}

/** A CPU that is off, until INIT and STARTUP have brought it up. */
export function waitForStart(bus: DeterministicBus): void {
  if (!takeSignals(bus, bus.waitForSignal(Pending.INIT | Pending.SIPI))) return;
  bus.resetContext();
  come_online();
}

/** The flow that the scenario gives this CPU, from its first step to its last. */
function runFlow(bus: DeterministicBus, thread: CpuThread): void {
  const fn = bus.registers.get(CpuWord.FLOW_FUNCTION) >>> 0;
  const task = beginFlow(bus);
  // A kernel thread may wait for this CPU since before.
  preempt_check_resched();
  // From here on the task may have moved: this may be another CPU.
  thread.runTask(fn, 0, 0, 0, '');
  endFlow(bus, task);
}

/** @plain */
export function beginFlow(bus: DeterministicBus): Ptr {
  const { registers } = bus;
  const task = registers.get(CpuWord.FLOW_TASK);
  bus.beginFlow();
  registers.set(CpuWord.CURRENT_TASK, task);
  registers.set(CpuWord.PREEMPT_COUNT, 0);
  set_curr(bus.cpu, task);
  return task;
}

/** @plain */
export function endFlow(bus: DeterministicBus, task: Ptr): void {
  bus.endFlow();
  bus.registers.set(CpuWord.PREEMPT_COUNT, 1);
  bus.registers.set(CpuWord.CURRENT_TASK, NULL);
  set_curr(bus.cpu, NULL);
  bus.storeLocal32(task + TASK_STATE, TASK_DEAD);
  bus.count32(TASKS_OPEN, -1);
}

function checkAlways(bus: DeterministicBus, loaded: LoadedScenario): void {
  bus.unseen(() => {
    const complaint = complaintOf(
      () => loaded.scenario.always!(),
      'always',
      'what must always hold does not',
    );
    if (complaint !== undefined) report_finding('check', complaint);
    return true;
  });
}
