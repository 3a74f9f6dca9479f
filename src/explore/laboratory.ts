/**
 * An executor with checkers: what it answers for a run holds what the scenario's own checks say, what the simulated kernel
 * says, and what the checkers read from the log. Searching, shrinking and replaying all go through this one.
 */
import { RunCheckers, type RunFacts } from '#checkers/check-run';
import { type Waiting, deadlockFinding } from '#checkers/deadlock';
import { livelockFinding } from '#checkers/livelock';
import type { TraceEvent } from '#trace/events';
import { OP_WORDS, OpFlag, OpWord, opActor, opFlags } from '#trace/operations';
import type { ScenarioExecutor } from '#machine/scenario-executor';
import type { Scenario, ScenarioSource } from '#machine/scenario';
import { FingerprintSet } from './fingerprint-set.ts';
import { fingerprintOf } from './fingerprint.ts';
import { SourceLines } from './source-lines.ts';
import { type StackAt, stacksOf } from './stacks.ts';
import { type Executor, type Plan, type RunFinding, type RunResult, RunStop } from './executor.ts';

export type RaceMeaning = 'fail' | 'report' | 'ignore';

/** Traces that are remembered: nine bytes each, in tables that are half full. */
const TRACES_MAX = 1_000_000;

/** Findings that say nothing about the schedule: the kernel goes on after them, and a search does too. */
const MERE_WARNINGS: ReadonlySet<string> = new Set(['warning']);

export class Laboratory implements Executor {
  readonly actors: number;
  readonly inner: ScenarioExecutor;
  readonly #checkers: RunCheckers;
  readonly #races: RaceMeaning;
  readonly #lines: SourceLines | undefined;
  readonly #seen = new Map<string, RunFinding>();
  /** Traces without a race: most runs of a long campaign are of a trace that has been there, and take no second look. */
  readonly #raceFree = new FingerprintSet(TRACES_MAX);
  readonly #looksForRaces: boolean;
  /** What the checkers are told of a run that came to its end, and of one that did not. */
  readonly #complete: { readonly anew: RunFacts; readonly again: RunFacts };
  readonly #cutShort: { readonly anew: RunFacts; readonly again: RunFacts };

  constructor(inner: ScenarioExecutor, scenario: Pick<Scenario, 'races' | 'leaks'>, source?: ScenarioSource) {
    const { names } = inner;
    const { races = 'fail' } = scenario;
    this.actors = inner.actors;
    this.inner = inner;
    this.#races = races;
    this.#lines = source === undefined ? undefined : new SourceLines(source);
    this.#looksForRaces = races !== 'ignore';
    const leaks = scenario.leaks === 'fail' ? { leaksFrom: 0 } : {};
    const facts = (complete: boolean): { anew: RunFacts; again: RunFacts } => ({
      anew: { complete, ...leaks },
      again: { complete, ...leaks, isRaceFree: true },
    });
    this.#complete = facts(true);
    this.#cutShort = facts(false);
    this.#checkers = new RunCheckers({ names, races: races !== 'ignore' });
  }

