/** The state that every run of a scenario starts from: a machine booted, set up, and at rest. */
import { SmplabError } from '#base/errors';
import { withBus } from '#memory/bus';
import { cpumask_t } from '#memory/cpumask';
import type { CpuOverrides } from '#memory/firmware';
import {
  Baton,
  CpuWord,
  MachineWord,
  type MemoryModel,
  Pending,
  RunEnd,
  SearchWord,
  Status,
  TASK_BYTES,
} from '#memory/layout';
import { machineWord } from '#memory/base-bus';
import { SHARED, searchRegion } from '#memory/search';
import { searchWord } from '#memory/search-words';
import { symbolName } from '#memory/symbols';
import type { Scenario } from '#scenario/definition';
import type { LoadedScenario, ScenarioSource } from '#scenario/program';
import { TASK_FREE, TASK_RUNNING, task_struct } from '#smp/sched';
import { OpType } from '#trace/operations';
import type { Machine } from './machine.ts';

/** Host milliseconds a CPU gets to come to its idle loop. */
const REST_MS = 5_000;

const STEP = machineWord(MachineWord.STEP);
const RUN_END = machineWord(MachineWord.RUN_END);
const DOORBELL = machineWord(MachineWord.DOORBELL);

/** What a scenario says about single processors, as the firmware has it. */
export function perCpuOverrides({ quirks = {} }: Scenario): Readonly<Record<string, CpuOverrides>> {
  return Object.fromEntries(Object.entries(quirks).map(([cpu, quirk]) => [cpu, { quirks: [quirk] }]));
}

/** Loads modules and runs the scenario's set-up, as system calls. */
export async function setUp(machine: Machine, loaded: LoadedScenario, source: ScenarioSource): Promise<void> {
  const failed = (what: string): never => {
    const [first] = machine.findings().records;
    const why = first === undefined ? '' : `: ${first.title}`;
    throw new SmplabError('SMPLAB_BAD_SCENARIO', `${source.file}: ${what} failed${why}`);
  };
  if (machine.bootOutcome.kind !== 'returned') failed('the boot');
  for (const module of loaded.scenario.modules ?? []) {
    const outcome = await machine.call('sys_init_module', { text: module });
    if (outcome.kind !== 'returned' || outcome.value !== 0) failed(`loading ${module}`);
  }
  if (loaded.setup === 0) return;
  const outcome = await machine.call(symbolName(loaded.setup)!);
  if (outcome.kind !== 'returned') failed('setup');
}

/** What every actor is about to do at the start of a run, and a policy that remembers nothing. */
export function startOfScheduling(machine: Machine, loaded: LoadedScenario): Uint8Array {
  const { layout, bus } = machine;
  const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
  // What is in an empty store buffer does not matter.
  const bytes = bus.u8.slice(layout.search, layout.search + region.buffers);
  const words = new Int32Array(bytes.buffer);
  bytes.fill(0, region.policy, region.nextHead);
  for (const [cpu, flow] of loaded.flows.entries()) {
    if (flow === 0) continue;
    words[(region.nextHead >>> 2) + cpu * 4] = OpType.START;
    words[(region.nextAddress >>> 2) + cpu * 4] = 0;
    words[(region.nextSize >>> 2) + cpu * 4] = 0;
    bytes[region.nextVisible + cpu * 4] = 1;
  }
  return bytes;
}

export interface StartOptions {
  readonly stepsMax: number;
  readonly model: MemoryModel;
}

/** Lets every CPU come to its idle loop. */
export function awaitIdle(machine: Machine): void {
  const { layout, bus } = machine;
  const { i32 } = bus;
  for (let cpu = 0; cpu < layout.nrPossible; cpu++) {
    i32[RUN_END] = RunEnd.NONE;
    i32[searchWord(SearchWord.LAST_ACTOR)] = -1;
    const word = bus.registersOf(cpu).base + CpuWord.BATON;
    Atomics.store(i32, word, Baton.RUN);
    Atomics.notify(i32, word);
    for (;;) {
      const seen = Atomics.load(i32, DOORBELL);
      if (Atomics.load(i32, RUN_END) !== RunEnd.NONE) break;
      if (!machine.sleep(DOORBELL, seen, REST_MS))
        throw new SmplabError('SMPLAB_HOST_FAILED', `CPU ${cpu} did not come to rest`);
    }
  }
}

