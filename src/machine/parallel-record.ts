/** What a parallel run did to memory: every thread's operations, and memory before and after. */
import { sealImage } from '#memory/image';
import { PERCPU_BYTES, PERCPU_TEMPLATE, STATIC_DATA, ringWord } from '#memory/layout';
import { rq, runqueues } from '#smp/sched';
import { RECORDING, RecordType, type Recorded, beginRecord, readRecord } from '#trace/recording';
import type { Machine, Snapshot } from './machine.ts';

export interface ParallelRecord {
  /** By thread; fences and interrupts among them, what is done to many bytes at once left out. */
  readonly threads: readonly (readonly Recorded[])[];
  /** Operations that did not fit. */
  readonly lost: number;
  /** A word of memory before the run, and after it. */
  readonly initial: (address: number) => number;
  readonly final: (address: number) => number;
  /**
   * Whether every operation on a word is in the record: kernel and scenario data, per-CPU areas and pages, but for words that
   * something was done to which is not one operation on a word, and those that the host writes.
   */
  readonly isWhole: (address: number) => boolean;
}

/** Begins the records of a run, with the machine at rest. */
export function beginRecords({ bus, layout }: Machine): void {
  for (let thread = 0; thread < layout.nrPossible; thread++) beginRecord(bus.i32, ringWord(layout, thread));
}

/** @param start memory when they began */
export function recordOf(machine: Machine, start: Snapshot): ParallelRecord {
  const { bus, layout } = machine;
  const { i32 } = bus;
  const before = new Int32Array(start.bytes.buffer, start.bytes.byteOffset, start.bytes.byteLength >>> 2);
  const after = i32.slice(0, layout.heapEnd >>> 2);
  const records = Array.from({ length: layout.nrPossible }, (_, thread) => {
    const base = ringWord(layout, thread);
    i32[base + RECORDING] = 0;
    return readRecord(i32, base);
  });
  const broken = new Set<number>();
  for (const { operations } of records)
    for (const { type, address, read } of operations)
      if (type === RecordType.BULK)
        for (let word = address & ~3; word < address + read; word += 4) broken.add(word);
  for (let cpu = 0; cpu < layout.nrPossible; cpu++) broken.add(inboxOf(machine, cpu));
  const { end } = sealImage();
  return {
    threads: records.map(({ operations }) => operations.filter(({ type }) => type !== RecordType.BULK)),
    lost: records.reduce((sum, { lost }) => sum + lost, 0),
    initial: (address) => before[address >>> 2]! >>> 0,
    final: (address) => after[address >>> 2]! >>> 0,
    isWhole: (address) => {
      const isData = address >= STATIC_DATA && address < end;
      const isPerCpu = address >= layout.perCpuAreas && address < layout.tasks;
      const isPage = address >= layout.heap && address < layout.heapEnd;
      return (isData || isPerCpu || isPage) && !broken.has(address & ~3);
    },
  };
}

/** Where the host leaves a CPU its tasks. */
function inboxOf({ layout }: Machine, cpu: number): number {
  return runqueues.addr - PERCPU_TEMPLATE + layout.perCpuAreas + cpu * PERCPU_BYTES + rq.offsetof('inbox');
}
