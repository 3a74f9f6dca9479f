/**
 * A campaign: many runs of one scenario, under one search, until it fails, until everything is covered, or until a budget
 * is spent; then what was found, made small and explained.
 */
import { SmplabError } from '#base/errors';
import { ScenarioExecutor } from '#machine/scenario-executor';
import type { ExecutorKind } from '#machine/runner';
import type { Fault } from '#machine/config';
import { type FaultPlan, faultText } from '#machine/fault-text';
import type { ScenarioSource } from '#machine/scenario';
import { policyNumber } from '#scheduler/policies';
import { DporSearch } from './dpor.ts';
import type { DporTask } from './dpor-task.ts';
import { type Executor, type Plan, type RunFinding, type RunResult, RunStop } from './executor.ts';
import { type Explanation, explain } from './explain.ts';
import { refuseFullHeap, watchLoops } from './heap-limit.ts';
import { identityOf } from './identity.ts';
import { Laboratory, type RaceMeaning } from './laboratory.ts';
import { pinToOneCore } from './pin.ts';
import { recordingOf, selfCheck } from './replay.ts';
import { segmentsOf } from './schedule.ts';
import type { Search, Statement } from './search.ts';
import { type Shrunk, boundedBelow, shrink } from './shrink.ts';
import { type StrategyOptions, isExhaustive, searchFor } from './strategies.ts';
import { type ShownRun, showRun } from './shown-run.ts';
import { encodeLongToken, tolerantSchedule } from './tolerant.ts';
import { encodeToken } from './token.ts';

export interface CampaignOptions extends StrategyOptions {
  /** How a token names the scenario. */
  readonly name: string;
  readonly memoryModel?: 'sc' | 'tso' | undefined;
  readonly stepsMax?: number | undefined;
  /** What a data race means, whatever the scenario says. */
  readonly races?: RaceMeaning | undefined;
  /** What goes wrong in every run, counted from its start; chance starts from the search's seed. */
  readonly faults?: readonly Fault[] | undefined;
  /**
   * Runs that making a failure small may take, and as many again for showing that it cannot be smaller.
   * 0: it is taken as it was met, and not explained.
   */
  readonly shrinkRuns?: number | undefined;
  /** So many preemptions are few enough: then no runs are spent on a smaller picture, nor on explaining it. */
  readonly shrinkTo?: number | undefined;
  /** Host seconds for searching; shrinking has its own limits. */
  readonly seconds?: number | undefined;
  /** Go on after the first failure. */
  readonly keepGoing?: boolean | undefined;
  /** What is looked for: the search goes on past every other failure. Default: whatever is no mere race. */
  readonly until?: ((finding: Pick<RunFinding, 'kind' | 'title'>) => boolean) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called a few times a second. */
  readonly onProgress?: ((progress: Progress) => void) | undefined;
  /** Strategy dpor: only this part of the search, as `beginBranches` gave it away. */
  readonly branch?: string | undefined;
  /** Milliseconds after which the event loop gets its turn, if others of this process are waiting for it. */
  readonly turnMs?: number | undefined;
  /** What CPUs run on. Default: fibers. */
  readonly executor?: ExecutorKind | undefined;
  /** Threads only: core to stay on, or undefined for any; false: do not pin. */
  readonly core?: number | false | undefined;
}

export interface Progress {
  readonly runs: number;
  readonly steps: number;
  readonly seconds: number;
  readonly traces: number;
  readonly failures: number;
  /** Exhaustive search: schedules there may be in all. */
  readonly estimate: number | undefined;
}

export interface FailureFound {
  readonly kind: string;
  readonly title: string;
  readonly finding: RunFinding;
  readonly foundAtRun: number;
  readonly token: string;
  /** The token with the names of its operations, for replay --tolerant. */
  readonly tokenLong: string;
  readonly shown: ShownRun | undefined;
  readonly minimised: Shrunk;
  readonly explanation: Explanation | undefined;
}

/** Why a campaign stopped before its answer. */
export type CampaignLimit = 'steps' | 'time' | 'interrupted' | undefined;

