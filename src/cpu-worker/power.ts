/** What the power button and the local APIC's INIT and SIPI do to a CPU. */
import { machineWord } from '#memory/base-bus';
import { type HardwareConfig, hardwareOf, resolveQuirks } from '#memory/firmware';
import {
  ContextWord,
  CpuWord,
  MachineWord,
  PENDING_MASKABLE,
  Pending,
  PowerState,
  Status,
} from '#memory/layout';
import { EventType, Instruction, Outcome } from '#trace/events';
import type { ThreadBus } from './thread-bus.ts';
import { enterProtectedMode, reset, takeInit, takeSipi } from './reset.ts';

const POWER_GOOD = machineWord(MachineWord.POWER_GOOD);

/** The firmware's tables. */
function firmwareOf({ u8, i32 }: ThreadBus): HardwareConfig {
  const address = i32[machineWord(MachineWord.FIRMWARE)]!;
  const bytes = i32[machineWord(MachineWord.FIRMWARE_BYTES)]!;
  return JSON.parse(new TextDecoder().decode(u8.slice(address, address + bytes))) as HardwareConfig;
}

/**
 * RESET of every CPU by the firmware's tables. The boot CPU, which calls, is brought to kernel code; the others wait for SIPI.
 * One CPU does it for all: what a CPU is sent before its own thread is there must not be lost.
 */
export function powerUp(bus: ThreadBus): void {
  const config = resolveQuirks(firmwareOf(bus));
  for (let cpu = 0; cpu < bus.layout.nrPossible; cpu++) {
    const registers = bus.registersOf(cpu);
    reset(registers, hardwareOf(config, cpu));
    registers.set(CpuWord.CONTEXT, cpu);
    registers.set(CpuWord.STATUS, Status.OFF);
    bus.i32[bus.contextOf(cpu) + ContextWord.CPU] = cpu;
  }
  bus.reloadContext();
  enterProtectedMode(bus.registers, config.i386);
  bus.registers.set(CpuWord.STATUS, Status.READY);
  Atomics.store(bus.i32, POWER_GOOD, 1);
}

/**
 * Every CPU loses its power and gets a RESET. The boot CPU, which calls, is brought back to kernel code as at power-up; the
 * others, which are off, wait for SIPI, and what their local APICs held is gone. What this CPU's holds stays: only the host can
 * have sent that, and it has not slept.
 */
export function powerCycle(bus: ThreadBus): void {
  const config = resolveQuirks(firmwareOf(bus));
  for (let cpu = 0; cpu < bus.layout.nrPossible; cpu++) {
    const registers = bus.registersOf(cpu);
    reset(registers, hardwareOf(config, cpu));
    if (cpu !== bus.cpu) Atomics.and(bus.i32, registers.base + CpuWord.PENDING, ~PENDING_OF_APIC);
    bus.emit(EventType.INSTRUCTION, Instruction.RESET, cpu, 0, Outcome.SUCCESS);
  }
  enterProtectedMode(bus.registers, config.i386);
}

const PENDING_OF_APIC = PENDING_MASKABLE | Pending.INIT | Pending.SIPI;

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
