/**
 * The programs of test/programs: each bug is found by the default strategy, in few schedules, comes again
 * from its token alone, and is not there in the fixed program.
 */
import { compileScenario, replayToken } from 'smplab';
import { describe, expect, it, vi } from 'vitest';
import { type Explored, type Failure, TIMEOUT_MS, explore, exploreHere, replay } from './scenarios.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const isLong = process.env['SMPLAB_LONG'] !== undefined;
const SEEDS = isLong ? Array.from({ length: 20 }, (_, seed) => seed) : [1];
const LINES_MAX = 40;
const COLUMNS_MAX = 100;
/** Schedules that a program too large to prove is searched with. */
const SEARCHED_RUNS = 300;

/** One that deadlocks, one that an exception ends, one of two preemptions, and one whose check fails. */
const BY_COMMAND: ReadonlySet<string> = new Set(['deadlock01', 'stack', 'double_enable', 'account']);

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

/** The one failure of a program, held against what is known of it. */
function theFailure({ failures }: Explored, { name, title, within, preemptions }: Program): Failure {
  expect(failures).toHaveLength(1);
  const [failure] = failures;
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
  return failure!;
}

const seeded = PROGRAMS.flatMap((program) => SEEDS.map((seed) => ({ ...program, seed })));

describe('a program with a bug', () => {
  it.each(seeded.filter(({ name }) => !BY_COMMAND.has(name)))(
    '$name: found within $within schedules, drawn small, and replayed by its token (seed $seed)',
    async (program) => {
      const file = fileOf(program.name);
      const { kind, title, detail, token } = theFailure(await exploreHere(file, program), program);
      const { findings, diverged } = await replayToken(token, await compileScenario(file));
      expect(diverged).toBeUndefined();
      expect({ detail: '', ...findings[0] }).toMatchObject({ kind, title, detail });
    },
  );

  it.concurrent.each(seeded.filter(({ name }) => BY_COMMAND.has(name)))(
    '$name, by the command: the same, each time in another process (seed $seed)',
    async (program) => {
      const { code, json } = await explore(fileOf(program.name), '--seed', String(program.seed));
      expect(code).toBe(1);
      const { kind, title, detail, token, minimised } = theFailure(json, program);
      const again = await replay(token);
      expect(again.code).toBe(1);
      expect(again.json.diverged).toBeNull();
      expect(again.json.failures).toMatchObject([{ kind, title, detail }]);
      expect(again.json.diagram).toEqual(minimised.diagram);
      // Another process says the same, to the last byte.
      expect((await replay(token)).stdout).toBe(again.stdout);
    },
  );
});

describe('the program with its bug mended', () => {
  it.each(PROGRAMS.filter(({ traces }) => traces !== undefined))(
    '$name: all $traces traces are run, and none fails',
    async ({ name, traces }) => {
      const found = await exploreHere(fileOf(`fixed/${name}`), { strategy: 'dpor' });
      expectNothingFound(found);
      expect({ complete: found.complete, traces: found.distinctTraces }).toEqual({ complete: true, traces });
    },
  );

  it.each(PROGRAMS.filter(({ traces }) => traces === undefined))(
    `$name: ${SEARCHED_RUNS} schedules fail nowhere, and are not called complete`,
    async ({ name }) => {
      const found = await exploreHere(fileOf(`fixed/${name}`), { runs: SEARCHED_RUNS });
      expectNothingFound(found);
      expect({ complete: found.complete, runs: found.runs }).toEqual({
        complete: false,
        runs: SEARCHED_RUNS,
      });
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