export interface CampaignReport {
  readonly scenario: string;
  readonly cpus: number;
  readonly memoryModel: 'sc' | 'tso';
  readonly statement: Statement;
  readonly runs: number;
  readonly steps: number;
  readonly switches: number;
  readonly failures: readonly FailureFound[];
  /** Races and warnings that are told and are no failures. */
  readonly reported: readonly RunFinding[];
  readonly limit: CampaignLimit;
  readonly seconds: number;
}

/** Failures a campaign that keeps going collects. */
const FAILURES_MAX = 16;
const PROGRESS_MS = 200;
/** Runs after which it is asked how full the heap is, which costs as much as half a run of a small scenario. */
const RUNS_PER_LOOK = 64;
const STAY = policyNumber('stay');

/** Searches one scenario. The executor's machine is off when this answers. */
export async function runCampaign(source: ScenarioSource, options: CampaignOptions): Promise<CampaignReport> {
  if (options.executor === 'threads' && options.core !== false) pinToOneCore(options.core);
  const executor = await createExecutor(source, options);
  try {
    return await new Campaign(executor, source, options).report();
  } finally {
    await executor.close();
  }
}

/** A branch as text, and the words its search takes as shared from the start. */
interface Branch {
  readonly task: DporTask;
  readonly shared: readonly number[];
}

/** Branches for each job: their sizes differ, and nobody knows them before. */
const BRANCHES_PER_JOB = 12;
/** Schedules that are made before the search is divided, for each job. */
const RUNS_BEFORE = 24;

/**
 * Begins an exhaustive search, and gives away what is left of it.
 * @returns what was covered here, and the branches; none if nothing was left, or enough was found
 */
export async function beginBranches(
  source: ScenarioSource,
  options: CampaignOptions,
  jobs: number,
): Promise<{ readonly report: CampaignReport; readonly branches: readonly string[] }> {
  if (options.executor === 'threads' && options.core !== false) pinToOneCore(options.core);
  const executor = await createExecutor(source, options);
  try {
    const search = new DporSearch({ runs: options.runs });
    const campaign = new Campaign(executor, source, options, search);
    await campaign.explore(RUNS_BEFORE * jobs);
    const branches: string[] = [];
    while (!campaign.hasEnough && branches.length < BRANCHES_PER_JOB * jobs) {
      const task = search.split();
      if (task === undefined) break;
      branches.push(JSON.stringify({ task, shared: executor.sharedWords } satisfies Branch));
    }
    // What could not be given away is explored here.
    return { report: await campaign.report(), branches };
  } finally {
    await executor.close();
  }
}

function faultPlan({ faults = [], seed }: CampaignOptions): FaultPlan | undefined {
  return faults.length === 0 ? undefined : { faults, seed };
}

/**
 * What is counted or drawn is counted by whoever comes first, and that is no operation that a search could turn round: a proof
 * would not be one.
 */
function refuseUnprovable({ faults = [], strategy }: CampaignOptions): void {
  if (!isExhaustive(strategy)) return;
  for (const fault of faults) {
    const { nth, probability, times, skip } = {
      probability: undefined,
      times: undefined,
      skip: undefined,
      ...fault,
    };
    if (nth === undefined && (probability ?? 1) >= 1 && times === undefined && skip === undefined) continue;
    throw new SmplabError(
      'SMPLAB_BAD_USAGE',
      `--fault ${faultText(fault)}: ${strategy} covers all interleavings, and takes faults that strike every time; the others are for random, pct, pos and portfolio`,
    );
  }
}

async function createExecutor(source: ScenarioSource, options: CampaignOptions): Promise<ScenarioExecutor> {
  refuseUnprovable(options);
  return ScenarioExecutor.create(source, {
    executor: options.executor,
    faults: faultPlan(options),
    ...(options.memoryModel === undefined ? {} : { memoryModel: options.memoryModel }),
    ...(options.stepsMax === undefined ? {} : { stepsMax: options.stepsMax }),
  });
}

function searchOf(executor: ScenarioExecutor, options: CampaignOptions): Search {
  if (options.branch === undefined) return searchFor(options);
  const { task, shared } = JSON.parse(options.branch) as Branch;
  executor.addSharedWords(shared);
  return DporSearch.from(task, { runs: options.runs });
}

