/** A CPU's life in one machine, from power-on to power-off, whatever it runs on. */
import { machineWord } from '#memory/base-bus';
import { CpuWord, MachineWord, Pending, PowerState, RunState } from '#memory/layout';
import { sleep } from '#memory/sleep';
import { NULL } from '#memory/struct';
import { start_kernel } from '#kernel/init';
import { cpu_idle, start_secondary } from '#smp/smpboot';
import { ResetTaken } from './control-flow.ts';
import type { CpuThread } from './cpu-thread.ts';
import type { ThreadBus } from './thread-bus.ts';
import { powerUp, takeSignals } from './power.ts';

const RUN_STATE = machineWord(MachineWord.RUN_STATE);
const RUN_EPOCH = machineWord(MachineWord.RUN_EPOCH);
const POWERED_OFF = -1;
const AT_REST = machineWord(MachineWord.CPUS_AT_REST);
const THREADS_UP = machineWord(MachineWord.THREADS_UP);
const POWER_GOOD = machineWord(MachineWord.POWER_GOOD);

/**
 * Lives as often as the host starts the machine; comes back when it is powered off.
 * @param begin what a CPU of this kind of machine does first, each time
 */
export function serveMachine(bus: ThreadBus, thread: CpuThread, begin: () => void): void {
  if (bus.cpu === 0 && bus.i32[POWER_GOOD] === 0) powerUp(bus);
  for (let epoch = rest(bus, 0); epoch !== POWERED_OFF; epoch = rest(bus, epoch)) {
    thread.untilStopped(() => live(bus, thread, begin));
  }
}

/**
 * Waits for the host to start the machine once more than `epoch` says. Answers the new epoch, or POWERED_OFF.
 * A start that was followed by a stop before this thread looked is a start all the same: it has to come to rest again.
 */
function rest(bus: ThreadBus, epoch: number): number {
  const { i32 } = bus;
  const wake = bus.registers.base + CpuWord.WAKE;
  // Where the boot has begun without this thread, it has not come to rest from anything.
  Atomics.add(i32, epoch === 0 ? THREADS_UP : AT_REST, 1);
  bus.ringDoorbell();
  for (;;) {
    const seen = Atomics.load(i32, wake);
    if (Atomics.load(i32, RUN_STATE) === RunState.OFF) return POWERED_OFF;
    const now = Atomics.load(i32, RUN_EPOCH);
    if (now !== epoch) return now;
    sleep(i32, wake, seen);
  }
}

/** A CPU's life from where its registers say it is. Comes back only by being stopped. */
function live(bus: ThreadBus, thread: CpuThread, begin: () => void): void {
  // A snapshot may have given this thread another context than it had.
  bus.reloadContext();
  bus.resetContext();
  begin();
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
