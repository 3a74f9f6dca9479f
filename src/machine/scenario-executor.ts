/**
 * Runs a scenario under schedules: a machine is booted and set up once, its state kept, and every run starts from that
 * state. What CPUs run on is a Runner's business.
 */
import { SmplabError } from '#base/errors';
import { seedState } from '#base/prng';
import { PolicyWord } from '#base/strategy';
import { machineWord } from '#memory/base-bus';
import { writeScenarioValues } from '#memory/image';
import {
  CONTEXT_BYTES,
  CPU_BLOCK_BYTES,
  ContextWord,
  CpuWord,
  MACHINE_BLOCK,
  MachineWord,
  MemoryModel,
  PAGE_SIZE,
  RunEnd,
  SearchWord,
  TraceMask,
} from '#memory/layout';
import { LINE_SHIFT, SEGMENTS_MAX, SHARED, searchRegion } from '#memory/search';
import { policyWords, searchWord } from '#memory/search-words';
import { FiberPool } from '#fibers/pool';

import { type Executor, type Plan, type RunFinding, type RunResult, RunStop } from '#scheduler/executor';
import { type LoadedScenario, type ScenarioSource, complaintOf, loadScenario } from '#scenario/program';
import type { TraceEvent } from '#trace/events';
import type { KnownPlaces } from '#trace/operations';
import { type LogRecord, dmesg } from '#kernel/dmesg';
import type { MachineConfig } from './config.ts';
import type { FaultPlan } from './fault-text.ts';
import { type KeptMachine, Machine, type PowerOnOptions } from './machine.ts';
import { Outcome } from './outcome.ts';
import type { ExecutorKind, Runner } from './runner.ts';
import type { MachineShelf } from './shelf.ts';
import { awaitIdle, keepStart, perCpuOverrides, setUp, startOfScheduling } from './start-state.ts';
import { STUCK_MS, ThreadRunner } from './thread-runner.ts';
import { type MachineNames, namesOf } from './variable-name.ts';

export interface ExecutorOptions extends Pick<PowerOnOptions, 'pool'>, Pick<MachineConfig, 'pages'> {
  readonly memoryModel?: 'sc' | 'tso';
  /** What CPUs run on: a thread each, or all on this one. Default: fibers. */
  readonly executor?: ExecutorKind | undefined;
  readonly stepsMax?: number;
  /** What goes wrong in every run, counted from its start. */
  readonly faults?: FaultPlan | undefined;
  /** Records of the operation log: a run that needs more ends there. */
  readonly logRecords?: number;
  /** Fibers only: where the machine comes from, if one of its kind is there, and goes to. */
  readonly shelf?: MachineShelf | undefined;
}

/** Where the machine goes when nobody needs it here any more. */
interface OnShelf {
  readonly shelf: MachineShelf;
  readonly place: string;
  readonly machine: KeptMachine;
}

const STEPS_MAX = 20_000;
/** Most steps make one record, some two. */
const RECORDS_PER_STEP = 3;
const RUN_END = machineWord(MachineWord.RUN_END);
const FINDINGS_WRITTEN = machineWord(MachineWord.FINDINGS_WRITTEN);
const DOORBELL = machineWord(MachineWord.DOORBELL);
const TRACE_MASK = machineWord(MachineWord.TRACE_MASK);
/** Words of the machine block that a run may change. */
const MACHINE_WORDS = MachineWord.SEARCH + Math.max(...Object.values(SearchWord)) + 1;
/** Words of the machine block that threads and host wait on: of this moment, never a snapshot's. */
const LIVE_WORDS = [
  machineWord(MachineWord.RUN_STATE),
  machineWord(MachineWord.RUN_EPOCH),
  machineWord(MachineWord.CPUS_AT_REST),
  DOORBELL,
  searchWord(SearchWord.RUN),
];

const STOPS: Readonly<Record<number, RunStop>> = {
  [RunEnd.QUIESCENT]: RunStop.COMPLETE,
  [RunEnd.DEADLOCK]: RunStop.DEADLOCK,
  [RunEnd.STEP_LIMIT]: RunStop.STEP_LIMIT,
  [RunEnd.LOG_FULL]: RunStop.STEP_LIMIT,
  [RunEnd.COVERED]: RunStop.COVERED,
  [RunEnd.DIVERGED]: RunStop.DIVERGED,
  [RunEnd.FINDING]: RunStop.DIED,
};

