/**
 * The walk that `boot` and the tour share: power on, load kvm and its vendor module, take the last CPU offline and online
 * again, unload both, power off; with what every CPU holds after each step.
 *
 * Loading and unloading are asked of CPU 1 where there is one, so that "this CPU" and "CPU 0" are two things to see
 * (reference trace A1); hotplug is asked of CPU 0 (A3).
 */
// First: it brings the kernel's image, and with it every address.
import { Machine } from './machine.ts';
import { machineWord } from '#memory/base-bus';
import { MachineWord } from '#memory/layout';
import { symbolizeData } from '#memory/image';
import { symbolAddress, symbolName } from '#memory/symbols';
import { dmesg, type LogRecord } from '#kernel/dmesg';
import { type KernelInventory, inventoryDifference, kernelInventory } from './inventory.ts';
import { fault_attr } from '#smp/fault_inject';
import type { TraceEvent } from '#trace/events';
import type { Fault, MachineConfig } from './config.ts';
import { faultHits } from './faults.ts';
import { type KvmCpuState, kvmState } from './kvm-state.ts';
import type { CallOutcome } from './machine.ts';
import {
  type FaultReport,
  type StageReport,
  type WalkCall,
  type WalkReport,
  type WalkStage,
  leaksOf,
  problemsOf,
} from './walk-report.ts';
import { orAborted } from './abort.ts';
import type { CpuPool } from './pool.ts';
import { variableName } from './variable-name.ts';

export interface WalkOptions {
  readonly machine: MachineConfig;
  /** Armed before the boot, so an n-th allocation is counted from power-on. */
  readonly faults?: readonly Fault[];
  readonly pool?: CpuPool;
  /** Ends the walk after the step that runs; what was found so far is reported. */
  readonly signal?: AbortSignal;
  /** Told before each step. */
  readonly onStart?: (stage: WalkStage) => void;
  /** Told after each step, with the machine at rest. */
  readonly onStage?: (stage: StageReport, view: WalkView) => void | Promise<void>;
}

/** What a listener may look at between two steps. */
export interface WalkView {
  readonly machine: Machine;
  /** The trace of this step. */
  events(): readonly TraceEvent[];
  log(): readonly LogRecord[];
}

/** What a host's access to unmapped memory throws (memory-image.ts). */
const OUTSIDE = 'host access outside the machine';

const SEQUENCE = machineWord(MachineWord.SEQUENCE);

export const vendorModule = { amd: 'kvm-amd', intel: 'kvm-intel' } as const;

/** Name of the function at an address, for views of a walk's trace. */
export const walkSymbols: (address: number) => string | undefined = symbolName;

export function isKernelFunction(name: string): boolean {
  return symbolAddress(name) !== undefined;
}

/**
 * Walks. Never throws for what the simulated machine does: that is in the report.
 * @throws SmplabError for a configuration that is unusable or a host that fails
 */
export async function walk(options: WalkOptions): Promise<WalkReport> {
  const started = performance.now();
  options.onStart?.('boot');
  const machine = await Machine.powerOn(options.machine, {
    ...(options.pool === undefined ? {} : { pool: options.pool }),
    beforeBoot: (fresh) => fresh.injectFaults(options.faults ?? []),
  });
  try {
    const walker = new Walker(machine, options, started);
    await walker.run();
    return await walker.report();
  } finally {
    await machine.powerOff();
  }
}

const NOTHING: KernelInventory = {
  modules: [],
  cpuNotifiers: [],
  rebootNotifiers: [],
  miscDevices: [],
  debugfs: [],
  sysdevClasses: [],
  sysdevs: [],
  fileSystems: [],
  openFiles: [],
  allocations: [],
};

/** The numbers of the layout alone: they outlive the machine. */
function namesOf(layout: Machine['layout']): WalkReport['variables'] {
  return (address) => {
    const name = variableName(layout, symbolizeData, address);
    return name.startsWith('0x') ? undefined : name;
  };
}

type PlannedCall = Pick<WalkCall, 'symbol' | 'cpu' | 'argument'>;

class Walker {
  readonly #machine: Machine;
  readonly #options: WalkOptions;
  readonly #stages: StageReport[] = [];
  readonly #milliseconds: Record<string, number> = {};
  readonly #started: number;
  readonly #module: string;
  readonly #damage = new Set<string>();
  #stopped: WalkReport['stopped'];
  #before: KernelInventory | undefined;
  #sequence = 0;

  constructor(machine: Machine, options: WalkOptions, started: number) {
    this.#machine = machine;
    this.#options = options;
    this.#started = started;
    this.#module = vendorModule[machine.config.vendor];
  }

  async run(): Promise<void> {
    this.#milliseconds['boot'] = performance.now() - this.#started;
    const { bootOutcome } = this.#machine;
    if (bootOutcome.kind !== 'returned') this.#stopped = bootOutcome.kind;
    await this.#note('boot', [{ symbol: 'start_kernel', cpu: 0, argument: '', outcome: bootOutcome }]);

    // Not every CPU that was asked for need have come up.
    const online = this.#stages[0]!.state.filter((state) => state.online).map(({ cpu }) => cpu);
    const loader = online.includes(1) ? 1 : 0;
    const last = online.at(-1) ?? 0;
    const load = (name: string): PlannedCall => ({ symbol: 'sys_init_module', cpu: loader, argument: name });
    await this.#step('load', () => [load('kvm'), load(this.#module)]);

    const hotplug = (symbol: string): PlannedCall => ({ symbol, cpu: 0, argument: last });
    const alone = last === 0 ? 'the machine has one CPU, and the last one cannot go offline' : undefined;
    await this.#step('offline', () => [hotplug('cpu_down')], alone);
    const stays = this.#online(last) ? 'the CPU did not go offline' : undefined;
    await this.#step('online', () => [hotplug('cpu_up')], alone ?? stays);

    const unload = (name: string): PlannedCall => ({
      symbol: 'sys_delete_module',
      cpu: loader,
      argument: name,
    });
    await this.#step('unload', () =>
      [this.#module, 'kvm'].filter((name) => this.#loaded(name)).map((name) => unload(name)),
    );
  }

