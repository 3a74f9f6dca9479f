/** `smplab explore`: search a scenario, say what was found or what was covered. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type CampaignOptions, type CampaignReport, beginBranches, runCampaign } from '#explore/campaign';
import { compileScenario } from '#explore/compile';
import { diagram } from '#explore/failure-text';
import { expectedOf, galleryScenario } from '#explore/gallery';
import { type StrategyName, isExhaustive, runsAtMost } from '#explore/strategies';
import type { Fault } from '#machine/config';
import { faultText } from '#machine/fault-text';
import type { ExecutorKind } from '#machine/runner';
import type { ScenarioSource } from '#machine/scenario';
import type { Context } from './boot.ts';
import { ExitCode, UsageError } from './exit-code.ts';
import { type ExploreDocument, exploreDocument, mergeDocuments } from './explore-document.ts';
import { type PartOptions, processWorkers, runBranches, runShards, threadWorkers } from './explore-jobs.ts';
import { exploreText } from './explore-text.ts';
import { JobPool } from './job-pool.ts';
import { checkFaults } from './parse.ts';

export interface ExploreOptions {
  readonly strategy: StrategyName;
  readonly depth?: number;
  readonly runs?: number;
  readonly time?: number;
  readonly seed: number;
  readonly memoryModel?: 'sc' | 'tso';
  readonly maxSteps?: number;
  readonly fault?: readonly Fault[];
  readonly jobs: number;
  readonly shard?: { readonly index: number; readonly of: number };
  readonly keepGoing?: boolean;
  readonly executor: ExecutorKind;
  readonly json?: boolean;
  /** Of one of several jobs: the core to stay on, and the part of an exhaustive search. */
  readonly core?: number;
  readonly branch?: string;
}

/** Where a scenario is that was named by its path or its id in the gallery; a token carries the name. */
export function scenarioFile(name: string): string {
  const file = path.resolve(name);
  const entry = galleryScenario(name);
  if (entry !== undefined) return entry;
  if (!existsSync(file))
    throw new UsageError(
      `${name}: no such file; a scenario is a .ts or .js file, or an id of smplab gallery list`,
    );
  return file;
}

function branchOf({ branch }: ExploreOptions): string | undefined {
  if (branch === undefined) return undefined;
  try {
    return readFileSync(branch, 'utf8');
  } catch {
    throw new UsageError(`--branch ${branch}: cannot be read`);
  }
}

function campaignOptions(name: string, options: ExploreOptions, context: Context): CampaignOptions {
  const isTold = options.json !== true && process.stderr.isTTY;
  return {
    name,
    strategy: options.strategy,
    depth: options.depth,
    seed: options.seed,
    runs: runsAtMost(options.strategy, options.runs, options.time),
    seconds: options.time,
    memoryModel: options.memoryModel,
    stepsMax: options.maxSteps,
    faults: options.fault,
    shard: options.shard,
    keepGoing: options.keepGoing,
    until: expectedOf(name),
    signal: context.signal,
    core: options.core,
    executor: options.executor,
    branch: branchOf(options),
    ...(isTold ? { onProgress: progressLine } : {}),
  };
}

const progressLine: CampaignOptions['onProgress'] = ({ runs, seconds, traces, failures, estimate }) => {
  const rate = Math.round(runs / Math.max(seconds, 0.001));
  const ofAll = estimate === undefined ? '' : ` of about ${estimate}`;
  process.stderr.write(
    `\r${runs}${ofAll} schedules, ${rate}/s, ${traces} distinct, ${failures} failures \u001B[K`,
  );
};