/**
 * Memory as each run is to find it, from that of a machine whose CPUs are idle.
 * @param into where it is kept: fresh memory costs more than filling it
 */
export function keepStart(
  machine: Machine,
  loaded: LoadedScenario,
  options: StartOptions,
  into: Uint8Array,
): Uint8Array {
  const { layout, bus } = machine;
  const start = into;
  start.set(bus.u8.subarray(0, layout.heapEnd));
  const words = new Int32Array(start.buffer);
  armRun(words, options, loaded);
  withBus(bus, () => armFlows(words, machine, loaded));
  markOwners(machine, loaded);
  // From here on only what a run writes goes back. The tasks of the flows have been written into the copy alone.
  bus.u8.set(start.subarray(layout.tasks, layout.tasks + layout.nrTasks * TASK_BYTES), layout.tasks);
  return start;
}

function armRun(words: Int32Array, options: StartOptions, loaded: LoadedScenario): void {
  for (const word of Object.values(SearchWord)) words[searchWord(word)] = 0;
  words[searchWord(SearchWord.ON)] = 1;
  words[searchWord(SearchWord.MEMORY_MODEL)] = options.model;
  words[searchWord(SearchWord.STOP_AT_FINDING)] = 1;
  words[searchWord(SearchWord.LAST_ACTOR)] = -1;
  words[STEP] = 0;
  words[machineWord(MachineWord.STEP_LIMIT)] = options.stepsMax;
  words[RUN_END] = RunEnd.NONE;
  words[machineWord(MachineWord.SEQUENCE)] = 0;
  words[machineWord(MachineWord.FINDINGS_WRITTEN)] = 0;
  words[machineWord(MachineWord.TASKS_OPEN)] = loaded.flows.filter((flow) => flow !== 0).length;
}

/** Gives each flow its task, and lets devices raise their lines. */
function armFlows(words: Int32Array, machine: Machine, loaded: LoadedScenario): void {
  const { layout, bus } = machine;
  const handlers = loaded.scenario.interrupts ?? [];
  for (const [index, { cpu }] of handlers.entries()) {
    const { base } = bus.registersOf(cpu);
    const line = handlers.slice(0, index).filter((other) => other.cpu === cpu).length;
    words[base + CpuWord.PENDING]! |= Pending.DEVICE << line;
    words[base + CpuWord.DEVICE_HANDLERS + line] = loaded.handlers[index]!;
  }
  let next = 0;
  for (const [cpu, flow] of loaded.flows.entries()) {
    if (flow === 0) continue;
    const state = task_struct.offsetof('state') >>> 2;
    while (words[((layout.tasks + next * TASK_BYTES) >>> 2) + state] !== TASK_FREE) next += 1;
    const task = layout.tasks + next * TASK_BYTES;
    const at = (field: 'pid' | 'state' | 'cpu' | 'fn' | 'mm' | 'cpus_allowed'): number =>
      (task + task_struct.offsetof(field)) >>> 2;
    words[at('pid')] = 100 + cpu;
    words[at('state')] = TASK_RUNNING;
    words[at('cpu')] = cpu;
    words[at('fn')] = flow;
    words[at('mm')] = 1;
    words.fill(-1, at('cpus_allowed'), at('cpus_allowed') + cpumask_t.size / 4);
    const { base } = bus.registersOf(cpu);
    words[base + CpuWord.FLOW_TASK] = task;
    words[base + CpuWord.FLOW_FUNCTION] = flow;
    words[base + CpuWord.STATUS] = Status.READY;
    words[base + CpuWord.FLOW_PENDING] = 1;
  }
}

/** Where a device raises its line, its CPU's pending word is not that CPU's alone. */
function markOwners(machine: Machine, loaded: LoadedScenario): void {
  const { layout, bus } = machine;
  const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
  const owners = new Uint16Array(bus.buffer, layout.search + region.owners, layout.heapEnd >>> 2);
  owners.fill(0);
  for (const { cpu } of loaded.scenario.interrupts ?? [])
    owners[bus.registersOf(cpu).base + CpuWord.PENDING] = SHARED;
}
