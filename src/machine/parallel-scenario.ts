/**
 * Runs a scenario as the machine is without a scheduler: its flows begin together on threads of their own, and nobody steers
 * them. Every run starts from the same memory. What a run shows is what it shows by itself: the scenario's check, what the
 * kernel says, and CPUs that cannot go on. What reads an operation log (races, lock order, lifetimes) has nothing to read here.
 */
import { machineWord } from '#memory/base-bus';
import { writeScenarioValues } from '#memory/image';
import { CpuWord, MachineWord, Pending } from '#memory/layout';
import { symbolName } from '#memory/symbols';
import type { RunFinding } from '#scheduler/executor';
import { type LoadedScenario, type ScenarioSource, complaintOf, loadScenario } from '#scenario/program';
import { type CallOutcome, Machine, type PowerOnOptions, type Snapshot } from './machine.ts';
import { type ParallelRecord, beginRecords, recordOf } from './parallel-record.ts';
import { perCpuOverrides, setUp } from './start-state.ts';
import { type MachineNames, namesOf } from './variable-name.ts';

export interface ParallelOptions extends Pick<PowerOnOptions, 'pool'> {
  /** TraceMask bits: what of each run is recorded. Default 0: nothing. */
  readonly trace?: number;
  /** Trace events kept per CPU. */
  readonly traceEventsMax?: number;
  /** Operations of each CPU that a run can record. Default 0: none. */
  readonly record?: number;
  /** Host milliseconds after which a run that goes on and on is given up. One that stands still ends at once. */
  readonly timeoutMs?: number;
}

/** How an unsteered run ended. */
export interface ParallelRun {
  /** 'time': it was still going on when its time was over. */
  readonly end: 'complete' | 'deadlock' | 'died' | 'time';
  readonly findings: readonly RunFinding[];
}

const TIMEOUT_MS = 2_000;
/** Host milliseconds within which a device interrupts: about as long as a run. */
const DEVICE_WITHIN_MS = 0.3;
const START_LINE = machineWord(MachineWord.START_LINE);
/** To sleep on for a while. */
const NOTHING = new Int32Array(new SharedArrayBuffer(4));

export type { ParallelRecord } from './parallel-record.ts';

export class ParallelScenario {
  readonly machine: Machine;
  readonly loaded: LoadedScenario;
  readonly names: MachineNames;
  readonly #start: Snapshot;
  readonly #calls: readonly { readonly symbol: string; readonly cpu: number }[];
  readonly #lines: readonly { readonly cpu: number; readonly line: number; readonly handler: number }[];

  private constructor(machine: Machine, loaded: LoadedScenario) {
    this.machine = machine;
    this.loaded = loaded;
    this.names = namesOf(machine.layout);
    this.#start = machine.snapshot();
    this.#calls = loaded.flows.flatMap((flow, cpu) =>
      flow === 0 ? [] : [{ symbol: symbolName(flow)!, cpu }],
    );
    const devices = loaded.scenario.interrupts ?? [];
    this.#lines = devices.map(({ cpu }, index) => ({
      cpu,
      line: devices.slice(0, index).filter((other) => other.cpu === cpu).length,
      handler: loaded.handlers[index]!,
    }));
  }

  /**
   * Boots a machine for the scenario and sets it up.
   * @throws SmplabError SMPLAB_BAD_SCENARIO for a file that is no scenario, or whose set-up fails
   */
  static async create(source: ScenarioSource, options: ParallelOptions = {}): Promise<ParallelScenario> {
    const loaded = loadScenario(source);
    const { scenario } = loaded;
    let machine: Machine | undefined;
    try {
      machine = await Machine.powerOn(
        {
          cpus: scenario.online ?? scenario.cpus,
          possible: scenario.cpus,
          vendor: scenario.vendor ?? 'amd',
          hardware: { perCpu: perCpuOverrides(scenario) },
          mode: 'parallel',
          callTimeoutMs: options.timeoutMs ?? TIMEOUT_MS,
          ...(options.record === undefined ? {} : { record: options.record }),
          ...(options.trace === undefined ? {} : { trace: options.trace }),
          ...(options.traceEventsMax === undefined ? {} : { traceEventsMax: options.traceEventsMax }),
        },
        {
          ...(options.pool === undefined ? {} : { pool: options.pool }),
          scenario: source,
          loaded,
          beforeBoot: (fresh) => fresh.look(writeScenarioValues),
        },
      );
      await setUp(machine, loaded, source);
      return new ParallelScenario(machine, loaded);
    } catch (error) {
      loaded.unload();
      await machine?.powerOff();
      throw error;
    }
  }

  /** Takes memory back to the start, lets every flow begin, and waits for the end. */
  async run(): Promise<ParallelRun> {
    const { machine } = this;
    await machine.restore(this.#start);
    if (machine.config.record > 0) beginRecords(machine);
    machine.bus.i32[START_LINE] = this.#calls.length;
    const running = machine.callAll(this.#calls);
    this.#raiseDevices();
    const outcomes = await running;
    const worst = outcomes.find(({ kind }) => kind !== 'returned' && kind !== 'killed');
    if (worst !== undefined) return this.#broken(worst);
    // A warning does not end a kernel, and its end means something.
    const said = machine.findings().records;
    if (!machine.settle()) return { end: 'time', findings: said };
    if (said.some(({ kind }) => kind !== 'warning')) return { end: 'died', findings: said };
    const complaint = this.#check();
    return {
      end: 'complete',
      findings: complaint === undefined ? said : [...said, { kind: 'check', title: complaint }],
    };
  }

  /** The events of the last run, all CPUs merged. */
  trace(): ReturnType<Machine['trace']> {
    return this.machine.trace();
  }

  /** What the last run, which is over, did to memory. */
  record(): ParallelRecord {
    return recordOf(this.machine, this.#start);
  }

  async close(): Promise<void> {
    await this.machine.powerOff();
    this.loaded.unload();
  }

  /** Each device raises its line at a moment of chance. */
  #raiseDevices(): void {
    const { machine } = this;
    for (const { cpu, line, handler } of this.#lines) {
      machine.bus.registersOf(cpu).set(CpuWord.DEVICE_HANDLERS + line, handler);
      Atomics.wait(NOTHING, 0, 0, Math.random() * DEVICE_WITHIN_MS);
      machine.raise(cpu, Pending.DEVICE << line);
    }
  }

  #broken(outcome: CallOutcome): ParallelRun {
    const findings = this.machine.findings().records;
    if (outcome.kind !== 'hung') return { end: 'died', findings };
    if (!outcome.standstill) return { end: 'time', findings };
    const cpus = outcome.cpus.map(({ cpu }) => cpu);
    const title = `CPUs ${cpus.join(', ')} wait, and nobody can go on`;
    return { end: 'deadlock', findings: [...findings, { kind: 'deadlock', title }] };
  }

  #check(): string | undefined {
    const { scenario } = this.loaded;
    if (scenario.check === undefined) return undefined;
    return this.machine.look(() =>
      complaintOf(() => scenario.check!(), 'check', 'the check does not hold at the end'),
    );
  }
}
