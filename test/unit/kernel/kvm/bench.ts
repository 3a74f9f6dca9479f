/** One simulated CPU on the test's own thread, with the kernel's services up and KVM's modules in the image. */
import { CpuRegisters } from '#memory/cpu-registers';
import { type Bus, attachBus, withBus } from '#memory/bus';
import { type HardwareConfig, type QuirkName, type Vendor, hardwareOf } from '#memory/firmware';
import { sealImage, writeStartValues } from '#memory/image';
import {
  CpuWord,
  MACHINE_BLOCK,
  MachineWord,
  PERCPU_BYTES,
  PERCPU_TEMPLATE,
  PRINTK_RECORD_BYTES,
  geometry,
} from '#memory/layout';
import { ParallelBus } from '#memory/parallel-bus';
import { __per_cpu_offset } from '#memory/percpu';
import { NULL } from '#memory/struct';
import { type Arch, attachArch } from '#smp/arch';
import { cpu_online_map, cpu_possible_map, cpu_present_map, cpu_set } from '#smp/cpumask';
import { current_task } from '#smp/sched';
import { ProcessorCore } from '#cpu-worker/registers-arch';
import { enterProtectedMode, reset } from '#cpu-worker/reset';
import { mem_init } from '#kernel/page_alloc';
import { identify_boot_cpu } from '#kernel/processor';
import { do_basic_setup } from '#kernel/services';
import { kmem_cache_init } from '#kernel/slab';
import '#kernel/kvm/svm';
import '#kernel/kvm/vmx';

export interface BenchConfig {
  readonly vendor: Vendor;
  readonly i386?: boolean;
  readonly slub?: boolean;
  readonly quirks?: readonly QuirkName[];
}

/** What an oops becomes here. */
export class Oops extends Error {}

export interface Bench {
  readonly bus: Bus;
  readonly registers: CpuRegisters;
  /** MSRs read since the machine was made, in order; tests may empty it. */
  readonly msrReads: number[];
  /** MSRs written, in order. */
  readonly msrWrites: (readonly [number, bigint])[];
  /** Texts of the kernel's log. */
  log(): string[];
}

const CPUS = 2;
const HEAP_PAGES = 1024;

function refuse(what: string): never {
  throw new Oops(what);
}

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

  cli(): void {
    this.currentBus().registers.set(CpuWord.IRQS_ENABLED, 0);
  }

  sti(): void {
    this.currentBus().registers.set(CpuWord.IRQS_ENABLED, 1);
  }

  killCurrent(reason: string): never {
    return refuse(reason);
  }

  haltMachine(reason: string): never {
    return refuse(reason);
  }

  ringHost(): void {}

  offline(): boolean {
    return false;
  }
}

/** A machine with two possible CPUs, of which CPU 0 is online, in the middle of a task. */
export function boot(config: BenchConfig): Bench {
  const hardware: HardwareConfig = {
    vendor: config.vendor,
    i386: config.i386 ?? false,
    all: { quirks: config.quirks ?? [] },
  };
  const layout = geometry({
    staticEnd: sealImage().end,
    nrPossible: CPUS,
    firmwareBytes: 4096,
    heapPages: HEAP_PAGES,
    ringCapacity: 0,
  });
  const buffer = new SharedArrayBuffer(layout.bytes);
  const client = {
    interruptWindow: (): void => {},
    takeInterrupt: (): void => {},
    fault: (address: number): never => refuse(`unable to handle access at 0x${address.toString(16)}`),
  };
  const host = new ParallelBus(buffer, layout, -1, client);
  const words = host.i32;
  words[(MACHINE_BLOCK >>> 2) + MachineWord.I386] = config.i386 === true ? 1 : 0;
  words[(MACHINE_BLOCK >>> 2) + MachineWord.SLUB] = config.slub === true ? 1 : 0;
  withBus(host, () =>
    writeStartValues((destination, source, length) => host.copy(destination, source, length)),
  );
  const registers = new CpuRegisters(words, layout, 0);
  reset(registers, hardwareOf(hardware, 0));
  enterProtectedMode(registers, hardware.i386);
  registers.set(CpuWord.IRQS_ENABLED, 1);
  const bus = new ParallelBus(buffer, layout, 0, client);
  bus.resetContext();
  attachBus(bus);
  const arch = new BenchArch(() => bus);
  attachArch(arch as unknown as Arch);

  for (let cpu = 0; cpu < CPUS; cpu++) {
    cpu_set(cpu, cpu_possible_map);
    cpu_set(cpu, cpu_present_map);
    const area = layout.perCpuAreas + cpu * PERCPU_BYTES;
    bus.copy(area, PERCPU_TEMPLATE, PERCPU_BYTES);
    bus.storeLocal32(__per_cpu_offset.addressOf(cpu), area - PERCPU_TEMPLATE);
  }
  cpu_set(0, cpu_online_map);
  registers.set(CpuWord.CURRENT_TASK, layout.tasks);
  const task = current_task();
  task.pid = 1;
  task.mm = 1;
  task.preempt_notifiers.next = NULL;
  identify_boot_cpu();
  mem_init();
  kmem_cache_init();
  do_basic_setup();
  arch.msrReads.length = 0;

  const decoder = new TextDecoder();
  const log = (): string[] => {
    const written = words[(MACHINE_BLOCK >>> 2) + MachineWord.PRINTK_WRITTEN]!;
    return Array.from({ length: written }, (_, index) => {
      const bytes = host.loadBytes(layout.printk + index * PRINTK_RECORD_BYTES, PRINTK_RECORD_BYTES);
      return decoder.decode(bytes.slice(8, 8 + new DataView(bytes.buffer).getUint16(2, true)));
    });
  };
  return { bus, registers, msrReads: arch.msrReads, msrWrites: arch.msrWrites, log };
}
