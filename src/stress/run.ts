/**
 * A stress run: callers make a machine's kernel do things, on real threads, until there were enough; every few seconds the machine
 * stands still and everything is counted.
 *
 * The host asks for a chunk of operations at a time, so that a task ends every few milliseconds and its CPU is free for others (a
 * task keeps its CPU: docs/limits.md). Requests for what the kernel serialises go through a queue of their own and start in
 * order; everything else goes off at once.
 */
import PQueue from 'p-queue';
import { SmplabError } from '#base/errors';
import { seedState, xorshift32 } from '#base/prng';
import { TraceMask } from '#memory/layout';
import { TORTURE_CALLERS_MAX } from '#kernel/torture/smptorture';
import { type CallOutcome, Machine } from '#machine/machine';
import { type ScenarioSource, loadScenario } from '#scenario/program';
import { Watchdog } from '#machine/watchdog';
import type { StressReport } from '#report/stress-report';
import { countOps } from './counters.ts';
import { HostClock } from '#machine/host-clock';
import { Run } from './account.ts';
import type { StressConfig } from './config.ts';
import { Quiet, isDone } from './quiet.ts';
import { type Plan, ROLE_CALLS, type Role, planOf } from './workloads.ts';

/** A chunk takes about so long. */
const CHUNK_MS = 25;
const CHUNK_OPS_MAX = 5_000;
const PROGRESS_MS = 250;
/** Host seconds from one quiet point to the next. */
const QUIET_SECONDS = 5;
/** How long KVM stays loaded in a mixed run, at most. */
const HOLD_MS = 250;
/** Longest a call may take: what hangs is found by the watchdogs, not by this. */
const CALL_TIMEOUT_MS = 0x7fffffff;
const TRACE_EVENTS_DEFAULT = 256;
/** A campaign that runs for hours gives way to everything else on its host. */
const START_TIMEOUT_MS = 180_000;
/** Seconds without a single operation, the host's slowness taken off, after which the machine is given up. */
const GIVE_UP_SECONDS = 90;
/** Host milliseconds a run that is interrupted gets to come to its end: less than the command waits (cli/main.ts). */
const INTERRUPTED_MS = 1_500;

/** The kernel functions that a scenario replaces. @throws SmplabError SMPLAB_BAD_SCENARIO */
export function patchNames(source: ScenarioSource): string[] {
  const loaded = loadScenario(source);
  loaded.unload();
  return Object.keys(loaded.scenario.patches ?? {}).toSorted();
}

/**
 * Runs until there were enough operations, enough seconds, or the machine has come to an end. What the simulated machine does is
 * in the report.
 * @throws SmplabError for a configuration that is unusable, or a host that fails
 */
export async function runStress(config: StressConfig): Promise<StressReport> {
  const loaded = config.patches === undefined ? undefined : loadScenario(config.patches.source);
  try {
    const run = new Run(config);
    const { onProgress } = config;
    // Not the machine's business: one that lives for a fraction of a second would never come to it.
    const progress = setInterval(() => onProgress?.(run.progress()), PROGRESS_MS);
    progress.unref();
    const torments = (async (): Promise<void> => {
      while (!run.isOver) await new Torment(config, run).run();
    })();
    try {
      if (!(await endsInTime(torments, config.signal))) run.freeze();
    } finally {
      clearInterval(progress);
    }
    return run.report();
  } finally {
    loaded?.unload();
  }
}