export async function explore(name: string, options: ExploreOptions, context: Context): Promise<ExitCode> {
  const { output, signal } = context;
  if (options.shard !== undefined && isExhaustive(options.strategy)) {
    throw new UsageError(
      `--shard: ${options.strategy} is not searched in shards, each would search it all; dpor takes --jobs`,
    );
  }
  checkFaults(options.fault ?? []);
  const file = scenarioFile(name);
  let report: CampaignReport | undefined;
  let document: ExploreDocument;
  if (options.jobs > 1 && options.shard === undefined) {
    document = await inJobs(file, name, options, context);
  } else {
    const source = await compileScenario(file, options.executor);
    report = await runCampaign(source, campaignOptions(name, options, context));
    document = exploreDocument(report, { ...options, faults: options.fault });
  }
  if (options.json !== true && process.stderr.isTTY) process.stderr.write('\r\u001B[K');
  if (options.json === true) output.raw(`${JSON.stringify(document)}\n`);
  else {
    const lines = exploreText(document, output.paint, ({ kind, title, minimised }) => {
      const found = report?.failures.find((one) => one.kind === kind && one.title === title);
      if (found?.shown === undefined) return minimised.diagram;
      return diagram(
        { shown: found.shown, explanation: found.explanation, finding: found.finding },
        output.paint,
      );
    });
    output.lines(lines);
  }
  return verdict(document, signal.aborted);
}

/** Several threads or processes; this one only divides the work and puts the answers together. */
async function inJobs(
  file: string,
  name: string,
  options: ExploreOptions,
  context: Context,
): Promise<ExploreDocument> {
  if (isExhaustive(options.strategy) && options.strategy !== 'dpor') {
    throw new UsageError(
      `--jobs ${options.jobs}: ${options.strategy} is searched by one process; dpor can be divided`,
    );
  }
  // A part by chance is as good as any other, and this thread has nothing else to do. Branches come and go.
  const takesPart = !isExhaustive(options.strategy);
  // The threads start while the scenario is being compiled.
  const pool =
    options.executor === 'threads' ? undefined : new JobPool(takesPart ? options.jobs - 1 : options.jobs);
  try {
    const source = await compileScenario(file, options.executor);
    const until =
      expectedOf(name) ?? (({ kind }: { readonly kind: string }): boolean => kind !== 'data-race');
    const {
      signal: _,
      onProgress: _told,
      until: _until,
      ...campaign
    } = campaignOptions(name, options, context);
    const parts: PartOptions = {
      workers:
        pool === undefined
          ? processWorkers([name, ...partArguments(options)])
          : threadWorkers(pool, source, campaign, takesPart),
      jobs: options.jobs,
      isEnough: ({ failures }) => options.keepGoing !== true && failures.some(until),
      signal: context.signal,
    };
    return await inParts(source, name, options, context, parts);
  } finally {
    await pool?.close();
  }
}

async function inParts(
  source: ScenarioSource,
  name: string,
  options: ExploreOptions,
  context: Context,
  parts: PartOptions,
): Promise<ExploreDocument> {
  if (options.strategy === 'dpor') {
    const begun = await beginBranches(source, campaignOptions(name, options, context), options.jobs);
    const first = exploreDocument(begun.report, { ...options, faults: options.fault });
    if (begun.branches.length === 0 || parts.isEnough(first)) return first;
    return mergeDocuments([first, ...(await runBranches(begun.branches, parts))], true);
  }
  const documents = await runShards(parts);
  if (documents.length === 0) throw new UsageError('interrupted before anything was known');
  return mergeDocuments(documents, false);
}

function partArguments(options: ExploreOptions): string[] {
  const given: [string, string | number | undefined][] = [
    ['--strategy', options.strategy],
    ['--depth', options.depth],
    ['--runs', options.runs],
    ['--time', options.time],
    ['--seed', options.seed],
    ['--memory-model', options.memoryModel],
    ['--max-steps', options.maxSteps],
    ['--executor', options.executor],
    ...(options.fault ?? []).map((fault): [string, string] => ['--fault', faultText(fault)]),
  ];
  const all = given.flatMap(([option, value]) => (value === undefined ? [] : [option, String(value)]));
  return options.keepGoing === true ? [...all, '--keep-going'] : all;
}

function verdict({ failures, limit, strategy, complete }: ExploreDocument, interrupted: boolean): ExitCode {
  // Ctrl-C is told as such, but for what had been found by then.
  if (failures.length > 0) return ExitCode.MACHINE_FAILED;
  if (interrupted || limit === 'interrupted') return ExitCode.INTERRUPTED;
  if (limit === 'steps') return ExitCode.INCONCLUSIVE;
  // An exhaustive search that did not come to its end has not answered.
  return isExhaustive(strategy) && !complete ? ExitCode.INCONCLUSIVE : ExitCode.GOOD;
}
