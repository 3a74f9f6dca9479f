/**
 * A bench for kernel code: one simulated CPU on this thread, without a machine around it.
 *
 * Memory is real, the processor is a fake that knows the interrupt flag and little else. Importing a test's own kernel
 * code must come before the first bench: that closes the image.
 */
import { attachBus } from '#memory/bus';
import { sealImage, writeStartValues } from '#memory/image';
import {
  CpuWord,
  MACHINE_BLOCK,
  MachineWord,
  PERCPU_BYTES,
  PERCPU_TEMPLATE,
  PowerState,
  TASK_BYTES,
  TraceMask,
  FINDING_BYTES,
  geometry,
  ringWord,
  type MachineEnd,
} from '#memory/layout';
import { ParallelBus } from '#memory/parallel-bus';
import { __per_cpu_offset } from '#memory/percpu';
import { call_pointer } from '#memory/symbols';
import type { TraceEvent } from '#trace/events';
import { readRing } from '#trace/ring';
import { type Arch, attach_arch } from '#smp/arch';
import { cpu_online_map, cpu_possible_map, cpu_present_map, cpu_set } from '#smp/cpumask';
import type { FindingRecord } from '#smp/printk';
import { task_struct } from '#smp/sched';
import { dmesg } from '#kernel/dmesg';
import { mem_init } from '#kernel/page_alloc';
import { do_basic_setup } from '#kernel/services';
import { kmem_cache_init } from '#kernel/slab';

/** The simulated CPU read or wrote where nothing is. */
export class PageFault extends Error {
  readonly address: number;

  constructor(address: number, write: boolean) {
    super(`page fault: ${write ? 'write to' : 'read of'} 0x${address.toString(16)}`);
    this.name = 'PageFault';
    this.address = address;
  }
}

/** The kernel ended the running task: an oops or a BUG. */
export class TaskKilled extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'TaskKilled';
  }
}

/** The kernel ended the machine: MachineEnd says how. */
export class MachineHalted extends Error {
  readonly end: MachineEnd;

  constructor(end: MachineEnd) {
    super(`MachineEnd ${end}`);
    this.end = end;
    this.name = 'MachineHalted';
  }
}

export interface BenchOptions {
  readonly slub?: boolean;
  readonly i386?: boolean;
  readonly heapPages?: number;
  readonly possible?: number;
  /** Run the boot functions; true unless said otherwise. */
  readonly boot?: boolean;
}

export interface Bench {
  readonly bus: ParallelBus;
  /** MSRs of the one CPU; what is not in it is #GP. */
  readonly msrs: Map<number, bigint>;
  /** Texts of the log, oldest first. */
  log(): string[];
  findings(): FindingRecord[];
  trace(): TraceEvent[];
  /** Forgets findings so far, so that a test can look at its own. */
  clearFindings(): void;
  setInterrupts(on: boolean): void;
}

const TASK = 0;

function fakeArch(bus: ParallelBus, msrs: Map<number, bigint>): Arch {
  const known: Partial<Arch> = {
    cli: () => bus.registers.set(CpuWord.IRQS_ENABLED, 0),
    sti: () => bus.registers.set(CpuWord.IRQS_ENABLED, 1),
    rdmsr: (msr) => msrs.get(msr),
    wrmsr: (msr, value) => msrs.has(msr) && msrs.set(msr, value) instanceof Map,
    cpuid: (leaf) => {
      // "AuthenticAMD" in EBX, EDX, ECX.
      if (leaf === 0) return { eax: 5, ebx: 0x68747541, ecx: 0x444d4163, edx: 0x69746e65 };
      return { eax: leaf === 1 ? 0x00100f23 : 0, ebx: 0, ecx: 0, edx: 0 };
    },
    readCr4: () => bus.registers.get(CpuWord.CR4),
    writeCr4: (value) => {
      bus.registers.set(CpuWord.CR4, value);
      return (value & 0x80000000) === 0;
    },
    offline: () => false,
    orphans: () => false,
    orphansNow: () => false,
    misplaced: () => false,
    ringHost: () => {},
    hostMicroseconds: () => 0,
    runTask: (fn, arg0, arg1, arg2, text) => {
      const result: unknown = call_pointer(fn, arg0, arg1, arg2, text);
      return typeof result === 'number' ? result : 0;
    },
    killCurrent: (reason) => {
      throw new TaskKilled(reason);
    },
    haltMachine: (end) => {
      throw new MachineHalted(end);
    },
  };
  return new Proxy(known as Arch, {
    get(target, name) {
      const found: unknown = Reflect.get(target, name);
      if (found === undefined) throw new Error(`kernel-bench: the fake processor has no ${String(name)}`);
      return found;
    },
  });
}

