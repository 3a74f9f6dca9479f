/**
 * Runs a scenario under schedules, on CPU threads: a machine is booted and set up once, its state kept, and every run
 * starts from that state. Between two runs the threads stay where they are; only memory goes back.
 */
import { SmplabError } from '#base/errors';
import { assert } from '#base/assert';
import { seedState } from '#base/prng';
import { PolicyWord, cpuOf, flowOf } from '#base/strategy';
import { machineWord } from '#memory/base-bus';
import type { CpuOverrides } from '#memory/firmware';
import { withBus } from '#memory/bus';
import { dataNames, scenarioImage, writeScenarioValues } from '#memory/image';
import {
  Baton,
  CONTEXT_BYTES,
  CPU_BLOCK_BYTES,
  ContextWord,
  CpuWord,
  MACHINE_BLOCK,
  MachineWord,
  MemoryModel,
  PAGE_SIZE,
  PERCPU_BYTES,
  PERCPU_TEMPLATE,
  Pending,
  RunEnd,
  SearchWord,
  Status,
  TASK_BYTES,
  TraceMask,
} from '#memory/layout';
import { AT_REST, type CoreClient, SchedulerCore } from '#memory/scheduler-core';
import { LINE_SHIFT, SEGMENTS_MAX, SHARED, type SearchRegion, searchRegion } from '#memory/search';
import { policyWords, searchWord } from '#memory/search-words';
import { functionNames, symbolAddress, symbolName } from '#memory/symbols';
import { FiberPool } from '#fibers/pool';
import type { Group } from '#fibers/group';
import { policyByNumber } from '#scheduler/policies';
import {
  type BlockedActor,
  type Executor,
  type Plan,
  type RunFinding,
  type RunResult,
  RunStop,
  type WaitingFlow,
} from '#scheduler/executor';
import type { Scenario } from '#scenario/definition';
import { type LoadedScenario, type ScenarioSource, complaintOf, loadScenario } from '#scenario/program';
import { TASK_FREE, TASK_RUNNING, task_struct } from '#smp/sched';
import { cpumask_t } from '#memory/cpumask';
import { OpType } from '#trace/operations';
import type { TraceEvent } from '#trace/events';
import { type LogRecord, dmesg } from '#kernel/dmesg';
import { Machine, type PowerOnOptions } from './machine.ts';

export interface ThreadExecutorOptions extends Pick<PowerOnOptions, 'pool'> {
  readonly memoryModel?: 'sc' | 'tso';
  /** What CPUs run on: a thread each, or all on this one. Default: threads. */
  readonly executor?: 'threads' | 'fibers';
  readonly stepsMax?: number;
  /** Records of the operation log: a run that needs more ends there. */
  readonly logRecords?: number;
}

const STEPS_MAX = 20_000;
/** Most steps make one record, some two. */
const RECORDS_PER_STEP = 3;
/** Host milliseconds without a step after which a CPU counts as lost: no scenario computes that long between two. */
const STUCK_MS = 5_000;

/** A thread that has to become another CPU is asked so often, and answers within microseconds. */
const HOME_TRIES_MAX = 2_500;
const HOME_TRY_MS = 2;

const STEP = machineWord(MachineWord.STEP);
const RUN_END = machineWord(MachineWord.RUN_END);
const RECORDS = searchWord(SearchWord.RECORDS);
const SWITCHES = searchWord(SearchWord.SWITCHES);
const DIVERGED_AT = searchWord(SearchWord.DIVERGED_AT);
const SHARED_GREW = searchWord(SearchWord.SHARED_GREW);
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

/** Of a machine at rest: nobody has anything to look at again, and no store is buffered. */
const BEFORE_THE_FIRST_STEP: CoreClient = {
  recheck: (cpu) =>
    assert(false, `ThreadExecutor: CPU ${cpu} has something to look at before the first step`),
  written: () => assert(false, 'ThreadExecutor: a store before the first step'),
  isShared: () => true,
  traceFlush: () => assert(false, 'ThreadExecutor: a buffered store before the first step'),
};

