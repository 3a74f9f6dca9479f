/**
 * A simulated machine, seen from the host: power it on, run system calls on it, look into it at rest, take it back to a
 * snapshot, power it off.
 */
import { setMaxListeners } from 'node:events';
import { seedState } from '#base/prng';
import { SmplabError } from '#base/errors';
import { machineWord } from '#memory/base-bus';
import { PolicyWord } from '#base/strategy';
import { withBus } from '#memory/bus';
import {
  Baton,
  CpuWord,
  FINDINGS_MAX,
  FINDING_BYTES,
  type Geometry,
  Halted,
  MachineEnd,
  MachineWord,
  PERCPU_TEMPLATE,
  PERCPU_BYTES,
  Pending,
  RunEnd,
  RunState,
  SearchWord,
  TASK_BYTES,
  ringWord,
} from '#memory/layout';
import type { ParallelBus } from '#memory/parallel-bus';
import { policyWords, schedulingBytes, searchWord } from '#memory/search-words';
import { stackOf } from '#memory/stack';
import type { LoadedScenario, ScenarioSource } from '#scenario/program';
import { cpu_set, cpumask_t } from '#memory/cpumask';
import { symbolAddress } from '#memory/symbols';
import { cpu_online } from '#smp/cpumask';
import {
  KILLED,
  PF_HOST,
  TASK_DEAD,
  TASK_FREE,
  TASK_NEW,
  TASK_RUNNABLE,
  rq,
  runqueues,
  task_struct,
} from '#smp/sched';
import type { FindingRecord } from '#smp/printk';
import { type TraceEvent } from '#trace/events';
import { encodeTrace } from '#trace/format';
import { clearRing, makeRingRound, mergeEvents, readRing } from '#trace/ring';
import { type Fault, type MachineConfig, type ResolvedConfig, resolveConfig } from './config.ts';
import { HostFaults, armFaults, checkFaultsFit } from './faults.ts';
import { type FreshMemory, type RestImage, freshMemory, keepRest, restoreRest } from './memory-image.ts';
import { FiberPool } from '#fibers/pool';
import { type CpuPool, hostCores, sharedPool } from './pool.ts';
import { Standstill, isAsleep } from './standstill.ts';

/** Host milliseconds CPUs get to come to rest after a stop before their threads are ended. */
const STOP_TIMEOUT_MS = 2_000;
/** Host milliseconds a machine's threads get to start, and some more for each: generous, for one busy core. */
const START_TIMEOUT_MS = 7_500;
const START_TIMEOUT_MS_EACH = 200;
/** How often within a call's time limit the host looks whether a deterministic run goes on. */
const PROGRESS_LOOKS = 8;
/** Parallel mode: host milliseconds between two looks whether anybody can still go on. */
const STANDSTILL_LOOK_MS = 2;
const STANDSTILL_LOOK_MS_MAX = 32;

/** Host milliseconds threads get to leave a machine that is switched off. A thread that loops in kernel code never does. */
const LEAVE_TIMEOUT_MS = 1_000;
/** Host milliseconds CPUs get to go to sleep after the last task has ended. */
const QUIET_TIMEOUT_MS = 1_000;
/** Events of a dead CPU that a machine check carries. */
const LAST_EVENTS = 16;

/** Given as the reason, since making one of its own costs the host more than the rest of switching off. */
const IS_OFF = 'its machine is off';

const STOPS = {
  [MachineEnd.RESTART]: 'restart',
  [MachineEnd.HALT]: 'halt',
  [MachineEnd.POWER_OFF]: 'power-off',
} as const;

const KEEP_ALIVE_MS = 0x7fffffff;

/** How a call into the machine ended. */
export type CallOutcome =
  /** it returned */
  | { readonly kind: 'returned'; readonly value: number }
  /** an oops ended the task */
  | { readonly kind: 'killed' }
  /** the machine panicked */
  | { readonly kind: 'panic' }
  /** it was asked to: sys_reboot() */
  | { readonly kind: 'stopped'; readonly by: 'restart' | 'halt' | 'power-off' }
  /** it did not end: nobody is runnable (deterministic mode: exactly so), or nobody made progress in time */
  | {
      readonly kind: 'hung';
      readonly cpus: readonly HungCpu[];
      /** It is a fact: nobody can go on. Else it is that time was over. */
      readonly standstill: boolean;
    }
  /** deterministic mode: the step limit */
  | { readonly kind: 'steps' }
  /** a CPU's thread died */
  | MachineCheck;

export interface MachineCheck extends HungCpu {
  readonly kind: 'machine-check';
  readonly reason: string;
  /** The last events of that CPU, if it was traced. */
  readonly trace: readonly TraceEvent[];
}

export interface HungCpu {
  readonly cpu: number;
  /** Innermost call first. */
  readonly stack: readonly string[];
}

