/** A machine's memory as it is before the power button is pressed. */
import { SmplabError } from '#base/errors';
import { withBus } from '#memory/bus';
import { sealImage, writeStartValues } from '#memory/image';
import {
  type Geometry,
  type GeometryInput,
  MACHINE_BLOCK,
  MACHINE_MAGIC,
  MachineWord,
  Mode,
  PAGE_SIZE,
  RunState,
  SearchWord,
  geometry,
  ringWord,
} from '#memory/layout';
import { policyWords, schedulingBytes, searchWord } from '#memory/search-words';
import { PolicyWord } from '#base/strategy';
import { ParallelBus } from '#memory/parallel-bus';
import { symbolHash } from '#memory/symbols';
import { clearRing, ringBytes } from '#trace/ring';
import { policyNumber } from '#scheduler/policies';
import { seedState } from '#base/prng';
import '#kernel/image';
import type { ResolvedConfig } from './config.ts';

const encoder = new TextEncoder();

export interface FreshMemory {
  readonly buffer: ArrayBufferLike;
  readonly input: GeometryInput;
  readonly layout: Geometry;
  /** The host's way in. */
  readonly bus: ParallelBus;
}

function never(): never {
  throw new Error('host access outside the machine');
}

/** Addresses of data are 31 bits wide; what is neither a trace nor a page fits into the rest. */
const VARIABLE_BYTES_MAX = 0x7000_0000;

function checkSize({ nrPossible, ringCapacity, heapPages }: GeometryInput): void {
  const bytes = nrPossible * ringBytes(ringCapacity) + heapPages * PAGE_SIZE;
  if (bytes <= VARIABLE_BYTES_MAX) return;
  const megabytes = (count: number): number => Math.ceil(count / 0x100000);
  throw new SmplabError(
    'SMPLAB_BAD_CONFIG',
    `trace rings and pages need ${megabytes(bytes)} MiB: expected at most ${megabytes(VARIABLE_BYTES_MAX)}`,
  );
}

/** @param shared several threads will use it; copying within memory of one thread's own is several times faster */
function allocate(bytes: number, shared: boolean): ArrayBufferLike {
  try {
    return shared ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
  } catch {
    throw new SmplabError('SMPLAB_HOST_FAILED', `the host has no ${bytes} bytes of memory for the machine`);
  }
}

/** A record of operations has the place of a trace. */
function ringSize({ record, trace, logRecords, traceEventsMax }: ResolvedConfig): number {
  if (record > 0) return record;
  return trace === 0 && logRecords === 0 ? 0 : traceEventsMax;
}

/** Makes and fills a machine's memory. @param shared CPUs are threads */
export function freshMemory(config: ResolvedConfig, shared = true): FreshMemory {
  const image = sealImage();
  const firmware = encoder.encode(JSON.stringify(config.hardware));
  const input: GeometryInput = {
    staticEnd: image.end,
    nrPossible: config.possible,
    firmwareBytes: firmware.length,
    heapPages: config.pages,
    ringCapacity: ringSize(config),
    logCapacity: config.logRecords,
  };
  checkSize(input);
  const layout = geometry(input);
  const buffer = allocate(layout.bytes, shared);
  const bus = new ParallelBus(buffer, layout, -1, {
    interruptWindow: never,
    takeInterrupt: never,
    fault: never,
  });
  const words = bus.i32;
  const set = (word: number, value: number): void => {
    words[(MACHINE_BLOCK >>> 2) + word] = value;
  };
  set(MachineWord.MAGIC, MACHINE_MAGIC);
  set(MachineWord.LAYOUT_HASH, image.hash ^ symbolHash());
  set(MachineWord.NR_POSSIBLE, config.possible);
  set(MachineWord.MODE, config.mode === 'deterministic' ? Mode.DETERMINISTIC : Mode.PARALLEL);
  set(MachineWord.RUN_STATE, RunState.STOPPING);
  set(MachineWord.TRACE_MASK, config.trace);
  set(MachineWord.STEP_LIMIT, config.stepsMax);
  set(MachineWord.POLICY, policyNumber(config.strategy));
  words[policyWords(layout) + PolicyWord.SEED] = seedState(config.seed);
  words[searchWord(SearchWord.LAST_ACTOR)] = -1;
  set(MachineWord.SPINS, config.spins);
  set(MachineWord.I386, config.arch === 'i386' ? 1 : 0);
  set(MachineWord.VENDOR, config.vendor === 'intel' ? 1 : 0);
  set(MachineWord.SLUB, config.allocator === 'slub' ? 1 : 0);
  set(MachineWord.FIRMWARE, layout.firmware);
  set(MachineWord.FIRMWARE_BYTES, firmware.length);
  set(MachineWord.MAX_CPUS, config.cpus);
  for (let cpu = 0; cpu < config.present; cpu++) {
    words[(MACHINE_BLOCK >>> 2) + MachineWord.PRESENT + (cpu >>> 5)]! |= 1 << (cpu & 31);
  }
  bus.u8.set(firmware, layout.firmware);
  for (let cpu = 0; cpu < config.possible; cpu++) words[ringWord(layout, cpu) + 1] = input.ringCapacity;
  withBus(bus, () =>
    writeStartValues((destination, source, length) => bus.copy(destination, source, length)),
  );
  return { buffer, input, layout, bus };
}

/** What memory held when every CPU was at rest between two runs. */
export interface RestImage {
  readonly bytes: Uint8Array;
  /** The policy's words, and what every CPU is about to do. */
  readonly scheduling: Uint8Array;
}

export function keepRest({ bus, layout }: FreshMemory): RestImage {
  const { search, heapEnd } = layout;
  return {
    bytes: bus.u8.slice(0, heapEnd),
    scheduling: bus.u8.slice(search, search + schedulingBytes(layout)),
  };
}

/**
 * Takes memory back to then. What a run had written in it stays noted as such, and goes back once more in front of the next.
 * The image may have other symbols meanwhile: a scenario's.
 */
export function restoreRest({ bus, layout }: FreshMemory, { bytes, scheduling }: RestImage): void {
  const { u8, i32 } = bus;
  u8.set(bytes);
  u8.set(scheduling, layout.search);
  for (let cpu = 0; cpu < layout.nrPossible; cpu++) clearRing(i32, ringWord(layout, cpu));
  i32[(MACHINE_BLOCK >>> 2) + MachineWord.LAYOUT_HASH] = sealImage().hash ^ symbolHash();
}
