/** `smplab explore`: search a scenario, say what was found or what was covered. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type CampaignReport, type FailureFound, runCampaign } from '#explore/campaign';
import { compileScenario } from '#explore/compile';
import type { StrategyName } from '#explore/strategies';
import { type Paint, plain } from '#report/paint';
import type { Context } from './boot.ts';
import { ExitCode, UsageError } from './exit-code.ts';
import { diagram } from './run-views.ts';

export interface ExploreOptions {
  readonly strategy: StrategyName;
  readonly depth?: number;
  readonly runs?: number;
  readonly time?: number;
  readonly seed: number;
  readonly memoryModel?: 'sc' | 'tso';
  readonly maxSteps?: number;
  readonly shard?: { readonly index: number; readonly of: number };
  readonly keepGoing?: boolean;
  readonly json?: boolean;
}

/** Runs of a search by chance that nobody limited. */
const RUNS_DEFAULT = 10_000;
/** Exhaustive searches end by themselves; this is for those that would not. */
const RUNS_EXHAUSTIVE = 10_000_000;
const EXHAUSTIVE: ReadonlySet<string> = new Set(['dpor', 'preemptions', 'delays']);

/** Path of a scenario, as given; a token carries it. */
export function scenarioFile(name: string): string {
  const file = path.resolve(name);
  if (!existsSync(file)) throw new UsageError(`${name}: no such file; a scenario is a .ts or .js file`);
  return file;
}

function runsOf({ runs, strategy, time }: ExploreOptions): number {
  if (runs !== undefined) return runs;
  return EXHAUSTIVE.has(strategy) || time !== undefined ? RUNS_EXHAUSTIVE : RUNS_DEFAULT;
}

export async function explore(name: string, options: ExploreOptions, context: Context): Promise<ExitCode> {
  const { output, signal } = context;
  const source = await compileScenario(scenarioFile(name));
  const isTold = options.json !== true && process.stderr.isTTY;
  const report = await runCampaign(source, {
    name,
    strategy: options.strategy,
    depth: options.depth,
    seed: options.seed,
    runs: runsOf(options),
    seconds: options.time,
    memoryModel: options.memoryModel,
    stepsMax: options.maxSteps,
    shard: options.shard,
    keepGoing: options.keepGoing,
    signal,
    ...(isTold
      ? {
          onProgress: ({ runs, seconds, traces, failures }) => {
            const rate = Math.round(runs / Math.max(seconds, 0.001));
            process.stderr.write(
              `\r${runs} schedules, ${rate}/s, ${traces} distinct, ${failures} failures \u001B[K`,
            );
          },
        }
      : {}),
  });
  if (isTold) process.stderr.write('\r\u001B[K');
  const code = verdict(report);
  if (options.json === true) output.raw(`${JSON.stringify(document(report, options))}\n`);
  else output.lines(text(report, options, output.paint));
  return code;
}

function verdict({ failures, limit, statement }: CampaignReport): ExitCode {
  if (failures.length > 0) return ExitCode.MACHINE_FAILED;
  if (limit === 'interrupted') return ExitCode.INTERRUPTED;
  if (limit === 'steps') return ExitCode.INCONCLUSIVE;
  // An exhaustive search that did not come to its end has not answered.
  const wasExhaustive = statement.strategy === 'dpor' || 'bound' in statement.bounds;
  return wasExhaustive && !statement.complete ? ExitCode.INCONCLUSIVE : ExitCode.GOOD;
}

function failureJson({ kind, title, finding, foundAtRun, token, tokenLong, minimised, ...rest }: FailureFound): object {
  return {
    kind,
    title,
    token,
    tokenLong,
    foundAtRun,
    ...(finding.cpu === undefined ? {} : { cpu: finding.cpu }),
    stack: finding.stack ?? [],
    detail: finding.detail ?? '',
    minimised: {
      preemptions: minimised.cost.preemptions,
      switches: minimised.cost.switches,
      steps: minimised.cost.steps,
      minimal: minimised.minimal,
      diagram: rest.shown === undefined ? [] : diagram({ shown: rest.shown, explanation: rest.explanation, finding }, plain),
    },
    decisive: (rest.explanation?.decisive ?? []).map(({ first, second, outcome }) => ({
      first: first.index,
      second: second.index,
      outcome,
    })),
  };
}

