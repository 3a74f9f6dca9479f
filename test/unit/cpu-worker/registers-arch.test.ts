import { describe, expect, it } from 'vitest';
import { machineWord } from '#memory/base-bus';
import type { BusClient } from '#memory/bus';
import { type HardwareConfig, hardwareOf } from '#memory/firmware';
import { CpuWord, MachineWord, Pending, TraceMask, ringWord } from '#memory/layout';
import { ParallelBus } from '#memory/parallel-bus';
import { EventType, Instruction, Outcome, type TraceEvent } from '#trace/events';
import { readRing } from '#trace/ring';
import { ProcessorCore } from '#cpu-worker/registers-arch';
import { enterProtectedMode, reset, takeInit } from '#cpu-worker/reset';
import { AMD, INTEL, layout } from './cpu.ts';

const client: BusClient = {
  interruptWindow: () => {},
  takeInterrupt: () => {},
  fault: (address) => {
    throw new Error(`page fault at ${address}`);
  },
};

function machine(config: HardwareConfig): {
  bus: ParallelBus;
  core: ProcessorCore;
  events: () => TraceEvent[];
} {
  const bus = new ParallelBus(new SharedArrayBuffer(layout.bytes), layout, 0, client);
  const ring = ringWord(layout, 0);
  bus.i32[ring + 1] = layout.ringCapacity;
  bus.i32[machineWord(MachineWord.TRACE_MASK)] = TraceMask.ALL;
  reset(bus.registers, hardwareOf(config, 0));
  enterProtectedMode(bus.registers, config.i386);
  return { bus, core: new ProcessorCore(() => bus), events: () => readRing(bus.i32, ring).events };
}

const seen = ({ type, a, b, c, d }: TraceEvent): number[] => [type, a, b, c, d];

describe('ProcessorCore: what it does is in the trace', () => {
  it('MSR reads and writes, with the value and whether they faulted', () => {
    const { core, events } = machine(AMD);
    expect(core.wrmsr(0xc0000102, 0xffff8100_00001000n)).toBe(true);
    expect(core.rdmsr(0xc0000102)).toBe(0xffff8100_00001000n);
    expect(core.rdmsr(0x3a)).toBeUndefined();
    expect(core.wrmsr(0xc0010114, 0x20n)).toBe(false);
    expect(events().map(seen)).toEqual([
      [EventType.MSR_WRITE, 0xc0000102, 0x1000, 0xffff8100, 0],
      [EventType.MSR_READ, 0xc0000102, 0x1000, 0xffff8100, 0],
      [EventType.MSR_READ, 0x3a, 0, 0, 1],
      [EventType.MSR_WRITE, 0xc0010114, 0x20, 0, 1],
    ]);
  });

  it('CPUID, SGDT, WBINVD and writes of CR4', () => {
    const { core, events } = machine(AMD);
    expect(core.cpuid(0x8000000a).ebx).toBe(0x40);
    const gdt = core.sgdt();
    core.wbinvd();
    expect(core.writeCr4(0x26e0)).toBe(false);
    expect(core.writeCr4(0x6e1)).toBe(true);
    expect(core.readCr4()).toBe(0x6e1);
    expect(core.readCr0()).toBe(0x8005003b);
    expect(events().map(seen)).toEqual([
      [EventType.INSTRUCTION, Instruction.CPUID, 0x8000000a, 0, Outcome.SUCCESS],
      [EventType.INSTRUCTION, Instruction.SGDT, gdt, 0, Outcome.SUCCESS],
      [EventType.INSTRUCTION, Instruction.INVALIDATE_CACHES, 0, 0, Outcome.SUCCESS],
      [EventType.INSTRUCTION, Instruction.MOV_TO_CR4, 0x26e0, 0, Outcome.FAULT_GP],
      [EventType.INSTRUCTION, Instruction.MOV_TO_CR4, 0x6e1, 0, Outcome.SUCCESS],
    ]);
  });

  it('VMX instructions, on revision ids in simulated memory', () => {
    const { bus, core, events } = machine(INTEL);
    const region = layout.heap;
    const vmcs = layout.heap + 4096;
    bus.store32(region, 0xd);
    bus.store32(vmcs, 0xd);
    expect(core.writeCr4(core.readCr4() | 0x2000)).toBe(true);
    expect(core.vmxon(BigInt(vmcs + 4096))).toBe(Outcome.VMFAIL_INVALID);
    expect(core.vmxon(BigInt(region))).toBe(Outcome.SUCCESS);
    expect(core.vmptrld(BigInt(vmcs))).toBe(Outcome.SUCCESS);
    expect(core.vmclear(BigInt(region))).toBe(Outcome.VMFAIL_VALID);
    expect(core.vmxoff()).toBe(Outcome.SUCCESS);
    expect(core.vmxoff()).toBe(Outcome.FAULT_UD);
    expect(events().map(seen).slice(1)).toEqual([
      [EventType.INSTRUCTION, Instruction.VMXON, vmcs + 4096, 0, Outcome.VMFAIL_INVALID],
      [EventType.INSTRUCTION, Instruction.VMXON, region, 0, Outcome.SUCCESS],
      [EventType.INSTRUCTION, Instruction.VMPTRLD, vmcs, 0, Outcome.SUCCESS],
      [EventType.INSTRUCTION, Instruction.VMCLEAR, region, 0, Outcome.VMFAIL_VALID],
      [EventType.INSTRUCTION, Instruction.VMXOFF, 0, 0, Outcome.SUCCESS],
      [EventType.INSTRUCTION, Instruction.VMXOFF, 0, 0, Outcome.FAULT_UD],
    ]);
  });

  it.each([0n, BigInt(layout.bytes), 0x40000000n, 0x7f_00000000n])(
    'VMXON at physical %i, where no region can be, fails and does not fault',
    (physical) => {
      const { core } = machine(INTEL);
      core.writeCr4(core.readCr4() | 0x2000);
      expect(core.vmxon(physical)).toBe(Outcome.VMFAIL_INVALID);
    },
  );

  it('an INIT that VMX root operation held back arrives again after VMXOFF', () => {
    const { bus, core } = machine(INTEL);
    bus.store32(layout.heap, 0xd);
    core.writeCr4(core.readCr4() | 0x2000);
    expect(core.vmxon(BigInt(layout.heap))).toBe(Outcome.SUCCESS);
    expect(takeInit(bus.registers)).toBe('pending');
    expect(bus.registers.get(CpuWord.PENDING)).toBe(0);
    expect(core.vmxoff()).toBe(Outcome.SUCCESS);
    expect(bus.registers.get(CpuWord.PENDING)).toBe(Pending.INIT);
    expect(takeInit(bus.registers)).toBe('taken');
  });
});