class Campaign {
  readonly #executor: ScenarioExecutor;
  readonly #lab: Laboratory;
  readonly #source: ScenarioSource;
  readonly #options: CampaignOptions;
  readonly #search: Search;
  readonly #failures: FailureFound[] = [];
  readonly #known = new Set<string>();
  readonly #began = performance.now();
  #runs = 0;
  #steps = 0;
  #switches = 0;
  #cutShort = 0;
  #lost = false;

  constructor(
    executor: ScenarioExecutor,
    source: ScenarioSource,
    options: CampaignOptions,
    search: Search = searchOf(executor, options),
  ) {
    const { scenario } = executor.loaded;
    this.#executor = executor;
    const { races } = options;
    this.#lab = new Laboratory(executor, races === undefined ? scenario : { ...scenario, races }, source);
    this.#source = source;
    this.#options = options;
    this.#search = search;
    watchLoops();
  }

  async report(): Promise<CampaignReport> {
    const limit = await this.explore();
    const searched = this.#seconds();
    // A check that fails without anything shared fails in every order: mostly what it reads is on no CPU's heap but the host's.
    const isOnlyChecked = this.#failures.every(
      ({ kind, finding }) => kind === 'check' && finding.cpu === undefined,
    );
    if (isOnlyChecked && limit === undefined && !this.#executor.hasShared) {
      throw new SmplabError(
        'SMPLAB_BAD_SCENARIO',
        `${this.#options.name}: no two flows ever used the same memory, so there is nothing to interleave; keep what they share in shared()`,
      );
    }
    const { scenario } = this.#executor.loaded;
    return {
      scenario: this.#options.name,
      cpus: scenario.cpus,
      memoryModel: this.#model(),
      statement: this.#search.statement(),
      runs: this.#runs,
      steps: this.#steps,
      switches: this.#switches,
      failures: this.#failures,
      reported: this.#lab.reported,
      limit,
      seconds: searched,
    };
  }

  #model(): 'sc' | 'tso' {
    return this.#options.memoryModel ?? this.#executor.loaded.scenario.memoryModel ?? 'sc';
  }

  #seconds(): number {
    return (performance.now() - this.#began) / 1000;
  }

  /** Found what it was looking for, or can find no more. */
  get hasEnough(): boolean {
    // A race says that something is wrong, not yet what comes of it: the search goes on to see.
    const { until = ({ kind }) => kind !== 'data-race' } = this.#options;
    const isFound = this.#failures.some(until);
    return (
      this.#lost || this.#failures.length >= FAILURES_MAX || (this.#options.keepGoing !== true && isFound)
    );
  }

  /** Searches on, until it is enough, nothing is left, or a limit is met. @param runsMax pause after so many runs */
  async explore(runsMax = Infinity): Promise<CampaignLimit> {
    const { seconds, signal, turnMs = PROGRESS_MS } = this.#options;
    let shown = performance.now();
    let turned = shown;
    if (this.hasEnough) return undefined;
    for (let plan = this.#search.next(); plan !== undefined; plan = this.#search.next()) {
      const result = this.#lab.run(plan);
      this.#runs++;
      this.#steps += result.steps;
      this.#switches += result.switches;
      if (result.stop === RunStop.STEP_LIMIT) this.#cutShort++;
      this.#search.observe(result);
      if (this.#runs % RUNS_PER_LOOK === 0 || result.findings.length > 0) refuseFullHeap();
      if (result.findings.length > 0) {
        this.#failed(result);
        if (this.hasEnough) break;
      }
      if (isSampled(this.#runs)) this.#checkSelf(plan);
      if (this.#runs >= runsMax) return undefined;
      const now = performance.now();
      if (now - turned < turnMs) continue;
      turned = now;
      if (now - shown >= PROGRESS_MS) {
        shown = now;
        this.#tell();
      }
      // The event loop gets its turn: Ctrl-C, and threads that have died.
      await new Promise((resolve) => setImmediate(resolve));
      if (signal?.aborted === true) return 'interrupted';
      if (seconds !== undefined && this.#seconds() >= seconds) return 'time';
    }
    return this.#failures.length === 0 && this.#cutShort > 0 ? 'steps' : undefined;
  }

  #tell(): void {
    this.#options.onProgress?.({
      runs: this.#runs,
      steps: this.#steps,
      seconds: this.#seconds(),
      traces: this.#search.statement().traces,
      failures: this.#failures.length,
      estimate: this.#search.statement().bounds['estimate'],
    });
  }

  /** Keeps the failures of a run that are new: shrunk, explained, and under a token. */
  #failed(result: RunResult): void {
    const prefix = segmentsOf(result.log);
    const run = this.#runs;
    for (const finding of result.findings) {
      const key = `${finding.kind} ${finding.title}`;
      if (this.#known.has(key)) continue;
      this.#known.add(key);
      if (finding.kind === 'no-progress') {
        this.#lost = true;
        this.#failures.push(this.#unshrunk(finding, prefix, run, result));
        return;
      }
      const isWanted = this.#options.shrinkRuns !== 0;
      this.#failures.push(
        isWanted ? this.#shrunk(finding, prefix, run) : this.#unshrunk(finding, prefix, run, result),
      );
    }
  }

  #shrunk(finding: RunFinding, prefix: Plan['prefix'], run: number): FailureFound {
    const executor: Executor = this.#lab;
    const failure = { kind: finding.kind, title: finding.title };
    const plan: Plan = { prefix, policy: STAY, seed: 1 };
    const minimised = shrink(executor, plan, failure, {
      stay: STAY,
      enough: this.#options.shrinkTo,
      searchBelow: boundedBelow(executor, failure),
      ...(this.#options.shrinkRuns === undefined
        ? {}
        : { runsMax: this.#options.shrinkRuns, searchRunsMax: this.#options.shrinkRuns }),
    });
    if (minimised === undefined) throw this.#unsteady(plan, `${finding.title} does not happen again`);
    const isDrawn = this.#options.shrinkTo === undefined;
    const explanation = isDrawn ? explain(executor, minimised.schedule, failure, { stay: STAY }) : undefined;
    const again = executor.run({ prefix: minimised.schedule, policy: STAY, seed: 1 });
    const tokens = this.#tokens(again);
    const shown = showRun(this.#lab, minimised.schedule);
    // The recorded run knows whole stacks.
    const same = shown.findings.find((one) => one.kind === finding.kind && one.title === finding.title);
    return {
      ...failure,
      finding: same ?? finding,
      foundAtRun: run,
      ...tokens,
      minimised,
      explanation,
      shown,
    };
  }

  #unshrunk(finding: RunFinding, prefix: Plan['prefix'], run: number, result: RunResult): FailureFound {
    const cost = { preemptions: 0, switches: result.switches, steps: result.steps };
    return {
      kind: finding.kind,
      title: finding.title,
      finding,
      foundAtRun: run,
      ...this.#tokens(result),
      shown: undefined,
      minimised: { schedule: prefix, cost, minimal: false, runs: 0 },
      explanation: undefined,
    };
  }

  #tokens(result: RunResult): Pick<FailureFound, 'token' | 'tokenLong'> {
    const identity = identityOf(this.#executor, this.#source, this.#options.name, {
      memoryModel: this.#model(),
      stepsMax: this.#options.stepsMax,
      faults: faultPlan(this.#options),
    });
    const token = { ...identity, ...recordingOf(result.log) };
    const names = tolerantSchedule(result.log, this.#executor.names);
    return { token: encodeToken(token), tokenLong: encodeLongToken(token, names) };
  }

  /** Two runs of one schedule have to be the same: for a sample of runs, that is looked at. */
  #checkSelf(plan: Plan): void {
    const unsteady = selfCheck(this.#executor, plan, this.#executor.names);
    if (unsteady !== undefined) throw unsteadyError(this.#options.name, unsteady.message);
  }

  #unsteady(plan: Plan, what: string): SmplabError {
    const unsteady = selfCheck(this.#executor, plan, this.#executor.names);
    return unsteadyError(this.#options.name, unsteady?.message ?? what);
  }
}

function unsteadyError(name: string, message: string): SmplabError {
  return new SmplabError(
    'SMPLAB_BAD_SCENARIO',
    `${name} does not do the same in two runs of one schedule: ${message}`,
  );
}

/** The second run, and then ever fewer: enough to notice, too few to be felt. */
function isSampled(run: number): boolean {
  return run === 2 || (run & (run - 1)) === 0;
}