export class ThreadExecutor implements Executor {
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
  readonly #region: SearchRegion;
  readonly #segments: number;
  readonly #policy: number;
  readonly #parts: OutcomeParts;
  /** Chooses who goes first: one hand-over less than asking a CPU to choose. */
  readonly #core: SchedulerCore;
  /** What every restore copies, and pages of the start as they are first needed: making such a view costs more than copying. */
  /** Of each CPU, the word indices of its block and of its context. */
  readonly #places: readonly { readonly base: number; readonly context: number }[];
  readonly #startBlock: Int32Array;
  readonly #startCpus: Int32Array;
  readonly #startLines: (Uint8Array | undefined)[] = [];
  #isLost = false;
  readonly #fibers: Group | undefined;

  private constructor(
    machine: Machine,
    loaded: LoadedScenario,
    start: Uint8Array,
    fibers: Group | undefined,
  ) {
    this.#fibers = fibers;
    const { layout, bus } = machine;
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    this.machine = machine;
    this.#region = region;
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
    this.#scheduling = startOfScheduling(machine, loaded);
    this.#log = new Int32Array(bus.buffer, layout.search + region.log, layout.logCapacity * 8);
    this.#segments = (layout.search + region.segments) >>> 2;
    this.#policy = policyWords(layout);
    this.#parts = {
      i32: bus.i32,
      log: this.#log,
      waiting: () => this.#waiting(),
      blocked: () => this.#blocked(),
    };
    this.#core = new SchedulerCore(bus.buffer, layout, BEFORE_THE_FIRST_STEP, policyByNumber);
    this.#places = Array.from({ length: layout.nrPossible }, (_, cpu) => ({
      base: bus.registersOf(cpu).base,
      context: (layout.contexts + cpu * CONTEXT_BYTES) >>> 2,
    }));
    this.#startBlock = this.#startWords.subarray(MACHINE_BLOCK >>> 2, (MACHINE_BLOCK >>> 2) + MACHINE_WORDS);
    const blocks = layout.cpuBlocks >>> 2;
    this.#startCpus = this.#startWords.subarray(blocks, blocks + (layout.nrPossible * CPU_BLOCK_BYTES) / 4);
    const functions = functionNames();
    const data = dataNames();
    this.names = {
      symbol: (address) =>
        address === 0 ? 'the laboratory' : (functions(address) ?? `0x${address.toString(16)}`),
      variable: (address) => this.#variable(data, address),
      known: functions,
    };
  }

  /**
   * Boots a machine for the scenario, sets it up, and keeps its state.
   * @throws SmplabError SMPLAB_BAD_SCENARIO for a file that is no scenario, or whose set-up fails
   */
  static async create(source: ScenarioSource, options: ThreadExecutorOptions = {}): Promise<ThreadExecutor> {
    const loaded = loadScenario(source);
    const { scenario } = loaded;
    const stepsMax = options.stepsMax ?? scenario.stepsMax ?? STEPS_MAX;
    let machine: Machine | undefined;
    const fibers = options.executor === 'fibers' ? new FiberPool() : undefined;
    try {
      machine = await Machine.powerOn(
        {
          cpus: scenario.online ?? scenario.cpus,
          possible: scenario.cpus,
          vendor: scenario.vendor ?? 'amd',
          hardware: { perCpu: perCpuOverrides(scenario) },
          mode: 'deterministic',
          strategy: 'stay',
          logRecords: options.logRecords ?? stepsMax * RECORDS_PER_STEP,
        },
        {
          ...(fibers === undefined ? {} : { pool: fibers }),
          ...(options.pool === undefined ? {} : { pool: options.pool }),
          scenario: source,
          loaded,
          beforeBoot: (fresh) => fresh.look(writeScenarioValues),
        },
      );
      await setUp(machine, loaded, source);
      await machine.beginCampaign();
      const start = keepStart(machine, loaded, {
        stepsMax,
        model:
          (options.memoryModel ?? scenario.memoryModel ?? 'sc') === 'tso' ? MemoryModel.TSO : MemoryModel.SC,
      });
      return new ThreadExecutor(machine, loaded, start, fibers?.group(machine.bus.buffer));
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
  }

  #run(plan: Plan, traceMask: number): RunResult {
    if (this.#isLost)
      throw new SmplabError('SMPLAB_HOST_FAILED', 'a CPU thread of this machine does not answer any more');
    if (this.#fibers !== undefined) {
      this.#restore();
      this.#prepare(plan, traceMask);
      this.#fibers.begin();
      this.#fibers.run();
      return this.#i32[RUN_END] === RunEnd.NONE ? this.#lost() : this.#result();
    }
    const away = this.#threadsAway();
    this.#restore();
    for (const { context, cpu } of away) this.#bringHome(context, cpu);
    this.#prepare(plan, traceMask);
    this.#begin(plan);
    return this.#awaitEnd() ? this.#result() : this.#lost();
  }

  /** Hands the baton to whoever goes first. */
  #begin(plan: Plan): void {
    const { bus } = this.machine;
    // What must always hold is looked at by CPUs, which can report it: there a CPU has to choose.
    if (this.loaded.scenario.always !== undefined) {
      this.#handOver((plan.prefix[0]?.actor ?? 0) >>> 2, Baton.RESUME);
      return;
    }
    const first = this.#core.decide();
    if (first === AT_REST) return;
    const cpu = cpuOf(first);
    const flow = this.#i32[bus.registersOf(cpu).base + CpuWord.FLOW]!;
    this.#handOver(cpu, flowOf(first) === flow ? Baton.RUN : Baton.TAKE_INTERRUPT);
  }

  #handOver(cpu: number, command: Baton): void {
    const word = this.machine.bus.registersOf(cpu).base + CpuWord.BATON;
    Atomics.store(this.#i32, word, command);
    Atomics.notify(this.#i32, word, 1);
  }

  /** Threads that have become another CPU since memory was kept: their contexts, and which CPU each is now. */
  #threadsAway(): { readonly context: number; readonly cpu: number }[] {
    const { layout } = this.machine;
    const away: { readonly context: number; readonly cpu: number }[] = [];
    for (let number = 0; number < layout.nrPossible; number++) {
      const context = (layout.contexts + number * CONTEXT_BYTES) >>> 2;
      const cpu = this.#i32[context + ContextWord.CPU]!;
      if (cpu !== this.#startWords[context + ContextWord.CPU]!) away.push({ context, cpu });
    }
    return away;
  }

  /** A thread becomes the CPU that memory says it is, so that a run's stacks lie where those of every run do. */
  #bringHome(context: number, cpu: number): void {
    const i32 = this.#i32;
    const baton = this.machine.bus.registersOf(cpu).base + CpuWord.BATON;
    const moving = context + ContextWord.MOVING;
    Atomics.store(i32, moving, 1);
    // Two threads may wait there for a moment. One that is home already takes the command for nothing: it is sent again.
    for (let tries = 0; Atomics.load(i32, moving) !== 0 && tries < HOME_TRIES_MAX; tries++) {
      Atomics.store(i32, baton, Baton.BECOME);
      Atomics.notify(i32, baton);
      this.machine.sleep(moving, 1, HOME_TRY_MS);
    }
    if (Atomics.load(i32, moving) !== 0)
      throw new SmplabError('SMPLAB_HOST_FAILED', 'a CPU thread of this machine does not answer any more');
  }

  /** Memory as it was kept: what was written since, and every CPU's registers. */
  #restore(): void {
    const { layout } = this.machine;
    const i32 = this.#i32;
    const start = this.#startWords;
    for (const word of LIVE_WORDS) start[word] = i32[word]!;
    for (const { base, context } of this.#places) {
      start[base + CpuWord.WAKE] = i32[base + CpuWord.WAKE]!;
      start[base + CpuWord.THREAD] = i32[base + CpuWord.THREAD]!;
      for (let index = context; index < context + ContextWord.CALLS; index++) i32[index] = start[index]!;
    }
    i32.set(this.#startBlock, MACHINE_BLOCK >>> 2);
    i32.set(this.#startCpus, layout.cpuBlocks >>> 2);
    this.#u8.set(this.#scheduling, layout.search);
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

  /** Blocks this thread until the run has ended. False if a CPU makes no step any more. */
  #awaitEnd(): boolean {
    const i32 = this.#i32;
    let steps = -1;
    for (;;) {
      const seen = Atomics.load(i32, DOORBELL);
      if (Atomics.load(i32, RUN_END) !== RunEnd.NONE) return true;
      if (this.machine.sleep(DOORBELL, seen, STUCK_MS)) continue;
      const now = Atomics.load(i32, STEP);
      if (now === steps) return Atomics.load(i32, RUN_END) !== RunEnd.NONE;
      steps = now;
    }
  }

  #result(): RunResult {
    const stop = STOPS[this.#i32[RUN_END]!]!;
    return new Outcome(this.#parts, stop, this.#findings(stop));
  }

  #findings(stop: RunStop): readonly RunFinding[] {
    const written = this.#i32[machineWord(MachineWord.FINDINGS_WRITTEN)]!;
    if (written !== 0) return this.machine.findings().records;
    const complaint = stop === RunStop.COMPLETE ? this.#check() : undefined;
    return complaint === undefined ? NO_FINDINGS : [{ kind: 'check', title: complaint }];
  }

  /** Every flow that is not done, in front of what it cannot do. */
  #waiting(): WaitingFlow[] {
    const { layout, bus } = this.machine;
    const region = searchRegion(layout.nrPossible, layout.heapEnd, layout.logCapacity);
    const word = (offset: number, actor: number): number =>
      this.#i32[((layout.search + offset) >>> 2) + actor]!;
    const stacks = this.machine.stacks();
    const waiting: WaitingFlow[] = [];
    for (let cpu = 0; cpu < layout.nrPossible; cpu++) {
      const registers = bus.registersOf(cpu);
      const status = registers.get(CpuWord.STATUS);
      if (status !== Status.BLOCKED && status !== Status.READY) continue;
      const actor = cpu * 4 + registers.get(CpuWord.FLOW);
      const head = word(region.nextHead, actor);
      const stack = stacks.find((one) => one.cpu === cpu)?.stack ?? [];
      waiting.push({
        actor,
        type: head & 0xff,
        kind: (head >>> 8) & 7,
        address: word(region.nextAddress, actor) >>> 0,
        size: word(region.nextSize, actor),
        site: stack.length === 0 ? 0 : (symbolAddress(stack[0]!) ?? 0),
        stack,
      });
    }
    return waiting;
  }

  /** Who stands in front of something that cannot be done now: a taken lock, a condition that does not hold. */
  #blocked(): BlockedActor[] {
    const { layout, bus } = this.machine;
    const i32 = this.#i32;
    const heads = (layout.search + this.#region.nextHead) >>> 2;
    const addresses = (layout.search + this.#region.nextAddress) >>> 2;
    const blocked: BlockedActor[] = [];
    for (let cpu = 0; cpu < layout.nrPossible; cpu++) {
      const { base } = bus.registersOf(cpu);
      const status = i32[base + CpuWord.STATUS]!;
      const actor = cpu * 4 + i32[base + CpuWord.FLOW]!;
      const type = i32[heads + actor]! & 0xff;
      const address = i32[addresses + actor]! >>> 0;
      if (status === Status.BLOCKED || status === Status.IDLE) {
        const ranges: number[] = [];
        for (let index = 0; index < i32[base + CpuWord.WATCH_COUNT]!; index++)
          ranges.push(i32[base + CpuWord.WATCH_LIST + index]! * 4, 4);
        blocked.push({ actor, type: OpType.AWAIT, ranges });
      } else if (status === Status.READY && type === OpType.ACQUIRE && i32[address >>> 2] !== 0) {
        blocked.push({ actor, type, ranges: [address, 4] });
      }
    }
    return blocked;
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
  readonly names: {
    readonly symbol: (address: number) => string;
    readonly variable: (address: number) => string;
    readonly known: (address: number) => string | undefined;
  };

  #variable(data: (address: number) => string | undefined, address: number): string {
    const { layout } = this.machine;
    const area = address - layout.perCpuAreas;
    if (area >= 0 && area < layout.nrPossible * PERCPU_BYTES) {
      const name = data(PERCPU_TEMPLATE + (area % PERCPU_BYTES));
      if (name !== undefined) return `${name} (cpu ${Math.floor(area / PERCPU_BYTES)})`;
    }
    const block = address - layout.cpuBlocks;
    if (block >= 0 && block < layout.nrPossible * CPU_BLOCK_BYTES)
      return `interrupts of cpu ${Math.floor(block / CPU_BLOCK_BYTES)}`;
    const context = address - layout.contexts;
    if (context >= 0 && context < layout.nrPossible * CONTEXT_BYTES)
      return `stack of cpu ${Math.floor(context / CONTEXT_BYTES)}+${context % CONTEXT_BYTES}`;
    return data(address) ?? `0x${(address >>> 0).toString(16).padStart(8, '0')}`;
  }

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
    return new Outcome(this.#parts, RunStop.DIED, [{ kind: 'no-progress', title, cpu, stack, detail }]);
  }
}

