/** What the power button and the local APIC's INIT and SIPI do to a CPU. */
import { machineWord } from '#memory/base-bus';
import { type HardwareConfig, hardwareOf, resolveQuirks } from '#memory/firmware';
import { ContextWord, CpuWord, MachineWord, Pending, PowerState, Status } from '#memory/layout';
import { EventType, Instruction, Outcome } from '#trace/events';
import type { ThreadBus } from './thread-bus.ts';
import { enterProtectedMode, reset, takeInit, takeSipi } from './reset.ts';

/** RESET by the firmware's tables. The boot CPU goes on, the others wait for SIPI. */
export function powerUp(bus: ThreadBus, cpu: number): void {
  const { registers, u8, i32 } = bus;
  const address = i32[machineWord(MachineWord.FIRMWARE)]!;
  const bytes = i32[machineWord(MachineWord.FIRMWARE_BYTES)]!;
  const text = new TextDecoder().decode(u8.slice(address, address + bytes));
  const config = JSON.parse(text) as HardwareConfig;
  reset(registers, hardwareOf(resolveQuirks(config), cpu));
  registers.set(CpuWord.CONTEXT, cpu);
  registers.set(CpuWord.STATUS, Status.OFF);
  bus.reloadContext();
  bus.i32[bus.contextIndex + ContextWord.CPU] = cpu;
  bus.resetContext();
  if (cpu !== 0) return;
  enterProtectedMode(registers, config.i386);
  registers.set(CpuWord.STATUS, Status.READY);
}

/** Takes INIT, then SIPI. True if the CPU starts running. */
export function takeSignals(bus: ThreadBus, signals: number): boolean {
  const { registers } = bus;
  if ((signals & Pending.INIT) !== 0) {
    const outcome = takeInit(registers) === 'taken' ? Outcome.SUCCESS : Outcome.BLOCKED;
    bus.emit(EventType.INSTRUCTION, Instruction.INIT, 0, 0, outcome);
  }
  if ((signals & Pending.SIPI) === 0) return false;
  const vector = registers.get(CpuWord.SIPI);
  const started = takeSipi(registers);
  bus.emit(EventType.INSTRUCTION, Instruction.SIPI, vector, 0, started);
  if (started !== Outcome.SUCCESS) return false;
  enterProtectedMode(registers, bus.i32[machineWord(MachineWord.I386)] !== 0);
  registers.set(CpuWord.PREEMPT_COUNT, 0);
  registers.set(CpuWord.HARDIRQ_COUNT, 0);
  registers.set(CpuWord.CURRENT_TASK, 0);
  return registers.power === PowerState.RUNNING;
}