/** A CPU that is up, with its kernel booted as far as the services, and a task running. */
export function kernelBench(options: BenchOptions = {}): Bench {
  const image = sealImage();
  const possible = options.possible ?? 1;
  const layout = geometry({
    staticEnd: image.end,
    nrPossible: possible,
    firmwareBytes: 4096,
    heapPages: options.heapPages ?? 256,
    ringCapacity: 4096,
  });
  const buffer = new SharedArrayBuffer(layout.bytes);
  const nothing = (): void => {};
  const bus = new ParallelBus(buffer, layout, 0, {
    interruptWindow: nothing,
    takeInterrupt: nothing,
    fault: (address, _size, write) => {
      throw new PageFault(address, write);
    },
  });
  const word = (index: number, value: number): void => {
    bus.i32[(MACHINE_BLOCK >>> 2) + index] = value;
  };
  word(MachineWord.SLUB, options.slub === true ? 1 : 0);
  word(MachineWord.I386, options.i386 === true ? 1 : 0);
  word(MachineWord.TRACE_MASK, TraceMask.ALL);
  bus.i32[ringWord(layout, 0) + 1] = layout.ringCapacity;
  const msrs = new Map<number, bigint>();
  attachBus(bus);
  attach_arch(fakeArch(bus, msrs));
  bus.resetContext();
  bus.registers.set(CpuWord.POWER, PowerState.RUNNING);
  bus.registers.set(CpuWord.IRQS_ENABLED, 1);
  writeStartValues((destination, source, length) => bus.copy(destination, source, length));
  for (let cpu = 0; cpu < possible; cpu++) {
    const area = layout.perCpuAreas + cpu * PERCPU_BYTES;
    bus.copy(area, PERCPU_TEMPLATE, PERCPU_BYTES);
    bus.storeLocal32(__per_cpu_offset.addressOf(cpu), area - PERCPU_TEMPLATE);
    cpu_set(cpu, cpu_possible_map);
  }
  cpu_set(0, cpu_present_map);
  cpu_set(0, cpu_online_map);
  const task = task_struct.at(layout.tasks + TASK * TASK_BYTES);
  task.pid = 1;
  task.state = 3;
  task.mm = 1;
  task.comm = 'bench';
  bus.registers.set(CpuWord.CURRENT_TASK, task.addr);
  if (options.boot !== false) {
    mem_init();
    kmem_cache_init();
    do_basic_setup();
  }

  const findings = (): FindingRecord[] => {
    const count = bus.loadLocal32(MACHINE_BLOCK + MachineWord.FINDINGS_WRITTEN * 4);
    const records: FindingRecord[] = [];
    for (let index = 0; index < count; index++) {
      const at = layout.findings + index * FINDING_BYTES;
      const length = bus.u32[at >>> 2]!;
      records.push(
        JSON.parse(new TextDecoder().decode(bus.u8.slice(at + 4, at + 4 + length))) as FindingRecord,
      );
    }
    return records;
  };
  return {
    bus,
    msrs,
    log: () => dmesg().map((record) => record.text),
    findings,
    trace: () => readRing(bus.i32, ringWord(layout, 0)).events,
    clearFindings: () => word(MachineWord.FINDINGS_WRITTEN, 0),
    setInterrupts: (on) => bus.registers.set(CpuWord.IRQS_ENABLED, on ? 1 : 0),
  };
}