  async report(): Promise<WalkReport> {
    const machine = this.#machine;
    const off = performance.now();
    const trace = machine.trace();
    const { records, lost } = machine.findings();
    const log = machine.look(dmesg);
    const faults = this.#faults();
    const leaks = this.#stopped === undefined ? leaksOf(this.#stages.at(-1)!.added) : [];
    await machine.powerOff();
    this.#milliseconds['powerOff'] = performance.now() - off;
    this.#milliseconds['total'] = performance.now() - this.#started;
    return {
      stages: this.#stages,
      ...(this.#stopped === undefined ? {} : { stopped: this.#stopped }),
      log,
      findings: records,
      findingsLost: lost,
      leaks,
      faults,
      trace,
      variables: namesOf(machine.layout),
      problems: [...problemsOf(machine.config.cpus, this.#stages, records, leaks), ...this.#damage],
      milliseconds: this.#milliseconds,
    };
  }

  #online(cpu: number): boolean {
    return this.#stages.at(-1)!.state[cpu]?.online === true;
  }

  #loaded(name: string): boolean {
    return this.#stages
      .at(-1)!
      .added.modules.some((module) => module.name === name && module.state === 'live');
  }

  async #step(stage: WalkStage, plan: () => readonly PlannedCall[], skipped?: string): Promise<void> {
    if (this.#options.signal?.aborted === true) this.#stopped ??= 'interrupted';
    if (this.#stopped !== undefined) return;
    if (skipped !== undefined) {
      await this.#note(stage, [], skipped);
      return;
    }
    this.#options.onStart?.(stage);
    const started = performance.now();
    const calls: WalkCall[] = [];
    for (const call of plan()) {
      const outcome = await this.#call(call);
      if (outcome === undefined) return;
      calls.push({ ...call, outcome });
      // After an oops the task's locks stay taken: what comes next would wait for ever.
      if (outcome.kind !== 'returned') this.#stopped = outcome.kind;
      if (outcome.kind !== 'returned' || outcome.value !== 0) break;
      if (stage === 'unload' && call.argument === this.#module)
        this.#afterVendor = this.#look(stage, () => kvmState(this.#machine), []);
    }
    this.#milliseconds[stage] = performance.now() - started;
    await this.#note(stage, calls);
  }

  /** Undefined if the user interrupted: the call may never end, and nobody waits for it. */
  async #call({ symbol, cpu, argument }: PlannedCall): Promise<CallOutcome | undefined> {
    const given = typeof argument === 'string' ? { text: argument } : { args: [argument] };
    const call = this.#machine.call(symbol, { cpu, ...given });
    const outcome = await orAborted(call, this.#options.signal);
    if (outcome === undefined) this.#stopped = 'interrupted';
    return outcome;
  }

  /**
   * Unloading is two calls, and cpus_hardware_enabled goes with the second: what the CPUs held is read between them.
   */
  #afterVendor: readonly KvmCpuState[] | undefined;

  async #note(stage: WalkStage, calls: readonly WalkCall[], skipped?: string): Promise<void> {
    const machine = this.#machine;
    const inventory = this.#look(stage, () => machine.look(kernelInventory), this.#before ?? NOTHING);
    this.#before ??= inventory;
    const to = machine.bus.u32[SEQUENCE]!;
    const report: StageReport = {
      stage,
      ...(skipped === undefined ? {} : { skipped }),
      calls,
      state:
        (stage === 'unload' ? this.#afterVendor : undefined) ??
        this.#look(stage, () => kvmState(machine), []),
      from: this.#sequence,
      to,
      allocations: machine.look(() => fault_attr.allocations_seen),
      added: inventoryDifference(this.#before, inventory),
    };
    this.#stages.push(report);
    this.#sequence = to;
    await this.#options.onStage?.(report, {
      machine,
      events: () =>
        machine.trace().events.filter(({ sequence }) => sequence >= report.from && sequence < report.to),
      log: () => machine.look(dmesg),
    });
  }

  /**
   * Looks at the machine. One that stopped in the middle of something may not be fit to be looked at; one that runs and
   * has a list that leads outside its memory is damaged, and that is a finding.
   */
  #look<T>(stage: WalkStage, look: () => T, otherwise: T): T {
    try {
      return look();
    } catch (error) {
      if (this.#stopped === undefined) {
        if (!(error instanceof Error) || error.message !== OUTSIDE) throw error;
        this.#damage.add(`a list of the kernel leads outside its memory (seen after ${stage})`);
      }
      return otherwise;
    }
  }

  #faults(): FaultReport[] {
    const faults = this.#options.faults ?? [];
    const hits = this.#machine.look(() => faultHits(faults));
    return faults.map((fault, index) => ({ fault, hits: hits[index]! }));
  }
}
