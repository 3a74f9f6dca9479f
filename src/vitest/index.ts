/**
 * `smplab/vitest`: scenarios as tests.
 *
 *     import { testScenario } from 'smplab/vitest';
 *     testScenario('counter', new URL('./counter.ts', import.meta.url), { runs: 2000 });
 *
 * Everything runs in this process, on fibers. It imports the package by its own name, as the test itself may: there is one
 * kernel in a process, not two.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type CampaignReport,
  type ReplayReport,
  STRATEGIES,
  SmplabError,
  type StrategyName,
  compileScenario,
  failuresText,
  isExhaustive,
  replayText,
  replayToken,
  runCampaign,
  runsAtMost,
} from 'smplab';
import { test } from 'vitest';

export interface ScenarioTestOptions {
  /** How to search, as `smplab explore --strategy`. Default: portfolio; dpor with `expect: 'complete'`. */
  readonly strategy?: StrategyName;
  /** Schedules at most. Default: 10,000; without limit where the search is exhaustive or has a `time`. */
  readonly runs?: number;
  /** pct: depth of bugs; preemptions and delays: the last bound. */
  readonly depth?: number;
  /** What chance starts from, 32 bits. Default: 1, so that a test says the same every time. */
  readonly seed?: number;
  /** Overrules the scenario's. */
  readonly memoryModel?: 'sc' | 'tso';
  /** Seconds to search at most. */
  readonly time?: number;
  /** Steps of one schedule before it is cut short. Overrules the scenario's. */
  readonly maxSteps?: number;
  /** 'complete': nothing may be found, and every interleaving has to have been covered. */
  readonly expect?: 'complete';
  /** The search has to find this: matched against `KIND: TITLE` of each failure. For teaching. */
  readonly expectFailure?: RegExp;
  /**
   * Tokens of failures that were mended, each a test of its own that runs the schedule again. With `expectFailure` they
   * have to fail so. A long token (`TOKEN+NAMES`) outlives edits of the scenario.
   */
  readonly pinned?: readonly string[];
  /** Milliseconds that vitest gives each test. Default: a minute, and `time` on top. */
  readonly timeout?: number;
}

/** A scenario does not do what its test says. The message is the whole story; the stack leads to the test. */
class ScenarioFailed extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ScenarioFailed';
  }
}

const TIMEOUT_MS = 60_000;
const COMMAND = 'npx smplab replay';
/** Characters of a token in the name of its test. */
const SHOWN_OF_TOKEN = 40;

/** One scenario at a time: it is loaded into the thread's one kernel. Tests of `describe.concurrent` wait here. */
let turn: Promise<unknown> = Promise.resolve();

function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const mine = turn.then(work);
  turn = mine.catch(() => {});
  return mine;
}

/**
 * Declares a test that searches a scenario, and one for each pinned token.
 * @param name the test's
 * @param file the scenario's: `new URL('./counter.ts', import.meta.url)`, or a path from the working directory
 */
export function testScenario(name: string, file: URL | string, options: ScenarioTestOptions = {}): void {
  const where = placeOf(file);
  checkOptions(name, options);
  const from = new Error('where the test is declared');
  Error.captureStackTrace(from, testScenario);
  const timeout = options.timeout ?? TIMEOUT_MS + (options.time ?? 0) * 1_000;
  const declare = (title: string, work: (signal: AbortSignal) => Promise<string | undefined>): void => {
    test(title, { timeout }, async ({ signal }) => {
      if (!existsSync(where.file)) throw failureFrom(`${where.name}: no such file`, from);
      const complaint = await inTurn(() => work(signal)).catch((error: unknown) => {
        // Unusable is what the test gave us: its line is the place. Anything else is ours, with our stack.
        if (error instanceof SmplabError) return error.message;
        throw error;
      });
      if (complaint !== undefined) throw failureFrom(complaint, from);
    });
  };
  for (const token of options.pinned ?? []) {
    const shown = token.length > SHOWN_OF_TOKEN ? `${token.slice(0, SHOWN_OF_TOKEN)}...` : token;
    declare(`${name}: pinned ${shown}`, () => complaintOfPinned(where, token, options));
  }
  declare(name, (signal) => complaintOfSearch(where, options, signal));
}

/** An error whose stack begins at the test, so that vitest shows its line and not one of ours. */
function failureFrom(message: string, { stack = '' }: Error): ScenarioFailed {
  const error = new ScenarioFailed(message);
  error.stack = `${error.name}: ${message}${stack.slice(Math.max(0, stack.indexOf('\n    at ')))}`;
  return error;
}

interface Place {
  readonly file: string;
  /** As a token carries it: from the working directory, where `smplab replay` looks for it. */
  readonly name: string;
}

function placeOf(given: URL | string): Place {
  const text = String(given);
  const file = text.startsWith('file:') ? fileURLToPath(text) : path.resolve(text);
  return { file, name: path.relative(process.cwd(), file).replaceAll(path.sep, '/') };
}

