/**
 * A simulated machine, seen from the host: power it on, run system calls on it, look into it at rest, take it back to a
 * snapshot, power it off.
 */
import { setMaxListeners } from 'node:events';
import { assert } from '#base/assert';
import { SmplabError } from '#base/errors';
import { machineWord } from '#memory/base-bus';
import { withBus } from '#memory/bus';
import {
  Baton,
  CpuWord,
  FINDINGS_MAX,
  FINDING_BYTES,
  type Geometry,
  MachineWord,
  PERCPU_TEMPLATE,
  PERCPU_BYTES,
  Pending,
  RunEnd,
  RunState,
  TASK_BYTES,
  ringWord,
} from '#memory/layout';
import type { ParallelBus } from '#memory/parallel-bus';
import { stackOf } from '#memory/stack';
import { cpumask_t } from '#memory/cpumask';
import { symbolAddress } from '#memory/symbols';
import { cpu_online } from '#smp/cpumask';
import { KILLED, PF_HOST, TASK_DEAD, TASK_FREE, TASK_RUNNABLE, rq, runqueues, task_struct } from '#smp/sched';
import { FAULT_SITES_MAX, fault_attr } from '#smp/fault_inject';
import type { FindingRecord } from '#smp/printk';
import { ENOMEM } from '#base/errno';
import { type TraceEvent } from '#trace/events';
import { clearRing, mergeEvents, readRing } from '#trace/ring';
import { type MachineConfig, type ResolvedConfig, resolveConfig } from './config.ts';
import { freshMemory } from './memory-image.ts';
import { type CpuPool, hostCores, sharedPool } from './pool.ts';

/** Host milliseconds CPUs get to come to rest after a stop before their threads are ended. */
const STOP_TIMEOUT_MS = 2_000;
/** Host milliseconds a machine's threads get to start. Generous: 256 threads on one busy core. */
const START_TIMEOUT_MS = 60_000;

const KEEP_ALIVE_MS = 0x7fffffff;

/** How a call into the machine ended. */
export type CallOutcome =
  /** it returned */
  | { readonly kind: 'returned'; readonly value: number }
  /** an oops ended the task */
  | { readonly kind: 'killed' }
  /** the machine panicked */
  | { readonly kind: 'panic' }
  /** it did not end: nobody is runnable, or nobody made progress in time */
  | { readonly kind: 'hung'; readonly cpus: readonly HungCpu[] }
  /** deterministic mode: the step limit */
  | { readonly kind: 'steps' }
  /** a CPU's thread died */
  | { readonly kind: 'machine-check'; readonly cpu: number; readonly reason: string };

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
}

/** A call that has been started. */
export interface PendingCall {
  readonly task: number;
  readonly result: Promise<CallOutcome>;
}

/** What `snapshot` keeps. Valid for the machine that made it. */
export interface Snapshot {
  readonly bytes: Uint8Array;
}

const RUN_STATE = machineWord(MachineWord.RUN_STATE);
const RUN_EPOCH = machineWord(MachineWord.RUN_EPOCH);
const AT_REST = machineWord(MachineWord.CPUS_AT_REST);
const DOORBELL = machineWord(MachineWord.DOORBELL);
const TASKS_OPEN = machineWord(MachineWord.TASKS_OPEN);
const PANIC = machineWord(MachineWord.PANIC);
const RUN_END = machineWord(MachineWord.RUN_END);
const RESTING_CPU = machineWord(MachineWord.RESTING_CPU);
const FINDINGS_WRITTEN = machineWord(MachineWord.FINDINGS_WRITTEN);

export class Machine {
  readonly config: ResolvedConfig;
  readonly layout: Geometry;
  /** The host's way into memory. Use it at rest, inside `look`. */
  readonly bus: ParallelBus;
  readonly #abort: AbortController;
  readonly #threads: Promise<void>[] = [];
  #deadCpu: { readonly cpu: number; readonly reason: string } | undefined;
  #state: 'on' | 'stopped' | 'off' = 'stopped';

