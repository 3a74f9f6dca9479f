/** The kernel bench with a real processor's registers, and KVM's modules in the image. */
import type { CpuRegisters } from '#memory/cpu-registers';
import { type HardwareConfig, type QuirkName, type Vendor, hardwareOf } from '#memory/firmware';
import { CpuWord } from '#memory/layout';
import type { ParallelBus } from '#memory/parallel-bus';
import { type Arch, arch as fakeArch, attach_arch } from '#smp/arch';
import { ProcessorCore } from '#cpu-worker/registers-arch';
import { enterProtectedMode, reset } from '#cpu-worker/reset';
import { identify_boot_cpu } from '#kernel/processor';
import { kernelBench } from '../../../support/kernel-bench.ts';

// In the image before the first bench closes it.
export { svm_exit, svm_init } from '#kernel/kvm/svm';
export { vmx_exit, vmx_init } from '#kernel/kvm/vmx';
export { PageFault, TaskKilled } from '../../../support/kernel-bench.ts';

export interface BenchConfig {
  readonly vendor: Vendor;
  readonly i386?: boolean;
  readonly slub?: boolean;
  readonly quirks?: readonly QuirkName[];
}

export interface Bench {
  readonly bus: ParallelBus;
  readonly registers: CpuRegisters;
  /** MSRs read since the machine was made, in order; tests may empty it. */
  readonly msrReads: number[];
  /** MSRs written, in order. */
  readonly msrWrites: (readonly [number, bigint])[];
  /** Texts of the kernel's log. */
  log(): string[];
  /** Titles of what the kernel found wrong with itself. */
  findings(): string[];
}

/** The bench's fake processor, with its registers replaced by real ones. */
class BenchArch extends ProcessorCore {
  readonly msrReads: number[] = [];
  readonly msrWrites: (readonly [number, bigint])[] = [];

  override rdmsr(msr: number): bigint | undefined {
    this.msrReads.push(msr);
    return super.rdmsr(msr);
  }

  override wrmsr(msr: number, value: bigint): boolean {
    this.msrWrites.push([msr, value]);
    return super.wrmsr(msr, value);
  }
}

/** A machine with two possible CPUs, of which CPU 0 is online, in the middle of a task. */
export function boot(config: BenchConfig): Bench {
  const i386 = config.i386 ?? false;
  const hardware: HardwareConfig = { vendor: config.vendor, i386, all: { quirks: config.quirks ?? [] } };
  const kernel = kernelBench({
    slub: config.slub ?? false,
    i386,
    heapPages: 1024,
    possible: 2,
  });
  const { bus } = kernel;
  reset(bus.registers, hardwareOf(hardware, 0));
  enterProtectedMode(bus.registers, i386);
  bus.registers.set(CpuWord.IRQS_ENABLED, 1);

  const core = new BenchArch(() => bus);
  const rest = fakeArch;
  attach_arch(
    new Proxy(rest, {
      get: (target, name) => {
        const own: unknown = Reflect.get(core, name, core);
        return typeof own === 'function' ? own.bind(core) : Reflect.get(target, name);
      },
    }) satisfies Arch,
  );
  identify_boot_cpu();
  return {
    bus,
    registers: bus.registers,
    msrReads: core.msrReads,
    msrWrites: core.msrWrites,
    log: () => kernel.log(),
    findings: () => kernel.findings().map((finding) => finding.title),
  };
}