export interface CallOptions {
  /** CPU to run on. Default 0. */
  readonly cpu?: number;
  /** Numeric arguments, at most three. */
  readonly args?: readonly number[];
  /** The argument that is a name: comes after the numeric ones. */
  readonly text?: string;
  /** Which process calls. Default 1. */
  readonly mm?: number;
  /** Number and name of the task. Default: a number of its own, and the function's name. */
  readonly pid?: number;
  readonly comm?: string;
  /** CPUs the task may run on (sched_setaffinity). Default: all. */
  readonly allowed?: readonly number[];
  /** Where that CPU is not online, CPU 0 will do: for callers that do not know what other calls do to it meanwhile. */
  readonly elsewhere?: boolean;
}

/** A call that has been started. */
export interface PendingCall {
  readonly task: number;
  readonly result: Promise<CallOutcome>;
}

/** What `snapshot` keeps. Valid for the machine that made it. */
export interface Snapshot {
  readonly bytes: Uint8Array;
  /** What the policy remembers, and what every CPU is about to do. */
  readonly scheduling: Uint8Array;
}

/** A machine's memory and what was in it: see Machine.revive. */
export interface KeptMachine {
  readonly config: ResolvedConfig;
  readonly memory: FreshMemory;
  readonly image: RestImage;
  /** Room for what each run of whoever has the machine starts from. */
  readonly start: Uint8Array;
}

const RUN_STATE = machineWord(MachineWord.RUN_STATE);
const TRACE_MASK = machineWord(MachineWord.TRACE_MASK);
const RUN_EPOCH = machineWord(MachineWord.RUN_EPOCH);
const AT_REST = machineWord(MachineWord.CPUS_AT_REST);
const THREADS_UP = machineWord(MachineWord.THREADS_UP);
const POWER_GOOD = machineWord(MachineWord.POWER_GOOD);
const DOORBELL = machineWord(MachineWord.DOORBELL);
const STEP = machineWord(MachineWord.STEP);
const TASKS_OPEN = machineWord(MachineWord.TASKS_OPEN);
const ENDED = machineWord(MachineWord.ENDED);
const RUN_END = machineWord(MachineWord.RUN_END);
const RESTING_CPU = machineWord(MachineWord.RESTING_CPU);
const FINDINGS_WRITTEN = machineWord(MachineWord.FINDINGS_WRITTEN);
/** Host milliseconds that a CPU gets to finish writing a finding. */
const FINDING_LOOKS = 100;

export class Machine {
  readonly config: ResolvedConfig;
  readonly layout: Geometry;
  /** The host's way into memory. Use it at rest, inside `look`. */
  readonly bus: ParallelBus;
  readonly #pool: CpuPool;
  /** It runs no scenario, in any order that comes, and keeps no record of it. */
  readonly #isPlain: boolean;
  readonly #memory: FreshMemory;
  /** Where CPUs are threads: ends them. */
  readonly #abort: AbortController | undefined;
  readonly #threads: Promise<void>[] = [];
  /** The host's number of each thread, by the CPU it was when the machine was made. */
  #threadNumbers: readonly number[] = [];
  #deadCpu: MachineCheck | undefined;
  #hostFaults: HostFaults | undefined;
  /** How the machine came to its end. Every call from then on is answered with this. */
  #ended: CallOutcome | undefined;
  #callsRunning = 0;
  /** Who waits for the doorbell, and what keeps the process alive for them. */
  #waiting = 0;
  #alive: NodeJS.Timeout | undefined;
  /** Parallel mode: the last call ended because nobody could go on. */
  #stands = false;
  #state: 'on' | 'stopped' | 'off' = 'stopped';