  private constructor(config: ResolvedConfig, pool: CpuPool) {
    this.config = config;
    const memory = freshMemory(config);
    this.layout = memory.layout;
    this.bus = memory.bus;
    this.#abort = new AbortController();
    // One listener for each CPU's task.
    setMaxListeners(0, this.#abort.signal);
    for (let cpu = 0; cpu < config.possible; cpu++) {
      const thread = pool.start({ buffer: memory.buffer, geometry: memory.input, cpu }, this.#abort.signal);
      this.#threads.push(thread.catch((error: unknown) => this.#threadDied(cpu, error)));
    }
  }

  /**
   * Makes a machine and boots it: every CPU up to `cpus` is online when this returns.
   * @throws SmplabError SMPLAB_BAD_CONFIG for a configuration that is unusable, SMPLAB_HOST_FAILED when the host cannot
   *   start the threads
   */
  static async powerOn(config: MachineConfig, options: PowerOnOptions = {}): Promise<Machine> {
    const machine = new Machine(resolveConfig(config, hostCores), options.pool ?? sharedPool());
    try {
      await machine.#awaitRest(START_TIMEOUT_MS);
      if (machine.#deadCpu !== undefined) {
        throw new SmplabError(
          'SMPLAB_HOST_FAILED',
          `CPU ${machine.#deadCpu.cpu}: ${machine.#deadCpu.reason}`,
        );
      }
      options.beforeBoot?.(machine);
      machine.bus.i32[TASKS_OPEN] = 1;
      machine.#start();
      machine.bootOutcome = await machine.#finish(0);
    } catch (error) {
      await machine.powerOff();
      throw error;
    }
    return machine;
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
    if (this.#state !== 'on') throw new SmplabError('SMPLAB_MACHINE_OFF', `the machine is ${this.#state}`);
    const tasks = calls.map((call) => this.#post(call));
    for (const call of calls) this.#kick(call.cpu ?? 0, Pending.RESCHEDULE);
    if (this.config.mode === 'deterministic') this.#resume();
    const ending = await this.#finish(0);
    return tasks.map((task) => {
      const state = this.#taskWord(task, 'state');
      if (this.bus.i32[state] !== TASK_DEAD) return ending;
      const value = this.bus.i32[this.#taskWord(task, 'exit_code')]!;
      Atomics.store(this.bus.i32, state, TASK_FREE);
      return value === KILLED ? { kind: 'killed' } : { kind: 'returned', value };
    });
  }

  /** Looks into the machine at rest: views and inventory functions work inside `look`. */
  look<T>(look: () => T): T {
    return withBus(this.bus, look);
  }

  /** Reports of the simulated kernel about itself so far. */
  findings(): { readonly records: FindingRecord[]; readonly lost: number } {
    const written = this.bus.i32[FINDINGS_WRITTEN]!;
    const records: FindingRecord[] = [];
    for (let index = 0; index < Math.min(written, FINDINGS_MAX); index++) {
      const at = this.layout.findings + index * FINDING_BYTES;
      const length = this.bus.u32[at >>> 2]!;
      const json = new TextDecoder().decode(this.bus.u8.slice(at + 4, at + 4 + length));
      records.push(JSON.parse(json) as FindingRecord);
    }
    return { records, lost: Math.max(0, written - FINDINGS_MAX) };
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

  /** Empties the trace: what follows is recorded from its start. At rest. */
  clearTrace(): void {
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++)
      clearRing(this.bus.i32, ringWord(this.layout, cpu));
  }

  /** Arms fault injection (smp/fault_inject): what was armed before is forgotten. */
  injectFaults(
    faults: readonly (
      { readonly nth: number } | { readonly site: string; readonly error?: number; readonly skip?: number }
    )[],
  ): void {
    this.look(() => {
      fault_attr.fail_nth = 0;
      let sites = 0;
      for (const fault of faults) {
        if ('nth' in fault) {
          fault_attr.fail_nth = fault_attr.allocations_seen + fault.nth;
          continue;
        }
        assert(sites < FAULT_SITES_MAX, 'injectFaults: too many sites');
        const site = fault_attr.sites.at(sites++);
        site.name = fault.site;
        site.error = fault.error ?? -ENOMEM;
        site.skip = fault.skip ?? 0;
        site.hits = 0;
      }
      fault_attr.nr_sites = sites;
    });
  }

  /** Keeps the machine's state. The machine must be at rest: no call running. */
  snapshot(): Snapshot {
    assert(this.#state === 'on' && this.bus.i32[TASKS_OPEN] === 0, 'snapshot: the machine is not at rest');
    return { bytes: this.bus.u8.slice(0, this.layout.heapEnd) };
  }

  /** Takes the machine back to a snapshot of its own. */
  async restore(snapshot: Snapshot): Promise<void> {
    await this.#stop();
    this.#keepSyncWords(snapshot);
    this.bus.u8.set(snapshot.bytes);
    this.#start();
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
      const wake = this.bus.registersOf(cpu).base + CpuWord.WAKE;
      kept[wake] = i32[wake]!;
    }
  }

  /** Switches the machine off and gives its threads back. Threads that do not come to rest are ended. Idempotent. */
  async powerOff(): Promise<void> {
    if (this.#state === 'off') return;
    await this.#stop();
    this.#state = 'off';
    Atomics.store(this.bus.i32, RUN_STATE, RunState.OFF);
    this.#ringAll();
    await Promise.all(this.#threads);
  }

  /** Every CPU's stack as it is. */
  stacks(): HungCpu[] {
    return this.look(() =>
      Array.from({ length: this.layout.nrPossible }, (_, cpu) => ({ cpu, stack: stackOf(cpu) })).filter(
        ({ stack }) => stack.length > 0,
      ),
    );
  }

  #threadDied(cpu: number, error: unknown): void {
    if (this.#state === 'off' || this.#abort.signal.aborted) return;
    this.#deadCpu ??= { cpu, reason: error instanceof Error ? error.message : String(error) };
    Atomics.add(this.bus.i32, DOORBELL, 1);
    Atomics.notify(this.bus.i32, DOORBELL);
  }

  #taskWord(task: number, field: 'state' | 'exit_code'): number {
    return (task + task_struct.offsetof(field)) >>> 2;
  }

  /** Writes a task into memory and puts it into its CPU's inbox. */
  #post(call: CallOptions & { readonly symbol: string }): number {
    const fn = symbolAddress(call.symbol);
    if (fn === undefined)
      throw new SmplabError('SMPLAB_UNKNOWN_SYMBOL', `no kernel function is called ${call.symbol}`);
    const cpu = call.cpu ?? 0;
    const { i32 } = this.bus;
    if (!this.look(() => cpu < this.config.possible && cpu_online(cpu))) {
      throw new SmplabError('SMPLAB_BAD_USAGE', `CPU ${cpu} is not online: ${call.symbol} cannot run there`);
    }
    return this.look(() => {
      const address = this.#freeTask();
      const task = task_struct.at(address);
      task.pid = Atomics.add(i32, HOST_PIDS, 1) + 1000;
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
      task.comm = call.symbol;
      this.bus.fill(task.cpus_allowed.addr, 0xff, cpumask_t.size);
      task.state = TASK_RUNNABLE;
      Atomics.add(i32, TASKS_OPEN, 1);
      const inbox =
        runqueues.addr -
        PERCPU_TEMPLATE +
        this.layout.perCpuAreas +
        cpu * PERCPU_BYTES +
        rq.offsetof('inbox');
      for (;;) {
        const head = Atomics.load(i32, inbox >>> 2);
        task.next = head;
        if (Atomics.compareExchange(i32, inbox >>> 2, head, address) === head) return address;
      }
    });
  }

  #freeTask(): number {
    for (let index = 0; index < this.layout.nrTasks; index++) {
      const address = this.layout.tasks + index * TASK_BYTES;
      if (
        Atomics.compareExchange(this.bus.i32, this.#taskWord(address, 'state'), TASK_FREE, 1) === TASK_FREE
      ) {
        return address;
      }
    }
    throw new SmplabError('SMPLAB_HOST_FAILED', 'the machine has no free task');
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

  /** Waits until all started work is done, or cannot be. `open` tasks may stay. */
  async #finish(open: number): Promise<CallOutcome> {
    const { i32 } = this.bus;
    const done = (): boolean =>
      Atomics.load(i32, PANIC) !== 0 ||
      this.#deadCpu !== undefined ||
      (this.config.mode === 'deterministic'
        ? Atomics.load(i32, RUN_END) !== RunEnd.NONE
        : Atomics.load(i32, TASKS_OPEN) <= open);
    const inTime = await this.#await(done, this.config.callTimeoutMs);
    if (this.#deadCpu !== undefined) return { kind: 'machine-check', ...this.#deadCpu };
    if (Atomics.load(i32, PANIC) !== 0) return { kind: 'panic' };
    if (!inTime) return { kind: 'hung', cpus: this.stacks() };
    if (this.config.mode === 'deterministic') {
      const end = i32[RUN_END];
      if (end === RunEnd.STEP_LIMIT) return { kind: 'steps' };
      if (end === RunEnd.DEADLOCK) return { kind: 'hung', cpus: this.stacks() };
    }
    return { kind: 'returned', value: 0 };
  }

  /** Waits for the doorbell until `done`; false after `milliseconds`. */
  async #await(done: () => boolean, milliseconds: number): Promise<boolean> {
    const { i32 } = this.bus;
    const deadline = performance.now() + milliseconds;
    // waitAsync alone does not keep the process alive.
    const alive = setInterval(() => {}, KEEP_ALIVE_MS);
    try {
      for (;;) {
        const seen = Atomics.load(i32, DOORBELL);
        if (done()) return true;
        const left = deadline - performance.now();
        if (left <= 0) return false;
        const waiting = Atomics.waitAsync(i32, DOORBELL, seen, left);
        if (waiting.async) await waiting.value;
      }
    } finally {
      clearInterval(alive);
    }
  }

  async #awaitRest(milliseconds: number): Promise<boolean> {
    const { i32 } = this.bus;
    const all = this.layout.nrPossible;
    return this.#await(() => this.#deadCpu !== undefined || Atomics.load(i32, AT_REST) >= all, milliseconds);
  }

  /** Unwinds every CPU to where it waits for the host. Threads that do not obey are ended: the machine is then lost. */
  async #stop(): Promise<void> {
    if (this.#state !== 'on') return;
    const { i32 } = this.bus;
    Atomics.store(i32, RUN_STATE, RunState.STOPPING);
    for (let cpu = 0; cpu < this.layout.nrPossible; cpu++) {
      this.#kick(cpu, Pending.STOP);
      this.#hand(cpu, Baton.STOP);
    }
    this.#state = 'stopped';
    const obeyed = await this.#awaitRest(STOP_TIMEOUT_MS);
    if (obeyed && this.#deadCpu === undefined) return;
    this.#abort.abort();
    await Promise.all(this.#threads);
    this.#state = 'off';
  }
}

const HOST_PIDS = machineWord(MachineWord.HOST_PIDS);

export interface PowerOnOptions {
  /** Threads to use. Default: the process's own. */
  readonly pool?: CpuPool;
  /** Runs when memory is there and no CPU has started: arm faults here. */
  readonly beforeBoot?: (machine: Machine) => void;
}
