/**
 * Every checker over the log of one run. Two ways to use it: `onRun` after each run of a search, which allocates nothing
 * where nothing is wrong; and once more for the run that failed, replayed with everything recorded: then with
 * `stackAt`, and `explainRaces` for its races as typed objects.
 */
import type { OperationLog } from '#trace/operations';
import { type Finding, NO_FINDINGS, type Names, type StackAt } from './finding.ts';
import { lifetimeFinding } from './lifetime-report.ts';
import { LifetimeChecker } from './lifetime.ts';
import { Lockdep } from './lockdep.ts';
import { RaceMemo } from './race-memo.ts';
import { type RaceReport, describeRace, raceLines } from './race-report.ts';
import { RaceDetector, type RaceOptions } from './races.ts';

export interface CheckOptions {
  readonly names: Names;
  /** Class of the lock at an address; its variable's name unless said otherwise. */
  readonly classOf?: (address: number) => string;
  /** Which checks to make; each is on unless it is false. */
  readonly races?: boolean | RaceOptions;
  readonly locks?: boolean;
  readonly lifetime?: boolean;
  /** Races that are meant: a race is dropped if this says so. Asked once for each race of a campaign. */
  readonly isMeant?: (race: RaceReport) => boolean;
}

export interface RunFacts {
  /** Every flow came to its end: locks still held then, and memory in `leaksFrom`, are defects. */
  readonly complete: boolean;
  /** What is allocated from this record on has to be freed by the end of the run. Undefined: leaks are not looked for. */
  readonly leaksFrom?: number;
  readonly stackAt?: StackAt;
  /** A run of the same trace has been read for races, and had none: what orders is the same in both. */
  readonly isRaceFree?: boolean;
}

/** A race seen before: its finding, or undefined if it is meant. */
interface KnownRace {
  readonly finding: Finding | undefined;
}

/** The checkers of one campaign. */
export class RunCheckers {
  readonly #names: Names;
  readonly #isMeant: ((race: RaceReport) => boolean) | undefined;
  readonly #races: RaceDetector | undefined;
  readonly #lockdep: Lockdep | undefined;
  readonly #lifetime: LifetimeChecker | undefined;
  /** Over all runs: by what the records hold, and by name. */
  readonly #memo = new RaceMemo<KnownRace>();
  readonly #racesByIdentity = new Map<string, KnownRace>();

  constructor(options: CheckOptions) {
    const { names, races = true } = options;
    this.#names = names;
    this.#isMeant = options.isMeant;
    if (races !== false) this.#races = new RaceDetector(races === true ? {} : races);
    if (options.locks !== false) {
      this.#lockdep = new Lockdep({ names, classOf: options.classOf ?? ((lock) => names.variable(lock)) });
    }
    if (options.lifetime !== false) this.#lifetime = new LifetimeChecker();
  }

  /** Racing pairs of the last run that was read for races. */
  get racingPairs(): number {
    return this.#races?.count ?? 0;
  }

  /** Distinct races of the campaign so far. */
  get racesSeen(): number {
    return this.#racesByIdentity.size;
  }

  /**
   * What is wrong with a run, the same defect once. Known defects are told again for each run that has them, because
   * shrinking and replay ask whether a run still fails. The text of a race is made when it is first seen.
   */
  onRun(log: OperationLog, facts: RunFacts): readonly Finding[] {
    let findings: Finding[] | undefined;
    const isReadForRaces = this.#races !== undefined && facts.isRaceFree !== true;
    if (isReadForRaces && this.#races.scan(log) > 0) findings = this.#raceFindings(log, facts);
    // Locks, allocations and tasks: of a run that tells of none there is nothing more to be said.
    if (log.hasFacts === false) return findings ?? NO_FINDINGS;
    if (this.#lockdep !== undefined) {
      findings = joined(findings, this.#lockdep.onRun(log, facts.complete, facts.stackAt));
    }
    if (this.#lifetime !== undefined) findings = joined(findings, this.#lifetimeFindings(log, facts));
    return findings ?? NO_FINDINGS;
  }

  #raceFindings(log: OperationLog, facts: RunFacts): Finding[] | undefined {
    const { pairs, count } = this.#races!;
    let findings: Finding[] | undefined;
    for (let pair = 0; pair < count; pair++) {
      const { finding } = this.#knownRace(log, pairs[pair * 2]!, pairs[pair * 2 + 1]!, facts);
      if (finding !== undefined) findings = joined(findings, [finding]);
    }
    return findings;
  }

  #knownRace(log: OperationLog, earlier: number, later: number, { stackAt }: RunFacts): KnownRace {
    // With stacks there is more to say than was said before.
    const known = stackAt === undefined ? this.#memo.get(log, earlier, later) : undefined;
    if (known !== undefined) return known;
    const report = describeRace(log, earlier, later, { names: this.#names, stackAt });
    let made = this.#racesByIdentity.get(report.identity);
    if (made === undefined || stackAt !== undefined) {
      made = { finding: this.#isMeant?.(report) === true ? undefined : raceFinding(report) };
      this.#racesByIdentity.set(report.identity, made);
    }
    this.#memo.set(log, earlier, later, made);
    return made;
  }

  #lifetimeFindings(log: OperationLog, facts: RunFacts): readonly Finding[] {
    const defects = this.#lifetime!.scan(log, facts.complete ? facts.leaksFrom : undefined);
    if (defects.length === 0) return NO_FINDINGS;
    const around = { names: this.#names, stackAt: facts.stackAt };
    return defects.map((defect) => lifetimeFinding(log, defect, around));
  }

  /** The races of a run as typed reports with stacks: for the replay of a failure. */
  explainRaces(log: OperationLog, stackAt?: StackAt): RaceReport[] {
    const reports: RaceReport[] = [];
    if (this.#races === undefined) return reports;
    const count = this.#races.scan(log);
    for (let pair = 0; pair < count; pair++) {
      const [earlier, later] = this.#races.pairs.subarray(pair * 2, pair * 2 + 2);
      reports.push(describeRace(log, earlier!, later!, { names: this.#names, stackAt }));
    }
    return reports;
  }
}

function raceFinding(report: RaceReport): Finding {
  return {
    kind: 'data-race',
    title: report.title,
    cpu: report.b.cpu,
    stack: report.b.stack,
    detail: raceLines(report).join('\n'),
  };
}

/** Adds what is new by title; undefined stays undefined where there is nothing. */
function joined(to: Finding[] | undefined, more: readonly Finding[]): Finding[] | undefined {
  if (more.length === 0) return to;
  const all = to ?? [];
  for (const finding of more) {
    if (!all.some((known) => known.kind === finding.kind && known.title === finding.title)) all.push(finding);
  }
  return all;
}