/** True when it has ended; false if it goes on although somebody has interrupted it. */
async function endsInTime(torments: Promise<void>, signal: AbortSignal | undefined): Promise<boolean> {
  if (signal === undefined) return torments.then(() => true);
  let timer: NodeJS.Timeout | undefined;
  let tooLate = (): void => {};
  const late = new Promise<boolean>((resolve) => {
    tooLate = (): void => {
      timer = setTimeout(() => {
        resolve(false);
      }, INTERRUPTED_MS);
    };
  });
  if (signal.aborted) tooLate();
  else signal.addEventListener('abort', tooLate, { once: true });
  try {
    return await Promise.race([torments.then(() => true), late]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', tooLate);
    // Nobody waits for its end any more.
    torments.catch(() => {});
  }
}

/** One machine, from power-on to power-off. */
class Torment {
  readonly #config: StressConfig;
  readonly #run: Run;
  readonly #plan: Plan;
  readonly #clock = new HostClock(PROGRESS_MS);
  /** For roles whose work the kernel does one at a time. */
  readonly #serial: PQueue;
  readonly #parallel: PQueue;
  readonly #chunks = new Map<Role, number>();
  #machine!: Machine;
  #quiet: Quiet | undefined;
  #watchdog: Watchdog | undefined;
  #progress = { ops: 0, fairMs: 0 };
  #random: number;
  #inFlight = 0;

  constructor(config: StressConfig, run: Run) {
    this.#config = config;
    this.#run = run;
    this.#plan = planOf(config.workload, config.cpus, config.callers);
    const roles = this.#plan.roles.filter((role) => role === 'onoff').length;
    this.#serial = new PQueue({ concurrency: Math.max(roles, 1) });
    this.#parallel = new PQueue({ concurrency: this.#plan.roles.length });
    this.#random = seedState(config.seed ^ Math.imul(run.machines + 1, 0x85ebca6b));
  }

  async run(): Promise<void> {
    const { config, traceEvents } = {
      config: this.#config,
      traceEvents: this.#config.traceEvents ?? TRACE_EVENTS_DEFAULT,
    };
    this.#machine = await Machine.powerOn(
      {
        cpus: config.cpus,
        vendor: config.vendor,
        callTimeoutMs: CALL_TIMEOUT_MS,
        seed: config.seed,
        pages: 2_048 + 32 * config.cpus,
        trace: traceEvents === 0 ? 0 : TraceMask.HARDWARE,
        ...(traceEvents === 0 ? {} : { traceEventsMax: traceEvents }),
      },
      {
        startTimeoutMs: START_TIMEOUT_MS,
        ...(config.pool === undefined ? {} : { pool: config.pool }),
        ...(config.patches === undefined ? {} : { scenario: config.patches.source }),
      },
    );
    this.#run.machineOn(this.#machine, this.#clock);
    this.#watchdog = new Watchdog(this.#machine);
    const timer = setInterval(() => {
      this.#tick();
    }, PROGRESS_MS);
    try {
      await this.#torment();
    } catch (error) {
      if (!(error instanceof SmplabError) || error.code !== 'SMPLAB_MACHINE_OFF') throw error;
    } finally {
      clearInterval(timer);
      this.#quiet?.stop();
      this.#run.machineOff(this.#machine, this.#clock);
      await this.#machine.powerOff();
    }
  }

  async #torment(): Promise<void> {
    const machine = this.#machine;
    const { seed } = this.#config;
    this.#quiet = new Quiet(machine, this.#run, () => this.#inFlight, [this.#serial, this.#parallel]);
    if (!(await this.#quiet.prepare(seed, this.#plan.loaded))) return;
    machine.injectFaults(this.#run.faults.next, seed ^ this.#run.machines);
    this.#run.begin();
    const callers = this.#plan.roles.map((role, slot) => this.#caller(role, slot % TORTURE_CALLERS_MAX));
    const quiet = this.#quietPoints();
    await Promise.all(callers);
    await quiet;
    if (this.#run.mayClose) await this.#quiet.close(this.#plan.loaded);
  }

  /** Stands the machine still from time to time. */
  async #quietPoints(): Promise<void> {
    let next = performance.now() + QUIET_SECONDS * 1_000;
    while (!this.#over) {
      await pause(50);
      if (performance.now() < next && !this.#quiet!.isWanted) continue;
      await this.#quiet!.point(this.#plan.loaded);
      next = performance.now() + QUIET_SECONDS * 1_000;
    }
  }

  get #over(): boolean {
    return this.#run.isOver || this.#run.wantsMachine;
  }

  async #caller(role: Role, slot: number): Promise<void> {
    const queue = role === 'onoff' ? this.#serial : this.#parallel;
    while (!this.#over) {
      await queue.add(() => this.#turn(role, slot));
    }
    this.#quiet?.letGo();
  }

  async #turn(role: Role, slot: number): Promise<void> {
    if (this.#over) return;
    if (role === 'hold') {
      await this.#hold();
      return;
    }
    const wanted = this.#run.takeOps(this.#chunks.get(role) ?? 1, role);
    if (wanted === 0) {
      // What is left, others have taken: it is not made yet, and there may be some left over.
      await pause(CHUNK_MS);
      return;
    }
    const begin = performance.now();
    const outcome = await this.#call(ROLE_CALLS[role], [slot, wanted, this.#config.cpus]);
    this.#run.giveOps(wanted, role);
    const made = outcome?.kind === 'returned' ? outcome.value : wanted;
    const each = (performance.now() - begin) / Math.max(made, 1);
    this.#chunks.set(role, Math.max(1, Math.min(CHUNK_OPS_MAX, Math.round(CHUNK_MS / each))));
  }

  /** Loads KVM, and unloads it a while later. */
  async #hold(): Promise<void> {
    const wanted = this.#run.takeOps(2, 'hold');
    if (wanted === 0) {
      await pause(CHUNK_MS);
      return;
    }
    await this.#call('load_torture_half', [0]);
    await pause(this.#draw(HOLD_MS));
    await this.#call('load_torture_half', [1]);
    this.#run.giveOps(wanted, 'hold');
  }

  /** A system call on any CPU that is online. Undefined: there is no machine any more. */
  async #call(symbol: string, args: readonly number[]): Promise<CallOutcome | undefined> {
    const cpu = this.#draw(this.#config.cpus);
    this.#inFlight += 1;
    try {
      const outcome = await this.#machine.call(symbol, { cpu, args, elsewhere: true });
      this.#run.outcome(outcome, symbol, this.#machine);
      return outcome;
    } catch (error) {
      if (isDone(error)) return undefined;
      throw error;
    } finally {
      this.#inFlight -= 1;
    }
  }

  #draw(below: number): number {
    this.#random = xorshift32(this.#random);
    return this.#random % below;
  }

  #tick(): void {
    const fairMs = this.#clock.tick();
    this.#run.sample(this.#machine, this.#clock);
    this.#run.barks(this.#watchdog!.look(fairMs), this.#machine);
    if (!this.#run.hasEnded) this.#run.takeReports(this.#machine);
    const ops = countOps(this.#machine);
    if (ops !== this.#progress.ops) this.#progress = { ops, fairMs: this.#clock.fairMs };
    else if (this.#clock.fairMs - this.#progress.fairMs > GIVE_UP_SECONDS * 1_000) {
      this.#run.giveUp(this.#machine);
      // Calls that will never end are answered by that.
      void this.#machine.powerOff();
    }
    if (this.#run.isOver) this.#quiet?.letGo();
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}