function checkOptions(name: string, options: ScenarioTestOptions): void {
  const { strategy = 'portfolio', expect, expectFailure, runs, time } = options;
  const bad = (message: string): never => {
    throw new SmplabError('SMPLAB_BAD_USAGE', `testScenario('${name}'): ${message}`);
  };
  if (!STRATEGIES.includes(strategy)) bad(`strategy ${strategy}: expected one of ${STRATEGIES.join(', ')}`);
  if (expect === 'complete' && options.strategy !== undefined && !isExhaustive(strategy))
    bad(`expect: 'complete' needs a strategy that proves: dpor, preemptions or delays, not ${strategy}`);
  if (expect !== undefined && expectFailure !== undefined) bad('expect and expectFailure: give one of them');
  for (const [option, value] of Object.entries({ runs, time }))
    if (value !== undefined && !(value > 0)) bad(`${option} ${value}: expected a number above 0`);
}

async function complaintOfSearch(
  { file, name }: Place,
  options: ScenarioTestOptions,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { expect, expectFailure, runs, depth, seed = 1, memoryModel, time, maxSteps } = options;
  const strategy = options.strategy ?? (expect === 'complete' ? 'dpor' : 'portfolio');
  const report = await runCampaign(await compileScenario(file), {
    name,
    strategy,
    depth,
    seed,
    runs: runsAtMost(strategy, runs, time),
    seconds: time,
    memoryModel,
    stepsMax: maxSteps,
    signal,
  });
  const { failures } = report;
  const covered = `${report.runs} schedules, strategy ${strategy}, seed ${seed}, ${report.memoryModel}`;
  if (expectFailure !== undefined) {
    if (failures.some((failure) => isExpected(failure, expectFailure))) return undefined;
    const instead =
      failures.length === 0 ? 'nothing was found' : `this was found:\n\n${failuresText(failures, COMMAND)}`;
    return `expected a failure like ${String(expectFailure)} in ${covered}; ${instead}`;
  }
  if (failures.length > 0) return `${covered}\n\n${failuresText(failures, COMMAND)}\n\n${pinning(report)}`;
  if (report.limit === 'steps')
    return `inconclusive: some of ${covered}, met the step limit and were cut short; raise stepsMax, or look for a loop that waits without waitUntil`;
  if (expect === 'complete' && !(report.statement.complete && report.limit === undefined))
    return `nothing was found, but not every interleaving was covered: ${covered}${needed(report)}`;
  return undefined;
}

function isExpected(
  { kind, title }: { readonly kind: string; readonly title: string },
  expected: RegExp,
): boolean {
  // A regular expression with the flag g remembers where it was.
  return new RegExp(expected).test(`${kind}: ${title}`);
}

function needed({ statement, limit }: CampaignReport): string {
  const estimate = statement.bounds['estimate'];
  const all = estimate === undefined ? '' : `; about ${estimate} are needed`;
  return limit === undefined ? all : `${all}; stopped by: ${limit}`;
}

/** How to keep the failure as a test. The long form: mending the scenario changes it, and the short one then fits no more. */
function pinning({ failures }: CampaignReport): string {
  const failure = failures.find(({ kind }) => kind !== 'data-race') ?? failures[0]!;
  return `once it is mended, keep it from coming back:\n  pinned: ['${failure.tokenLong}'],`;
}

async function complaintOfPinned(
  { file, name }: Place,
  token: string,
  { expectFailure }: ScenarioTestOptions,
): Promise<string | undefined> {
  const { report, isTolerant } = await replayPinned(file, name, token);
  const { findings, diverged } = report;
  const text = replayText(report);
  if (expectFailure !== undefined) {
    if (findings.some((finding) => isExpected(finding, expectFailure))) return undefined;
    return `expected the pinned schedule to fail like ${String(expectFailure)}:\n\n${text}`;
  }
  if (findings.length > 0) {
    const [short] = token.split('+');
    const again = isTolerant ? `${COMMAND} --tolerant ${token}` : `${COMMAND} ${short}`;
    return `the pinned schedule fails again: ${findings[0]!.kind}: ${findings[0]!.title}\n\n${text}\n\nagain:\n  ${again}`;
  }
  // Followed by names it may well be lost: what it waited for is what was mended. Otherwise all is as it was.
  if (diverged !== undefined && !isTolerant)
    return `the scenario is as it was when the token was made, and does something else: ${diverged}`;
  return undefined;
}

async function replayPinned(
  file: string,
  name: string,
  token: string,
): Promise<{ readonly report: ReplayReport; readonly isTolerant: boolean }> {
  const source = await compileScenario(file);
  try {
    return { report: await replayToken(token, source), isTolerant: false };
  } catch (error) {
    if (!(error instanceof SmplabError) || error.code !== 'SMPLAB_BAD_TOKEN') throw error;
    // The long form is followed by the names of its operations, whatever was edited.
    if (token.includes('+'))
      return { report: await replayToken(token, source, { tolerant: true }), isTolerant: true };
    if (!error.message.startsWith('the token is from')) throw error;
    throw new SmplabError(
      'SMPLAB_BAD_TOKEN',
      `pinned token of ${name}: ${error.message}. A short token fits one state of a scenario only: pin the long one (TOKEN+NAMES), which is followed by the names of its operations; a failed test prints it, and so does smplab explore --json (tokenLong)`,
    );
  }
}
