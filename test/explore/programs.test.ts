/**
 * The programs of test/programs, through the command: each bug is found by the default strategy, in few schedules, comes again
 * from its token alone, and is not there in the fixed program.
 */
import { type CampaignReport, type StrategyName, compileScenario, runCampaign, runsAtMost } from 'smplab';
import { describe, expect, it, vi } from 'vitest';
import { type Explored, TIMEOUT_MS, explore, replay } from './scenarios.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const isLong = process.env['SMPLAB_LONG'] !== undefined;
const SEEDS = isLong ? Array.from({ length: 20 }, (_, seed) => seed) : [1];
const LINES_MAX = 40;
const COLUMNS_MAX = 100;
/** Schedules that a program too large to prove is searched with. */
const SEARCHED_RUNS = 300;

/** Eight and ten CPUs have too many orders without a preemption to show in a second that none of them fails. */
const TOO_MANY_ORDERS: ReadonlySet<string> = new Set(['reorder_10', 'wronglock']);

interface Program {
  readonly name: string;
  readonly title: string;
  /** Schedules to the bug, at most, with any seed. */
  readonly within: number;
  /** Preemptions that the bug needs. */
  readonly preemptions: number;
  /** Mazurkiewicz traces of the fixed program, counted by hand where it says how; undefined: too many to cover here. */
  readonly traces: number | undefined;
}

const choose = (n: number, k: number): number => (k === 0 ? 1 : (choose(n - 1, k - 1) * n) / k);

const PROGRAMS: readonly Program[] = [
  // Critical sections of one lock, in any order.
  { name: 'account', title: 'the books are wrong', within: 10, preemptions: 0, traces: 6 },
  { name: 'lazy01', title: 'more than 2', within: 10, preemptions: 0, traces: 6 },
  { name: 'reorder_3', title: 'a setter was seen half-way', within: 20, preemptions: 1, traces: 6 },
  { name: 'reorder_4', title: 'a setter was seen half-way', within: 20, preemptions: 1, traces: 24 },
  { name: 'reorder_5', title: 'a setter was seen half-way', within: 20, preemptions: 1, traces: 120 },
  { name: 'reorder_10', title: 'a setter was seen half-way', within: 20, preemptions: 1, traces: undefined },
  { name: 'wronglock', title: 'somebody else counts, too', within: 10, preemptions: 1, traces: undefined },
  // Two CPUs with so many rounds each.
  { name: 'stack', title: 'pop from an empty stack', within: 20, preemptions: 1, traces: choose(10, 5) },
  { name: 'queue', title: 'something else was queued', within: 20, preemptions: 1, traces: choose(10, 5) },
  {
    name: 'circular_buffer',
    title: 'something else was received',
    within: 20,
    preemptions: 1,
    traces: isLong ? choose(14, 7) : undefined,
  },
  // Who comes first; and where the fourth CPU looks, before, between and after the three.
  { name: 'deadlock01', title: 'a -> b -> a', within: 5, preemptions: 0, traces: 2 },
  { name: 'stringbuffer', title: 'characters are taken', within: 20, preemptions: 1, traces: 2 },
  { name: 'twostage', title: 'the second stage is missing', within: 20, preemptions: 1, traces: 2 },
  { name: 'token_ring', title: 'not gone round in its order', within: 30, preemptions: 0, traces: 4 },
  // As DPOR counts.
  { name: 'bluetooth_driver', title: 'a stopped device', within: 20, preemptions: 1, traces: 7 },
  { name: 'double_enable', title: 'was enabled 2 times', within: 43, preemptions: 2, traces: 16 },
  { name: 'work_stealing_queue', title: 'was taken', within: 60, preemptions: 1, traces: 1224 },
];

const fileOf = (name: string): string => `test/programs/${name}.ts`;

function expectNothingFound({ failures, warnings }: Explored): void {
  expect({ failures, warnings }).toEqual({ failures: [], warnings: [] });
}

describe('a program with a bug', () => {
  it.concurrent.each(PROGRAMS.flatMap((program) => SEEDS.map((seed) => ({ ...program, seed }))))(
    '$name: found within $within schedules, drawn small, and replayed by its token (seed $seed)',
    async ({ name, title, within, preemptions, seed }) => {
      const { code, json } = await explore(fileOf(name), '--seed', String(seed));
      expect(code).toBe(1);
      const [failure] = json.failures;
      expect(json.failures).toHaveLength(1);
      expect(failure!.title).toContain(title);
      expect(failure!.foundAtRun).toBeLessThanOrEqual(within);
      const { minimised } = failure!;
      const minimal = !TOO_MANY_ORDERS.has(name);
      expect({ preemptions: minimised.preemptions, minimal: minimised.minimal }).toEqual({
        preemptions,
        minimal,
      });
      expect(minimised.diagram.length).toBeLessThanOrEqual(LINES_MAX);
      expect(Math.max(...minimised.diagram.map((line) => line.length))).toBeLessThanOrEqual(COLUMNS_MAX);

      const again = await replay(failure!.token);
      expect(again.code).toBe(1);
      const { kind, detail, token } = failure!;
      expect(again.json.diverged).toBeNull();
      expect(again.json.failures).toMatchObject([{ kind, title: failure!.title, detail }]);
      expect(again.json.diagram).toEqual(minimised.diagram);
      // Another process says the same, to the last byte. Not every time: processes are what this suite's time goes to.
      if (isLong || preemptions === 2) expect((await replay(token)).stdout).toBe(again.stdout);
    },
  );
});

/** What the command does, in this process: these need no process of their own each. */
async function searchFixed(name: string, strategy: StrategyName, runs?: number): Promise<CampaignReport> {
  const file = fileOf(`fixed/${name}`);
  const limits = { seed: 1, runs: runsAtMost(strategy, runs, undefined) };
  const report = await runCampaign(await compileScenario(file), { name: file, strategy, ...limits });
  // Races that the program says are meant.
  return { ...report, reported: report.reported.filter(({ kind }) => kind !== 'data-race') };
}

describe('the program with its bug mended', () => {
  it.each(PROGRAMS.filter(({ traces }) => traces !== undefined))(
    '$name: all $traces traces are run, and none fails',
    async ({ name, traces }) => {
      const { statement, limit, failures, reported } = await searchFixed(name, 'dpor');
      expect({ failures, reported, limit }).toEqual({ failures: [], reported: [], limit: undefined });
      expect({ complete: statement.complete, traces: statement.traces }).toEqual({ complete: true, traces });
    },
  );

  it.each(PROGRAMS.filter(({ traces }) => traces === undefined))(
    `$name: ${SEARCHED_RUNS} schedules fail nowhere, and are not called complete`,
    async ({ name }) => {
      const { statement, runs, failures, reported } = await searchFixed(name, 'portfolio', SEARCHED_RUNS);
      expect({ failures, reported }).toEqual({ failures: [], reported: [] });
      expect({ complete: statement.complete, runs }).toEqual({ complete: false, runs: SEARCHED_RUNS });
    },
  );

  it('double_enable: proved under tso, too, where it needs its barriers', async () => {
    const { code, json } = await explore(
      fileOf('fixed/double_enable'),
      '--strategy',
      'dpor',
      '--memory-model',
      'tso',
    );
    expectNothingFound(json);
    expect({ code, complete: json.complete }).toEqual({ code: 0, complete: true });
  });
});