  private constructor(
    config: ResolvedConfig,
    pool: CpuPool,
    memory: FreshMemory,
    { scenario, loaded }: PowerOnOptions,
  ) {
    this.config = config;
    this.#pool = pool;
    this.#memory = memory;
    this.layout = memory.layout;
    this.bus = memory.bus;
    if (pool.end === undefined) {
      this.#abort = new AbortController();
      // One listener for each CPU's task.
      setMaxListeners(0, this.#abort.signal);
    }
    this.#isPlain = config.mode === 'parallel' && scenario === undefined && config.record === 0;
    const kind = this.#isPlain ? 'parallel' : 'searched';
    for (let cpu = 0; cpu < config.possible; cpu++) {
      const thread = pool.start(
        {
          buffer: memory.buffer,
          geometry: memory.input,
          cpu,
          kind,
          ...(scenario === undefined ? {} : { scenario }),
          ...(config.record === 0 ? {} : { isRecorded: true }),
        },
        this.#abort?.signal,
        loaded,
      );
      this.#threads.push(thread.catch((error: unknown) => this.#threadDied(cpu, error)));
    }
  }

  /**
   * Makes a machine and boots it: every CPU up to `cpus` is online when this returns.
   * @throws SmplabError SMPLAB_BAD_CONFIG for a configuration that is unusable, SMPLAB_HOST_FAILED when the host cannot
   *   start the threads
   */
  static async powerOn(config: MachineConfig, options: PowerOnOptions = {}): Promise<Machine> {
    const resolved = resolveConfig(config, hostCores);
    const pool = options.pool ?? (config.executor === 'fibers' ? new FiberPool() : sharedPool());
    const machine = new Machine(resolved, pool, freshMemory(resolved, pool.advance === undefined), options);
    try {
      const patience =
        options.startTimeoutMs ?? START_TIMEOUT_MS + START_TIMEOUT_MS_EACH * machine.config.possible;
      machine.bootOutcome = await machine.#boot(performance.now() + patience, options.beforeBoot);
    } catch (error) {
      await machine.powerOff();
      throw error;
    }
    return machine;
  }

  /**
   * Starts the boot and waits for its end.
   * @param deadline for the threads to be there
   */
  async #boot(deadline: number, beforeBoot?: (machine: Machine) => void): Promise<CallOutcome> {
    const { i32 } = this.bus;
    await this.#threadsUp(deadline, () => Atomics.load(i32, POWER_GOOD) !== 0);
    // In parallel mode the boot goes on while threads still start, as far as the first of them that is not there: nothing but
    // its CPU's own answer can end the wait for that, and simulated time stands still. Who is chosen in the other mode has to
    // be there; so has whom an injected fault of the host's may hit.
    if (!this.#isPlain) await this.#threadsUp(deadline);
    beforeBoot?.(this);
    if (this.#hostFaults?.areArmed === true) await this.#threadsUp(deadline);
    i32[TASKS_OPEN] = 1;
    this.#start();
    await this.#threadsUp(deadline);
    this.#threadNumbers = this.#threadOfEachCpu();
    return this.#finish([]);
  }

  /**
   * Waits for the threads to be there: all of them, or as many as `enough` asks for.
   * @throws SmplabError SMPLAB_HOST_FAILED if they are not in time, or one died before it was
   */
  async #threadsUp(
    deadline: number,
    enough = (): boolean => Atomics.load(this.bus.i32, THREADS_UP) >= this.layout.nrPossible,
  ): Promise<void> {
    const inTime = await this.#await(
      () => this.#deadCpu !== undefined || enough(),
      deadline - performance.now(),
    );
    // One that dies in the boot is the boot's outcome.
    const isBooting = this.bus.i32[RUN_EPOCH] !== 0;
    if (this.#deadCpu !== undefined && !(isBooting && this.threadOf(this.#deadCpu.cpu) !== 0))
      throw new SmplabError('SMPLAB_HOST_FAILED', `CPU ${this.#deadCpu.cpu}: ${this.#deadCpu.reason}`);
    if (!inTime) throw new SmplabError('SMPLAB_HOST_FAILED', 'the host did not start the threads in time');
  }

  /** How the boot went; 'returned' for a machine that is up. */
  bootOutcome: CallOutcome = { kind: 'returned', value: 0 };

  /** Runs a kernel function on the machine as a system call would, and waits for its end. */
  async call(symbol: string, options: CallOptions = {}): Promise<CallOutcome> {
    const [outcome] = await this.callAll([{ symbol, ...options }]);
    return outcome!;
  }

  /** Several calls at once: they run on their CPUs at the same time. In deterministic mode the strategy interleaves them. */
  async callAll(calls: readonly (CallOptions & { readonly symbol: string })[]): Promise<CallOutcome[]> {
    if (this.#state === 'off') throw new SmplabError('SMPLAB_MACHINE_OFF', 'the machine is off');
    const functions = calls.map((call) => this.#checkCall(call));
    if (this.#ended !== undefined) return calls.map(() => this.#ended!);
    if (this.#state !== 'on') throw new SmplabError('SMPLAB_MACHINE_OFF', 'the machine is stopped');
    const isDeterministic = this.config.mode === 'deterministic';
    if (isDeterministic && this.#callsRunning > 0) {
      throw new SmplabError(
        'SMPLAB_BAD_USAGE',
        'a call is running: start calls that belong together with callAll',
      );
    }
    const free = this.#freeTasks(calls.length);
    const tasks = calls.map((call, index) => this.#post(call, functions[index]!, free[index]!));
    for (const call of calls) this.#kick(call.cpu ?? 0, Pending.RESCHEDULE);
    if (isDeterministic) this.#resume();
    const ending = await this.#finish(tasks);
    return tasks.map((task) => {
      const state = this.#taskWord(task, 'state');
      if (this.bus.i32[state] !== TASK_DEAD) return ending;
      const value = this.bus.i32[this.#taskWord(task, 'exit_code')]!;
      Atomics.store(this.bus.i32, state, TASK_FREE);
      return value === KILLED ? { kind: 'killed' } : { kind: 'returned', value };
    });
  }

  /**
   * From here on the machine's CPUs serve runs of its scenario (cpu-worker/campaign.ts), which ScenarioExecutor starts.
   * There is no way back but powering off.
   */
  async beginCampaign(): Promise<void> {
    await this.#stop();
    if (this.#state === 'off') throw new SmplabError('SMPLAB_MACHINE_OFF', 'the machine is off');
    this.bus.i32[searchWord(SearchWord.ON)] = 1;
    this.bus.i32[searchWord(SearchWord.RUN)] = 1;
    this.#start();
  }

  /** What `revive` takes: this machine as it is now, serving runs, every CPU in its idle loop. Of use when it is off. */
  keepAtRest(): KeptMachine {
    const image = keepRest(this.#memory);
    return { config: this.config, memory: this.#memory, image, start: new Uint8Array(image.bytes.length) };
  }

  /**
   * A machine that serves runs from the start: it goes on where another one was kept, in the memory of that one, which is
   * off. One at a time.
   * @param options `pool`: CPUs that share this thread and have nothing on their stacks between runs
   */
  static revive(
    kept: KeptMachine,
    options: Omit<PowerOnOptions, 'beforeBoot'> & { readonly pool: FiberPool },
  ): Machine {
    restoreRest(kept.memory, kept.image);
    const machine = new Machine(kept.config, options.pool, kept.memory, options);
    machine.#state = 'on';
    return machine;
  }

  /**
   * Blocks this thread until word `index` is not `value`. False if that has not happened after `milliseconds`, or where
   * CPUs share this thread and all of them sleep.
   */
  sleep(index: number, value: number, milliseconds: number): boolean {
    if (this.#pool.advance === undefined)
      return Atomics.wait(this.bus.i32, index, value, milliseconds) !== 'timed-out';
    this.#pool.advance();
    return this.bus.i32[index] !== value;
  }

  /** Looks into the machine at rest: views and inventory functions work inside `look`. */
  look<T>(look: () => T): T {
    return withBus(this.bus, look);
  }

  /** Reports of the simulated kernel about itself so far. */
  findings(): { readonly records: FindingRecord[]; readonly lost: number } {
    const written = this.bus.i32[FINDINGS_WRITTEN]!;
    const records = [...this.#readFindings(0, written), ...this.#deathRecord()];
    return { records, lost: Math.max(0, written - FINDINGS_MAX) };
  }

  /** What a thread's death is reported as. */
  #deathRecord(): FindingRecord[] {
    if (this.#deadCpu === undefined) return [];
    const { cpu, reason, stack } = this.#deadCpu;
    const title = `machine check: the thread of CPU ${cpu} died`;
    return [{ kind: 'machine-check', title, cpu, stack, detail: reason }];
  }

  #readFindings(from: number, written: number): FindingRecord[] {
    const records: FindingRecord[] = [];
    for (let index = from; index < Math.min(written, FINDINGS_MAX); index++) {
      const at = this.layout.findings + index * FINDING_BYTES;
      const length = this.#findingLength(at >>> 2);
      if (length === 0) continue;
      const json = new TextDecoder().decode(this.bus.u8.slice(at + 4, at + 4 + length));
      records.push(JSON.parse(json) as FindingRecord);
    }
    return records;
  }

  /** Bytes of a record that has been counted; 0 for one that its CPU does not finish: its thread was stopped in the middle. */
  #findingLength(word: number): number {
    const { i32 } = this.bus;
    // Not at rest: the CPU is about to write it. Nobody wakes this, so it looks again.
    for (let looks = 0; looks < FINDING_LOOKS && Atomics.load(i32, word) === 0; looks++)
      Atomics.wait(i32, word, 0, 1);
    return Atomics.load(i32, word);
  }

  /** As findings, and forgets them: from a machine that runs for hours. What CPUs write meanwhile is taken, or stays. */
  takeFindings(): ReturnType<Machine['findings']> {
    const records: FindingRecord[] = [];
    let taken = 0;
    for (;;) {
      const written = Atomics.load(this.bus.i32, FINDINGS_WRITTEN);
      records.push(...this.#readFindings(taken, written));
      // Empty places first, then the count: who begins to write after that has both.
      this.#emptyFindings(taken, written);
      taken = written;
      if (Atomics.compareExchange(this.bus.i32, FINDINGS_WRITTEN, written, 0) === written) break;
    }
    return { records: [...records, ...this.#deathRecord()], lost: Math.max(0, taken - FINDINGS_MAX) };
  }

  /** Of `written` findings the first `kept` remain. */
  #forgetFindings(written: number, kept: number): void {
    this.#emptyFindings(kept, written);
    this.bus.i32[FINDINGS_WRITTEN] = kept;
  }

  #emptyFindings(from: number, written: number): void {
    for (let index = from; index < Math.min(written, FINDINGS_MAX); index++)
      Atomics.store(this.bus.i32, (this.layout.findings + index * FINDING_BYTES) >>> 2, 0);
  }

  /** CPUs in the online map, ascending. */
  onlineCpus(): number[] {
    return this.look(() =>
      Array.from({ length: this.layout.nrPossible }, (_, cpu) => cpu).filter((cpu) => cpu_online(cpu)),
    );
  }

  /** The trace so far, all CPUs merged, and how many events did not fit. */
  trace(): { readonly events: TraceEvent[]; readonly lost: number } {
    const rings = Array.from({ length: this.layout.nrPossible }, (_, cpu) =>
      readRing(this.bus.i32, ringWord(this.layout, cpu)),
    );
    return {
      events: mergeEvents(rings.map((ring) => ring.events)),
      lost: rings.reduce((sum, ring) => sum + ring.lost, 0),
    };
  }

  /** The trace in the format smp-trace/1: in deterministic mode the same for the same configuration and calls. */
  traceBytes(): Uint8Array {
    return encodeTrace({ cpus: this.layout.nrPossible, ...this.trace() });
  }

  /** What is recorded from here on: TraceMask bits. */
  setTraceMask(mask: number): void {
    this.bus.i32[TRACE_MASK] = mask;
  }

  /** Empties the trace: what follows is recorded from its start. At rest. */
  clearTrace(): void {
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++)
      clearRing(this.bus.i32, ringWord(this.layout, cpu));
  }

  /** Parallel mode: an interrupt for a CPU, from outside. */
  raise(cpu: number, pending: number): void {
    this.#kick(cpu, pending);
  }

  /** From now on the trace keeps the latest events and not the first: `traceEventsMax` is a power of two. At rest. */
  makeTraceRound(): void {
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++) {
      const ring = ringWord(this.layout, cpu);
      clearRing(this.bus.i32, ring);
      if (this.layout.ringCapacity > 0) makeRingRound(this.bus.i32, ring);
    }
  }

  /** Deterministic mode: the strategy goes on from this seed. At rest. */
  reseed(seed: number): void {
    this.bus.i32[policyWords(this.layout) + PolicyWord.SEED] = seedState(seed);
    this.bus.i32[searchWord(SearchWord.BEGUN)] = 0;
  }

  /**
   * Arms fault injection (machine/faults.ts): what was armed before is forgotten.
   * @param seed what chance starts from
   * @throws SmplabError SMPLAB_BAD_CONFIG for a fault that this machine cannot have
   */
  injectFaults(faults: readonly Fault[], seed = this.config.seed): void {
    checkFaultsFit(faults, this.config);
    this.#hostFaults?.stop();
    this.look(() => {
      armFaults(faults, this.config.possible, seed);
    });
    this.#hostFaults = new HostFaults(
      {
        bus: this.bus,
        possible: this.config.possible,
        kill: (cpu) => {
          this.killThread(cpu);
        },
        raise: (cpu, pending) => {
          this.#kick(cpu, pending);
        },
      },
      faults,
      seed,
    );
  }

  /** Ends the thread that is this CPU, as a defect of the host would. */
  killThread(cpu: number): void {
    const id = this.threadOf(cpu);
    void this.#pool.threads.find(({ threadId }) => threadId === id)?.terminate();
  }

  /**
   * Keeps the machine's state.
   * @throws SmplabError SMPLAB_BAD_USAGE unless the machine is at rest: up, and no call running
   */
  snapshot(): Snapshot {
    if (this.#state !== 'on' || this.#ended !== undefined || this.bus.i32[TASKS_OPEN] !== 0) {
      throw new SmplabError(
        'SMPLAB_BAD_USAGE',
        'the machine is not at rest: wait for its calls, and for one that is up',
      );
    }
    if (!this.settle())
      throw new SmplabError('SMPLAB_BAD_USAGE', 'the CPUs of the machine do not come to rest');
    const { search, heapEnd } = this.layout;
    return {
      bytes: this.bus.u8.slice(0, heapEnd),
      scheduling: this.bus.u8.slice(search, search + schedulingBytes(this.layout)),
    };
  }

  /**
   * Takes the machine back to a snapshot of its own, also after a panic or a hang, and empties the trace.
   * @throws SmplabError SMPLAB_MACHINE_OFF if there is no machine any more: it is off, or its threads had to be ended
   */
  async restore(snapshot: Snapshot): Promise<void> {
    if (this.#callsRunning > 0)
      throw new SmplabError('SMPLAB_BAD_USAGE', 'a call is running: wait for it, then restore');
    await this.#stop();
    if (this.#state === 'off')
      throw new SmplabError('SMPLAB_MACHINE_OFF', 'the machine is off: it cannot be restored');
    this.#ended = undefined;
    this.#keepSyncWords(snapshot);
    const written = this.bus.i32[FINDINGS_WRITTEN]!;
    this.bus.u8.set(snapshot.bytes);
    this.#forgetFindings(written, this.bus.i32[FINDINGS_WRITTEN]!);
    this.bus.u8.set(snapshot.scheduling, this.layout.search);
    this.clearTrace();
    this.#start();
  }

  /**
   * Parallel mode: blocks until every CPU is idle or off with nothing to take. The last task says that it has ended a little before
   * its CPU is idle again, and what it left to others may still be on its way.
   * @returns false if that did not come in time
   */
  settle(): boolean {
    if (this.config.mode === 'deterministic') return true;
    const { i32 } = this.bus;
    const deadline = performance.now() + QUIET_TIMEOUT_MS;
    // One that was seen asleep may have been woken by another since: all have to be asleep in one look.
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++) {
      if (isAsleep(this.bus, cpu)) continue;
      if (performance.now() > deadline) return false;
      Atomics.wait(i32, this.bus.registersOf(cpu).base + CpuWord.HALTED, Halted.AWAKE, 0.05);
      cpu = -1;
    }
    return true;
  }

  /** Words that threads sleep on are of this moment, not of the snapshot's: a changed one would be a lost wake-up. */
  #keepSyncWords(snapshot: Snapshot): void {
    const { i32 } = this.bus;
    const kept = new Int32Array(
      snapshot.bytes.buffer,
      snapshot.bytes.byteOffset,
      snapshot.bytes.byteLength >>> 2,
    );
    for (const word of [RUN_STATE, RUN_EPOCH, AT_REST, DOORBELL]) kept[word] = i32[word]!;
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++) {
      const { base } = this.bus.registersOf(cpu);
      for (const word of [CpuWord.WAKE, CpuWord.THREAD]) kept[base + word] = i32[base + word]!;
    }
  }

  /** Switches the machine off and gives its threads back. Threads that do not come to rest are ended. Idempotent. */
  async powerOff(): Promise<void> {
    this.#hostFaults?.stop();
    if (this.#state === 'on') this.#orderStop();
    if (this.#state !== 'off') {
      this.#state = 'off';
      Atomics.store(this.bus.i32, RUN_STATE, RunState.OFF);
      this.#ringAll();
    }
    const all = Promise.all(this.#threads);
    // CPUs that share this thread do not leave by themselves in the middle of something, and nobody has to wait for them.
    if (this.#pool.end !== undefined) {
      this.#pool.end(this.bus.buffer);
      await all;
      return;
    }
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, LEAVE_TIMEOUT_MS);
    });
    await Promise.race([all, tooLate]);
    clearTimeout(timer);
    this.#abort?.abort(IS_OFF);
    await all;
  }

  /** The host's number of the thread that is this CPU now: the `threadId` of one of the pool's threads. */
  threadOf(cpu: number): number {
    return this.bus.registersOf(cpu).get(CpuWord.THREAD);
  }

  /** Every CPU's stack as it is. */
  stacks(): HungCpu[] {
    return this.look(() =>
      Array.from({ length: this.layout.nrPossible }, (_, cpu) => ({ cpu, stack: stackOf(cpu) })).filter(
        ({ stack }) => stack.length > 0,
      ),
    );
  }

  /**
   * A thread is gone without having been told to go: a machine check on the CPU that it was. The others are stopped.
   * @param started the CPU that thread was when the machine was made
   */
  #threadDied(started: number, error: unknown): void {
    if (this.#state === 'off' || this.#deadCpu !== undefined) return;
    const now = this.#threadOfEachCpu().indexOf(this.#threadNumbers[started] ?? -1);
    const cpu = now < 0 ? started : now;
    this.#deadCpu = {
      kind: 'machine-check',
      cpu,
      reason: error instanceof Error ? error.message : String(error),
      stack: this.look(() => stackOf(cpu)),
      trace: readRing(this.bus.i32, ringWord(this.layout, cpu)).events.slice(-LAST_EVENTS),
    };
    this.#ended = this.#deadCpu;
    if (this.#state === 'on') this.#orderStop();
    this.bus.ringDoorbell();
  }

  /** By CPU, the host's number of the thread that is that CPU now. */
  #threadOfEachCpu(): number[] {
    return Array.from({ length: this.layout.nrPossible }, (_, cpu) => this.threadOf(cpu));
  }

  #taskWord(task: number, field: 'state' | 'exit_code'): number {
    return (task + task_struct.offsetof(field)) >>> 2;
  }

  /** What the caller may get wrong about a call. Answers the function's address. */
  #checkCall(call: CallOptions & { readonly symbol: string }): number {
    const fn = symbolAddress(call.symbol);
    if (fn === undefined)
      throw new SmplabError('SMPLAB_UNKNOWN_SYMBOL', `no kernel function is called ${call.symbol}`);
    const cpu = call.cpu ?? 0;
    const exists = Number.isInteger(cpu) && cpu >= 0 && cpu < this.config.possible;
    // In a machine that has come to its end no CPU runs anything, online or not.
    const mayBeOff = this.#ended !== undefined || call.elsewhere === true;
    if (!exists || (!mayBeOff && !this.look(() => cpu_online(cpu)))) {
      throw new SmplabError('SMPLAB_BAD_USAGE', `CPU ${cpu} is not online: ${call.symbol} cannot run there`);
    }
    return fn;
  }

  /** Writes a task into memory and puts it into its CPU's inbox. */
  #post(call: CallOptions & { readonly symbol: string }, fn: number, address: number): number {
    const cpu = call.cpu ?? 0;
    const { i32 } = this.bus;
    return this.look(() => {
      const task = task_struct.at(address);
      task.pid = call.pid ?? Atomics.add(i32, HOST_PIDS, 1) + 1000;
      task.flags = PF_HOST;
      task.cpu = cpu;
      task.fn = fn;
      task.arg0 = call.args?.[0] ?? 0;
      task.arg1 = call.args?.[1] ?? 0;
      task.arg2 = call.args?.[2] ?? 0;
      task.text = call.text ?? '';
      task.mm = call.mm ?? 1;
      task.signal_pending = 0;
      task.preempt_notifiers.next = 0;
      task.comm = call.comm ?? call.symbol;
      this.bus.fill(task.cpus_allowed.addr, call.allowed === undefined ? 0xff : 0, cpumask_t.size);
      for (const one of call.allowed ?? []) cpu_set(one, task.cpus_allowed);
      task.state = TASK_RUNNABLE;
      Atomics.add(i32, TASKS_OPEN, 1);
      this.#push(cpu, address);
      // It went offline meanwhile, and the kernel may have emptied its queue before: CPU 0 is always there.
      if (!cpu_online(cpu)) this.#takeBack(cpu);
      return address;
    });
  }

  /** Word index of a CPU's inbox. */
  #inbox(cpu: number): number {
    const area = this.layout.perCpuAreas + cpu * PERCPU_BYTES;
    return (runqueues.addr - PERCPU_TEMPLATE + area + rq.offsetof('inbox')) >>> 2;
  }

  #push(cpu: number, address: number): void {
    const { i32 } = this.bus;
    const inbox = this.#inbox(cpu);
    for (;;) {
      const head = Atomics.load(i32, inbox);
      task_struct.at(address).next = head;
      if (Atomics.compareExchange(i32, inbox, head, address) === head) return;
    }
  }