export class ScenarioExecutor implements Executor {
  readonly actors: number;
  readonly machine: Machine;
  readonly loaded: LoadedScenario;
  readonly #i32: Int32Array;
  readonly #u8: Uint8Array;
  readonly #dirty: Uint8Array;
  readonly #dirtyLines: Int32Array;
  readonly #start: Uint8Array;
  readonly #startWords: Int32Array;
  /** What every actor is about to do at the start of a run, empty store buffers, and a policy that remembers nothing. */
  readonly #scheduling: Uint8Array;
  readonly #log: Int32Array;
  readonly #owners: Uint16Array;
  /** Where what the scheduler knows is in memory. */
  readonly #search: number;
  readonly #segments: number;
  readonly #policy: number;
  /** Of each CPU, the word indices of its block and of its context. */
  readonly #places: readonly { readonly base: number; readonly context: number }[];
  /** What every restore copies, and lines of the start as they are first needed: making such a view costs more than copying. */
  readonly #startBlock: Int32Array;
  readonly #startCpus: Int32Array;
  readonly #startLines: (Uint8Array | undefined)[] = [];
  #isLost = false;
  readonly #runner: Runner;
  readonly #kept: OnShelf | undefined;
  /** Runs may come of what flows were seen to do: those are functions of what they read, as far as can be told. */
  readonly #mayRecall: boolean;
  readonly #restoring = (): void => {
    this.#restore();
  };

  private constructor(
    machine: Machine,
    loaded: LoadedScenario,
    start: Uint8Array,
    fibers: FiberPool | undefined,
    kept: OnShelf | undefined,
    mayRecall: boolean,
  ) {
    const { layout, bus } = machine;
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    this.machine = machine;
    this.#kept = kept;
    this.#mayRecall = mayRecall;
    this.#owners = new Uint16Array(bus.buffer, layout.search + region.owners, layout.heapEnd >>> 2);
    this.loaded = loaded;
    this.actors = layout.nrPossible * 4;
    this.#i32 = bus.i32;
    this.#u8 = bus.u8;
    const lines = layout.heapEnd >>> LINE_SHIFT;
    this.#dirty = new Uint8Array(bus.buffer, layout.search + region.dirty, lines);
    this.#dirtyLines = new Int32Array(bus.buffer, layout.search + region.dirtyLines, lines + 1);
    this.#start = start;
    this.#startWords = new Int32Array(start.buffer);
    this.#runner =
      fibers?.group(bus.buffer) ??
      new ThreadRunner(machine, this.#startWords, loaded.scenario.always !== undefined);
    this.#scheduling = startOfScheduling(machine, loaded);
    this.#log = new Int32Array(bus.buffer, layout.search + region.log, layout.logCapacity * 8);
    this.#search = layout.search;
    this.#segments = (layout.search + region.segments) >>> 2;
    this.#policy = policyWords(layout);
    this.#places = Array.from({ length: layout.nrPossible }, (_, cpu) => ({
      base: bus.registersOf(cpu).base,
      context: (layout.contexts + cpu * CONTEXT_BYTES) >>> 2,
    }));
    this.#startBlock = this.#startWords.subarray(MACHINE_BLOCK >>> 2, (MACHINE_BLOCK >>> 2) + MACHINE_WORDS);
    const blocks = layout.cpuBlocks >>> 2;
    this.#startCpus = this.#startWords.subarray(blocks, blocks + (layout.nrPossible * CPU_BLOCK_BYTES) / 4);
    this.names = namesOf(layout);
  }

  /**
   * Boots a machine for the scenario, sets it up, and keeps its state.
   * @throws SmplabError SMPLAB_BAD_SCENARIO for a file that is no scenario, or whose set-up fails
   */
  static async create(source: ScenarioSource, options: ExecutorOptions = {}): Promise<ScenarioExecutor> {
    const isThreaded = options.executor === 'threads' || options.pool !== undefined;
    const loaded = loadScenario(source);
    const { scenario } = loaded;
    const stepsMax = options.stepsMax ?? scenario.stepsMax ?? STEPS_MAX;
    const config: MachineConfig = {
      cpus: scenario.online ?? scenario.cpus,
      possible: scenario.cpus,
      vendor: scenario.vendor ?? 'amd',
      hardware: { perCpu: perCpuOverrides(scenario) },
      mode: 'deterministic',
      strategy: 'stay',
      logRecords: options.logRecords ?? stepsMax * RECORDS_PER_STEP,
      ...(options.pages === undefined ? {} : { pages: options.pages }),
    };
    const shelf = isThreaded ? undefined : options.shelf;
    const place = shelf?.place(config, loaded);
    const taken = place === undefined ? undefined : shelf!.take(place, source, loaded);
    let { machine } = taken ?? {};
    const fibers = taken?.fibers ?? (isThreaded ? undefined : new FiberPool());
    try {
      if (machine === undefined) {
        machine = await Machine.powerOn(config, {
          ...(fibers === undefined ? {} : { pool: fibers }),
          ...(options.pool === undefined ? {} : { pool: options.pool }),
          scenario: source,
          loaded,
          beforeBoot: (fresh) => fresh.look(writeScenarioValues),
        });
        await setUp(machine, loaded, source);
        await machine.beginCampaign();
        awaitIdle(machine);
      }
      const kept =
        place === undefined
          ? undefined
          : { shelf: shelf!, place, machine: taken?.kept ?? machine.keepAtRest() };
      // Memory that every run starts from: what chance has drawn and what has been counted goes back with it.
      const { faults = [], seed = 0 } = options.faults ?? {};
      machine.injectFaults(faults, seed);
      const isTso = (options.memoryModel ?? scenario.memoryModel ?? 'sc') === 'tso';
      const model = isTso ? MemoryModel.TSO : MemoryModel.SC;
      const room = kept?.machine.start ?? new Uint8Array(machine.layout.heapEnd);
      const start = keepStart(machine, loaded, { stepsMax, model }, room);
      const mayRecall = !isTso && scenario.always === undefined && source.keepsState !== true;
      return new ScenarioExecutor(machine, loaded, start, fibers, kept, mayRecall);
    } catch (error) {
      loaded.unload();
      await machine?.powerOff();
      throw error;
    }
  }

  run(plan: Plan): RunResult {
    return this.#run(plan, 0);
  }

  /** As run, with everything recorded that views show. */
  trace(plan: Plan): { readonly result: RunResult; readonly events: TraceEvent[] } {
    this.machine.clearTrace();
    const result = this.#run(plan, TraceMask.ALL);
    return { result, events: this.machine.trace().events };
  }

  async close(): Promise<void> {
    await this.machine.powerOff();
    this.loaded.unload();
    this.#kept?.shelf.put(this.#kept.place, this.#kept.machine);
  }

  #run(plan: Plan, traceMask: number): RunResult {
    if (this.#isLost)
      throw new SmplabError('SMPLAB_HOST_FAILED', 'a CPU thread of this machine does not answer any more');
    const runner = this.#runner;
    if (this.#mayRecall && plan.isAnew !== true && traceMask === 0 && runner.mayRecall?.() === true) {
      this.#begin(plan, traceMask);
      const known = runner.recall!();
      if (known !== false) return this.#result(known === true ? undefined : known);
    }
    for (;;) {
      this.#begin(plan, traceMask);
      const outcome = runner.run(plan.prefix[0]?.actor ?? 0);
      if (outcome !== 'again') return outcome === 'over' ? this.#result() : this.#lost();
    }
  }

  #begin(plan: Plan, traceMask: number): void {
    if (this.#runner.hasDoneMore === false) {
      this.#takeBack();
      this.#takeBackMachine();
    } else this.#runner.goHome(this.#restoring);
    this.#prepare(plan, traceMask);
  }

  /** What a run has written that was made from what flows have been seen to do. */
  #takeBack(): void {
    const { written } = this.#runner;
    if (written === undefined) return;
    const i32 = this.#i32;
    const start = this.#startWords;
    const { words, count } = written;
    for (let index = 0; index < count; index++) i32[words[index]!] = start[words[index]!]!;
  }

  /** The machine's own words, and what everybody is about to do. */
  #takeBackMachine(): void {
    const i32 = this.#i32;
    const start = this.#startWords;
    for (let index = 0; index < LIVE_WORDS.length; index++) {
      const word = LIVE_WORDS[index]!;
      start[word] = i32[word]!;
    }
    i32.set(this.#startBlock, MACHINE_BLOCK >>> 2);
    this.#u8.set(this.#scheduling, this.#search);
  }

  /** Memory as it was kept: what was written since, and every CPU's registers. */
  #restore(): void {
    this.#takeBack();
    this.#takeBackMachine();
    const i32 = this.#i32;
    const start = this.#startWords;
    for (const { base, context } of this.#places) {
      start[base + CpuWord.WAKE] = i32[base + CpuWord.WAKE]!;
      start[base + CpuWord.THREAD] = i32[base + CpuWord.THREAD]!;
      for (let index = context; index < context + ContextWord.CALLS; index++) i32[index] = start[index]!;
    }
    i32.set(this.#startCpus, this.machine.layout.cpuBlocks >>> 2);
    const dirty = this.#dirty;
    const lines = this.#dirtyLines;
    const starts = this.#startLines;
    for (let index = lines[0]!; index > 0; index--) {
      const line = lines[index]!;
      dirty[line] = 0;
      const at = line << LINE_SHIFT;
      // The machine's own words have gone back already.
      if (at >= MACHINE_BLOCK && at < MACHINE_BLOCK + PAGE_SIZE) continue;
      this.#u8.set((starts[line] ??= this.#start.subarray(at, at + (1 << LINE_SHIFT))), at);
    }
    lines[0] = 0;
  }

  #prepare(plan: Plan, traceMask: number): void {
    const i32 = this.#i32;
    if (plan.prefix.length > SEGMENTS_MAX)
      throw new SmplabError(
        'SMPLAB_BAD_USAGE',
        `a schedule of ${plan.prefix.length} segments: at most ${SEGMENTS_MAX}`,
      );
    for (let index = 0; index < plan.prefix.length; index++) {
      const { actor, steps } = plan.prefix[index]!;
      i32[this.#segments + index * 2] = actor;
      i32[this.#segments + index * 2 + 1] = steps;
    }
    i32[TRACE_MASK] = traceMask;
    i32[searchWord(SearchWord.SEGMENTS)] = plan.prefix.length;
    i32[searchWord(SearchWord.RUN)]! += 1;
    i32[machineWord(MachineWord.POLICY)] = plan.policy;
    i32[this.#policy + PolicyWord.SEED] = seedState(plan.seed);
    const { parameters } = plan;
    if (parameters === undefined) return;
    for (let index = 0; index < parameters.length; index++)
      i32[this.#policy + PolicyWord.PARAMETERS + index] = parameters[index]!;
  }

  #result(known?: KnownPlaces): RunResult {
    const stop = STOPS[this.#i32[RUN_END]!]!;
    return new Outcome(this.machine, this.#log, stop, this.#findings(stop), known);
  }

  #findings(stop: RunStop): readonly RunFinding[] {
    const written = this.#i32[FINDINGS_WRITTEN]!;
    const said = written === 0 ? NO_FINDINGS : this.machine.findings().records;
    // After a warning the kernel goes on, and its end means something.
    if (stop !== RunStop.COMPLETE || said.some(({ kind }) => kind !== 'warning')) return said;
    const complaint = this.#check();
    return complaint === undefined ? said : [...said, { kind: 'check', title: complaint }];
  }

  /** How many runs were made without their code, from what flows had been seen to do. */
  get recalled(): number {
    return this.#runner.recalled ?? 0;
  }

  /** Words that more than one actor is known to use, by number; another machine of the scenario can be told them. */
  get sharedWords(): number[] {
    const words: number[] = [];
    this.#owners.forEach((owner, word) => {
      if (owner === SHARED) words.push(word);
    });
    return words;
  }

  addSharedWords(words: readonly number[]): void {
    for (const word of words) this.#owners[word] = SHARED;
  }

  /** Names of addresses, for reports. */
  readonly names: MachineNames;

  /** Whether two actors have ever used the same memory in this campaign. */
  get hasShared(): boolean {
    // The machine's own words come first: every CPU that is idle reads some, whatever the scenario does.
    return this.#owners.includes(SHARED, (MACHINE_BLOCK + PAGE_SIZE) >>> 2);
  }

  /** Hash of the kernel's symbols and memory layout, the scenario's symbols included. */
  get imageHash(): number {
    return this.#i32[machineWord(MachineWord.LAYOUT_HASH)]!;
  }

  /** The simulated log, as of the last run. */
  dmesg(): LogRecord[] {
    return this.machine.look(dmesg);
  }

  #check(): string | undefined {
    const { scenario } = this.loaded;
    if (scenario.check === undefined) return undefined;
    const check = (): string | undefined =>
      complaintOf(() => scenario.check!(), 'check', 'the check does not hold at the end');
    return this.machine.look(check);
  }

  /** A CPU computes for ever without touching memory, or its thread is gone: this machine cannot be used any more. */
  #lost(): RunResult {
    this.#isLost = true;
    const actor = this.#i32[searchWord(SearchWord.LAST_ACTOR)]!;
    const cpu = Math.max(actor, 0) >>> 2;
    const { stack } = this.machine.stacks().find((one) => one.cpu === cpu) ?? { stack: [] };
    const title = `CPU ${cpu} has made no step for ${(2 * STUCK_MS) / 1000} seconds: it computes without touching shared memory, or its thread has died`;
    const detail = stack.length === 0 ? '' : `Call Trace:\n ${stack.join('\n ')}`;
    return new Outcome(this.machine, this.#log, RunStop.DIED, [
      { kind: 'no-progress', title, cpu, stack, detail },
    ]);
  }
}

const NO_FINDINGS: readonly RunFinding[] = [];
