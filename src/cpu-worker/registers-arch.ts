/**
 * The register part of a simulated x86 processor: does the instruction on this CPU's block and says so in the trace.
 * Interrupts and what ends a CPU are the business of who builds on this.
 */
import { assert } from '#base/assert';
import type { Bus } from '#memory/bus';
import { CpuWord, PAGE_SIZE, Pending } from '#memory/layout';
import type { Arch, CpuidResult } from '#smp/arch';
import { EventType, Instruction, Outcome } from '#trace/events';
import { cpuid } from './cpuid.ts';
import { rdmsr, wrmsr } from './msr.ts';
import { isInitUnblocked } from './reset.ts';
import { VM_EXIT, type VmxOutcome, vmclear, vmptrld, vmxoff, vmxon, writeCr4 } from './vmx.ts';

export type RegisterArch = Pick<
  Arch,
  | 'rdmsr'
  | 'wrmsr'
  | 'cpuid'
  | 'readCr0'
  | 'readCr4'
  | 'writeCr4'
  | 'sgdt'
  | 'wbinvd'
  | 'vmxon'
  | 'vmxoff'
  | 'vmclear'
  | 'vmptrld'
>;

function low(value: bigint): number {
  return Number(BigInt.asUintN(32, value));
}

function high(value: bigint): number {
  return Number(BigInt.asUintN(32, value >> 32n));
}

const NOTHING_MAPPED = 0xffffffff;

export class ProcessorCore implements RegisterArch {
  protected readonly currentBus: () => Bus;

  /** @param currentBus answers the bus this thread's CPU is on now */
  constructor(currentBus: () => Bus) {
    this.currentBus = currentBus;
  }

  rdmsr(msr: number): bigint | undefined {
    const bus = this.currentBus();
    const value = rdmsr(bus.registers, msr >>> 0);
    const shown = value ?? 0n;
    bus.emit(EventType.MSR_READ, msr, low(shown), high(shown), value === undefined ? 1 : 0);
    return value;
  }

  wrmsr(msr: number, value: bigint): boolean {
    const bus = this.currentBus();
    const written = wrmsr(bus.registers, msr >>> 0, value);
    bus.emit(EventType.MSR_WRITE, msr, low(value), high(value), written ? 0 : 1);
    return written;
  }

  cpuid(leaf: number): CpuidResult {
    const bus = this.currentBus();
    bus.emit(EventType.INSTRUCTION, Instruction.CPUID, leaf, 0, Outcome.SUCCESS);
    return cpuid(bus.registers, leaf);
  }

  readCr0(): number {
    return this.currentBus().registers.get(CpuWord.CR0) >>> 0;
  }

  readCr4(): number {
    return this.currentBus().registers.get(CpuWord.CR4) >>> 0;
  }

  writeCr4(value: number): boolean {
    const bus = this.currentBus();
    const written = writeCr4(bus.registers, value);
    const outcome = written ? Outcome.SUCCESS : Outcome.FAULT_GP;
    bus.emit(EventType.INSTRUCTION, Instruction.MOV_TO_CR4, value, 0, outcome);
    return written;
  }

  sgdt(): number {
    const bus = this.currentBus();
    const base = bus.registers.get(CpuWord.GDT_BASE) >>> 0;
    bus.emit(EventType.INSTRUCTION, Instruction.SGDT, base, 0, Outcome.SUCCESS);
    return base;
  }

  /** Caches of a simulated CPU hold nothing that memory does not. */
  wbinvd(): void {
    this.currentBus().emit(EventType.INSTRUCTION, Instruction.INVALIDATE_CACHES, 0, 0, Outcome.SUCCESS);
  }

  vmxon(physical: bigint): Outcome {
    const bus = this.currentBus();
    return this.#ended(bus, Instruction.VMXON, physical, vmxon(bus.registers, physical, this.#readPhysical));
  }

  vmxoff(): Outcome {
    const bus = this.currentBus();
    const outcome = this.#ended(bus, Instruction.VMXOFF, 0n, vmxoff(bus.registers));
    if (isInitUnblocked(bus.registers)) this.initUnblocked(bus);
    return outcome;
  }

  vmclear(physical: bigint): Outcome {
    const bus = this.currentBus();
    return this.#ended(bus, Instruction.VMCLEAR, physical, vmclear(bus.registers, physical));
  }

  vmptrld(physical: bigint): Outcome {
    const bus = this.currentBus();
    return this.#ended(
      bus,
      Instruction.VMPTRLD,
      physical,
      vmptrld(bus.registers, physical, this.#readPhysical),
    );
  }

  /**
   * An INIT that waited may now be taken. It arrives again, and the CPU meets it at its next operation: until then it
   * stays pending as well, so that a CPU which never comes to one has not lost it.
   */
  protected initUnblocked(bus: Bus): void {
    bus.raise(bus.cpu, Pending.INIT);
  }

  /** Operands are read by the processor and not by the program: no event, no scheduling point, no page fault. */
  readonly #readPhysical = (physical: bigint): number => {
    const bus = this.currentBus();
    // Page zero is unmapped for programs only, and holds nothing.
    if (physical < BigInt(PAGE_SIZE)) return 0;
    return physical + 4n <= BigInt(bus.layout.bytes) ? bus.loadLocal32(Number(physical)) : NOTHING_MAPPED;
  };

  #ended(bus: Bus, instruction: Instruction, operand: bigint, outcome: VmxOutcome): Outcome {
    assert(outcome !== VM_EXIT, 'ProcessorCore: a guest runs no instructions here');
    bus.emit(EventType.INSTRUCTION, instruction, low(operand), high(operand), outcome);
    return outcome;
  }
}