  /** Gives what waits in a dead CPU's inbox to CPU 0. */
  #takeBack(dead: number): void {
    let address = Atomics.exchange(this.bus.i32, this.#inbox(dead), 0);
    while (address !== 0) {
      const { next } = task_struct.at(address);
      task_struct.at(address).cpu = 0;
      this.#push(0, address);
      address = next;
    }
    this.#kick(0, Pending.RESCHEDULE);
  }

  #freeTasks(count: number): number[] {
    const { i32 } = this.bus;
    const taken: number[] = [];
    for (let index = 0; index < this.layout.nrTasks && taken.length < count; index++) {
      const address = this.layout.tasks + index * TASK_BYTES;
      const state = this.#taskWord(address, 'state');
      if (Atomics.compareExchange(i32, state, TASK_FREE, TASK_NEW) === TASK_FREE) taken.push(address);
    }
    if (taken.length === count) return taken;
    for (const address of taken) Atomics.store(i32, this.#taskWord(address, 'state'), TASK_FREE);
    throw new SmplabError(
      'SMPLAB_BAD_USAGE',
      `${count} calls at once: the machine has room for ${taken.length}`,
    );
  }

  /** Lets CPUs that wait for the host live. */
  #start(): void {
    const { i32 } = this.bus;
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++) {
      const { base } = this.bus.registersOf(cpu);
      i32[base + CpuWord.PENDING]! &= ~Pending.STOP;
      i32[base + CpuWord.BATON] = Baton.NONE;
      i32[base + CpuWord.HALTED] = 0;
    }
    i32[AT_REST] = 0;
    i32[machineWord(MachineWord.SLEEPERS)] = 0;
    this.#state = 'on';
    Atomics.store(i32, RUN_STATE, RunState.RUNNING);
    Atomics.add(i32, RUN_EPOCH, 1);
    this.#ringAll();
    if (this.config.mode === 'deterministic' && i32[TASKS_OPEN]! > 0) this.#hand(0, Baton.RUN);
  }

  /** Deterministic mode: the CPU that held the baton when the run came to rest goes on choosing. */
  #resume(): void {
    this.bus.i32[RUN_END] = RunEnd.NONE;
    this.#hand(this.bus.i32[RESTING_CPU]!, Baton.RESUME);
  }

  #hand(cpu: number, command: Baton): void {
    const word = this.bus.registersOf(cpu).base + CpuWord.BATON;
    Atomics.store(this.bus.i32, word, command);
    Atomics.notify(this.bus.i32, word);
  }

  #kick(cpu: number, pending: number): void {
    const { base } = this.bus.registersOf(cpu);
    Atomics.or(this.bus.i32, base + CpuWord.PENDING, pending);
    Atomics.add(this.bus.i32, base + CpuWord.WAKE, 1);
    Atomics.notify(this.bus.i32, base + CpuWord.WAKE);
  }

  #ringAll(): void {
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++) this.#kick(cpu, 0);
  }

  /** Waits until these tasks have ended, or cannot; without any, and in deterministic mode, until all have. */
  async #finish(tasks: readonly number[]): Promise<CallOutcome> {
    this.#callsRunning += 1;
    try {
      const outcome = await this.#outcome(tasks);
      if (outcome.kind !== 'returned') this.#ended ??= outcome;
      return outcome;
    } finally {
      this.#callsRunning -= 1;
    }
  }

  async #outcome(tasks: readonly number[]): Promise<CallOutcome> {
    const { i32 } = this.bus;
    const states = tasks.map((task) => this.#taskWord(task, 'state'));
    const done = (): boolean =>
      Atomics.load(i32, ENDED) !== 0 ||
      this.#state !== 'on' ||
      (this.config.mode === 'deterministic'
        ? Atomics.load(i32, RUN_END) !== RunEnd.NONE
        : states.length === 0
          ? Atomics.load(i32, TASKS_OPEN) <= 0
          : states.every((state) => Atomics.load(i32, state) === TASK_DEAD));
    const inTime =
      this.config.mode === 'deterministic'
        ? await this.#awaitSteps(done)
        : await this.#awaitOrStandstill(done);
    if (this.#deadCpu !== undefined) return this.#deadCpu;
    const ended = Atomics.load(i32, ENDED) as MachineEnd | 0;
    if (ended === MachineEnd.PANIC) return { kind: 'panic' };
    if (ended !== 0) return { kind: 'stopped', by: STOPS[ended] };
    if (this.#state !== 'on')
      throw new SmplabError('SMPLAB_MACHINE_OFF', 'the machine was switched off during the call');
    if (!inTime) return { kind: 'hung', cpus: this.#hungCpus(), standstill: this.#stands };
    if (this.config.mode === 'deterministic') {
      const end = i32[RUN_END];
      if (end === RunEnd.STEP_LIMIT) return { kind: 'steps' };
      if (end === RunEnd.DEADLOCK) return { kind: 'hung', cpus: this.#hungCpus(), standstill: true };
    }
    return { kind: 'returned', value: 0 };
  }

  /** Deterministic mode counts its steps: as long as they go on it is their limit that ends a run, not the host's clock. */
  async #awaitSteps(done: () => boolean): Promise<boolean> {
    let inTime = false;
    let steps = Atomics.load(this.bus.i32, STEP);
    for (let look = 0; look < PROGRESS_LOOKS && !inTime; look++) {
      inTime = await this.#await(done, this.config.callTimeoutMs / PROGRESS_LOOKS);
      const now = Atomics.load(this.bus.i32, STEP);
      if (now !== steps) look = -1;
      steps = now;
    }
    return inTime;
  }

  /** Parallel mode: false as soon as nobody can go on, or when the time is over. */
  async #awaitOrStandstill(done: () => boolean): Promise<boolean> {
    const standstill = new Standstill(this.bus, this.layout.nrPossible);
    const deadline = performance.now() + this.config.callTimeoutMs;
    let look = STANDSTILL_LOOK_MS;
    this.#stands = false;
    while (performance.now() < deadline) {
      if (await this.#await(done, look)) return true;
      if (!standstill.isReached()) {
        // A machine that works is looked at less and less: each look is garbage, and a call may take for hours.
        look = standstill.isPossible ? STANDSTILL_LOOK_MS : Math.min(2 * look, STANDSTILL_LOOK_MS_MAX);
        continue;
      }
      this.#stands = !done();
      return !this.#stands;
    }
    return done();
  }

  /** Stacks of the CPUs that are not idle. */
  #hungCpus(): HungCpu[] {
    return this.stacks().filter(({ stack }) => stack[0] !== 'cpu_idle');
  }

  /** Waits for the doorbell until `done`; false after `milliseconds`. */
  async #await(done: () => boolean, milliseconds: number): Promise<boolean> {
    const { i32 } = this.bus;
    const deadline = performance.now() + milliseconds;
    // waitAsync alone does not keep the process alive.
    if (this.#waiting++ === 0) this.#alive = setInterval(() => {}, KEEP_ALIVE_MS);
    try {
      for (;;) {
        const seen = Atomics.load(i32, DOORBELL);
        this.#pool.advance?.();
        if (done()) return true;
        // All CPUs sleep, and nobody else would wake them.
        if (this.#pool.advance !== undefined) return false;
        const left = deadline - performance.now();
        if (left <= 0) return false;
        const waiting = Atomics.waitAsync(i32, DOORBELL, seen, left);
        if (waiting.async) await waiting.value;
      }
    } finally {
      if (--this.#waiting === 0) clearInterval(this.#alive);
    }
  }

  async #awaitRest(milliseconds: number): Promise<boolean> {
    const { i32 } = this.bus;
    const all = this.layout.nrPossible;
    return this.#await(() => this.#deadCpu !== undefined || Atomics.load(i32, AT_REST) >= all, milliseconds);
  }

  /** Tells every CPU to unwind to where it waits for the host. */
  #orderStop(): void {
    Atomics.store(this.bus.i32, RUN_STATE, RunState.STOPPING);
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++) {
      this.#kick(cpu, Pending.STOP);
      this.#hand(cpu, Baton.STOP);
    }
    this.#state = 'stopped';
    this.bus.ringDoorbell();
  }

  /** Unwinds every CPU to where it waits for the host. Where one does not obey, or is dead, the machine is switched off. */
  async #stop(): Promise<void> {
    if (this.#state !== 'on') return this.#deadCpu === undefined ? undefined : this.powerOff();
    this.#orderStop();
    const obeyed = await this.#awaitRest(STOP_TIMEOUT_MS);
    if (!obeyed || this.#deadCpu !== undefined) await this.powerOff();
  }
}

const HOST_PIDS = machineWord(MachineWord.HOST_PIDS);

export interface PowerOnOptions {
  /** Threads to use. Default: the process's own. */
  readonly pool?: CpuPool;
  /** What the CPUs run in a search: loaded on every thread. */
  readonly scenario?: ScenarioSource;
  /** The same, as it was loaded here: what CPUs without a thread of their own run. */
  readonly loaded?: LoadedScenario;
  /** Host milliseconds the threads get to start. Default: generous, for one busy core; on a host that is slow on purpose, more. */
  readonly startTimeoutMs?: number;
  /** Runs when memory is there and no CPU has started: arm faults here. */
  readonly beforeBoot?: (machine: Machine) => void;
}