export function document(report: CampaignReport, options: ExploreOptions): object {
  const { statement } = report;
  return {
    schema: 'smplab.explore/1',
    scenario: report.scenario,
    ok: report.failures.length === 0,
    strategy: options.strategy,
    seed: options.seed,
    memoryModel: report.memoryModel,
    cpus: report.cpus,
    runs: report.runs,
    steps: report.steps,
    switches: report.switches,
    distinctTraces: statement.traces,
    unseenShare: statement.unseenShare,
    complete: statement.complete && report.limit === undefined,
    limit: report.limit ?? null,
    bounds: statement.bounds,
    missed: statement.missed ?? [],
    failures: report.failures.map(failureJson),
    races: report.reported.filter(({ kind }) => kind === 'data-race').map(({ title, detail }) => ({ title, detail })),
    warnings: report.reported.filter(({ kind }) => kind !== 'data-race').map(({ kind, title }) => ({ kind, title })),
    seconds: report.seconds,
    schedulesPerSecond: report.runs / Math.max(report.seconds, 1e-9),
  };
}

function percent(share: number): string {
  return share < 0.001 ? share.toExponential(1) : `${(share * 100).toFixed(1)}%`;
}

/** What was covered, in words. */
function coverage({ statement, limit, runs }: CampaignReport): string[] {
  const lines = [`${runs} schedules, ${statement.traces} of them different in what they did`];
  if (statement.complete && limit === undefined) {
    const bounds = Object.entries(statement.bounds).map(([name, value]) => `${name} ${value}`);
    lines.push(`complete: every interleaving${bounds.length === 0 ? '' : ` within ${bounds.join(', ')}`} was covered`);
  } else {
    lines.push(`not complete: the next schedule is a new one with a chance of about ${percent(statement.unseenShare)}`);
  }
  for (const { depth, missedAtMost, runs: counted } of statement.missed ?? []) {
    if (missedAtMost < 1)
      lines.push(`a bug of depth ${depth} has been missed by ${counted} PCT schedules with a chance of at most ${percent(missedAtMost)}`);
  }
  if (limit !== undefined) lines.push(`stopped by: ${limit === 'steps' ? 'the step limit, in some schedules' : limit}`);
  return lines;
}

function text(report: CampaignReport, options: ExploreOptions, paint: Paint): string[] {
  const lines = [
    `${report.scenario}: ${report.cpus} CPUs, ${report.memoryModel}, strategy ${options.strategy}, seed ${options.seed}`,
    '',
  ];
  // What went wrong first, then the races that may be why.
  const isRace = ({ kind }: FailureFound): boolean => kind === 'data-race';
  const wrong = report.failures.filter((failure) => !isRace(failure));
  for (const failure of wrong) lines.push(...failureText(failure, paint));
  for (const failure of report.failures.filter(isRace)) {
    lines.push(...failureText(failure, paint, wrong.length === 0));
  }
  for (const { kind, title } of report.reported) lines.push(`reported, no failure here: ${kind}: ${title}`);
  lines.push(...coverage(report));
  lines.push(report.failures.length > 0 ? paint.bad(`${report.failures.length} found`) : paint.good('nothing found'));
  return lines;
}

function failureText(failure: FailureFound, paint: Paint, isDrawn = true): string[] {
  const { finding, minimised, shown, explanation } = failure;
  const { preemptions, switches, steps } = minimised.cost;
  const least = minimised.minimal ? ', the fewest possible' : '';
  const lines = [
    paint.bad(`${failure.kind}: ${failure.title}`),
    `found by schedule ${failure.foundAtRun}; smallest: ${preemptions} preemptions${least}, ${switches} switches, ${steps} steps`,
    '',
  ];
  if (shown !== undefined && isDrawn) lines.push(...diagram({ shown, explanation, finding }, paint), '');
  if (finding.detail !== undefined && finding.detail !== '') lines.push(...finding.detail.split('\n'), '');
  lines.push('again:', `  smplab replay ${failure.token}`, '');
  return lines;
}