const NO_FINDINGS: readonly RunFinding[] = [];

/** What an outcome looks up when it is asked. */
interface OutcomeParts {
  readonly i32: Int32Array;
  readonly log: Int32Array;
  readonly waiting: () => WaitingFlow[];
  readonly blocked: () => BlockedActor[];
}

/** A run's result. What few ask for is looked up when they do: it holds until the next run. */
class Outcome implements RunResult {
  readonly stop: RunStop;
  readonly log: RunResult['log'];
  readonly steps: number;
  readonly switches: number;
  readonly divergedAt: number;
  readonly sharedGrew: boolean;
  readonly findings: readonly RunFinding[];
  readonly #parts: OutcomeParts;

  constructor(parts: OutcomeParts, stop: RunStop, findings: readonly RunFinding[]) {
    const { i32, log } = parts;
    this.#parts = parts;
    this.stop = stop;
    this.log = { words: log, records: i32[RECORDS]! };
    this.steps = i32[STEP]!;
    this.switches = i32[SWITCHES]!;
    this.divergedAt = i32[DIVERGED_AT]!;
    this.sharedGrew = i32[SHARED_GREW] !== 0;
    this.findings = findings;
  }

  get waiting(): readonly WaitingFlow[] {
    return this.stop === RunStop.DEADLOCK ? this.#parts.waiting() : [];
  }

