/** A CPU's registers over plain memory: no thread, no bus. */
import { CpuRegisters } from '#memory/cpu-registers';
import { type HardwareConfig, hardwareOf } from '#memory/firmware';
import { type Geometry, geometry } from '#memory/layout';
import { enterProtectedMode, reset } from '#cpu-worker/reset';

export const layout: Geometry = geometry({
  staticEnd: 0x20000,
  nrPossible: 2,
  firmwareBytes: 4096,
  heapPages: 16,
  ringCapacity: 64,
});

export const AMD: HardwareConfig = { vendor: 'amd', i386: false };
export const AMD_K8: HardwareConfig = { vendor: 'amd', i386: false, model: 'k8-tl60' };
export const INTEL: HardwareConfig = { vendor: 'intel', i386: false };

export function registersOf(cpu = 0): CpuRegisters {
  return new CpuRegisters(new Int32Array(new SharedArrayBuffer(layout.bytes)), layout, cpu);
}

/** A CPU right after power-up. */
export function poweredUp(config: HardwareConfig, cpu = 0): CpuRegisters {
  const registers = registersOf(cpu);
  reset(registers, hardwareOf(config, cpu));
  return registers;
}

/** A CPU that runs kernel code. */
export function running(config: HardwareConfig, cpu = 0): CpuRegisters {
  const registers = poweredUp(config, cpu);
  enterProtectedMode(registers, config.i386);
  return registers;
}