  /** Races and warnings that are told and are no failures, each once. */
  get reported(): readonly RunFinding[] {
    return [...this.#seen.values()];
  }

  run(plan: Plan): RunResult {
    return this.#checked(this.inner.run(plan));
  }

  /** As run, with all that views show. */
  trace(plan: Plan): { readonly result: RunResult; readonly events: TraceEvent[] } {
    const { result, events } = this.inner.trace(plan);
    return { result: this.#checked(result, stacksOf(result.log, this.inner.names.symbol)), events };
  }

  #checked(result: RunResult, stackAt?: StackAt): RunResult {
    if (result.stop === RunStop.COVERED || result.stop === RunStop.DIVERGED) return result;
    const { names } = this.inner;
    const said = stackAt === undefined ? this.#said(result) : this.#saidWithStacks(result, stackAt);
    let findings: RunFinding[] | undefined;
    const add = (finding: RunFinding): void => {
      findings ??= [];
      findings.push(finding);
    };
    for (const finding of result.findings) this.#judge(this.#readable(finding), add);
    for (const finding of said) this.#judge(finding, add);
    if (result.stop === RunStop.DEADLOCK)
      add(deadlockFinding(result.log, (result.waiting ?? []) as readonly Waiting[], { names }));
    if (result.stop === RunStop.STEP_LIMIT && isLivelock(result)) add(livelockFinding(result.log, { names }));
    return findings === undefined && result.findings.length === 0
      ? result
      : new Judged(result, findings ?? []);
  }

  #said(result: RunResult): readonly RunFinding[] {
    const facts = result.stop === RunStop.COMPLETE ? this.#complete : this.#cutShort;
    if (!this.#looksForRaces) return this.#checkers.onRun(result.log, facts.anew);
    const trace = fingerprintOf(result.log);
    if (this.#raceFree.has(trace)) return this.#checkers.onRun(result.log, facts.again);
    const said = this.#checkers.onRun(result.log, facts.anew);
    if (this.#checkers.racingPairs === 0) this.#raceFree.add(trace);
    return said;
  }

  #saidWithStacks(result: RunResult, stackAt: StackAt): readonly RunFinding[] {
    const facts = result.stop === RunStop.COMPLETE ? this.#complete : this.#cutShort;
    return this.#checkers.onRun(result.log, { ...facts.anew, stackAt });
  }

  /** With the stack of an exception as the scenario's author knows it. */
  #readable(finding: RunFinding): RunFinding {
    const { kind, detail } = finding;
    if (kind !== 'javascript-exception' || detail === undefined || this.#lines === undefined) return finding;
    return { ...finding, detail: this.#lines.readable(detail) };
  }

  #judge(finding: RunFinding, add: (finding: RunFinding) => void): void {
    const isTold =
      MERE_WARNINGS.has(finding.kind) || (finding.kind === 'data-race' && this.#races !== 'fail');
    if (!isTold) {
      add(finding);
      return;
    }
    const key = `${finding.kind} ${finding.title}`;
    if (!this.#seen.has(key)) this.#seen.set(key, finding);
  }
}

/** A result with other findings. */
class Judged implements RunResult {
  readonly findings: readonly RunFinding[];
  readonly #result: RunResult;

  constructor(result: RunResult, findings: readonly RunFinding[]) {
    this.#result = result;
    this.findings = findings;
  }

  get stop(): RunStop {
    return this.#result.stop;
  }

  get log(): RunResult['log'] {
    return this.#result.log;
  }

  get steps(): number {
    return this.#result.steps;
  }

  get switches(): number {
    return this.#result.switches;
  }

  get divergedAt(): number {
    return this.#result.divergedAt;
  }

  get sharedGrew(): boolean {
    return this.#result.sharedGrew;
  }

  get waiting(): RunResult['waiting'] {
    return this.#result.waiting;
  }

  get blocked(): RunResult['blocked'] {
    return this.#result.blocked;
  }

  get finalState(): string {
    return this.#result.finalState;
  }
}

/** Steps at the end of a run that was cut short in which every actor that can go must have gone, for a livelock. */
const FAIR_STEPS = 2_000;

/**
 * Whether a run that was cut short shows a livelock, and not just a scheduler that let one flow turn round for ever:
 * in its last steps every actor that was enabled made some.
 */
function isLivelock({ log }: RunResult): boolean {
  let enabledLow = 0;
  let enabledHigh = 0;
  let wentLow = 0;
  let wentHigh = 0;
  let steps = 0;
  for (let record = log.records - 1; record >= 0 && steps < FAIR_STEPS; record--) {
    const at = record * OP_WORDS;
    const head = log.words[at]!;
    if ((opFlags(head) & OpFlag.CONTINUES) !== 0) continue;
    steps++;
    const actor = opActor(head);
    if (actor < 32) wentLow |= 1 << actor;
    else wentHigh |= 1 << (actor - 32);
    enabledLow |= log.words[at + OpWord.ENABLED_LOW]!;
    enabledHigh |= log.words[at + OpWord.ENABLED_HIGH]!;
  }
  return (enabledLow & ~wentLow) === 0 && (enabledHigh & ~wentHigh) === 0;
}