  get blocked(): readonly BlockedActor[] {
    return this.#parts.blocked();
  }

  /** The scenario's variables, as the run left them: what two runs of one trace have in common. */
  get finalState(): string {
    const { dataStart, dataEnd } = scenarioImage;
    return this.#parts.i32.subarray(dataStart >>> 2, (dataEnd + 3) >>> 2).join();
  }
}

function perCpuOverrides({ quirks = {} }: Scenario): Readonly<Record<string, CpuOverrides>> {
  return Object.fromEntries(Object.entries(quirks).map(([cpu, quirk]) => [cpu, { quirks: [quirk] }]));
}

/** Loads modules and runs the scenario's set-up, as system calls. */
async function setUp(machine: Machine, loaded: LoadedScenario, source: ScenarioSource): Promise<void> {
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

function startOfScheduling(machine: Machine, loaded: LoadedScenario): Uint8Array {
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

interface StartOptions {
  readonly stepsMax: number;
  readonly model: MemoryModel;
}

/** Lets every CPU come to its idle loop, and answers memory as each run is to find it. */
function keepStart(machine: Machine, loaded: LoadedScenario, options: StartOptions): Uint8Array {
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
      if (!machine.sleep(DOORBELL, seen, STUCK_MS))
        throw new SmplabError('SMPLAB_HOST_FAILED', `CPU ${cpu} did not come to rest`);
    }
  }
  const start = bus.u8.slice(0, layout.heapEnd);
  const words = new Int32Array(start.buffer);
  armRun(words, options, loaded);
  withBus(bus, () => armFlows(words, machine, loaded));
  markOwners(machine, loaded);
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
