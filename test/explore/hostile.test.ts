/** Scenarios that do what no scenario should: each ends in one clear report, and the exit code that says whose fault it is. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { SmplabError } from 'smplab';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { smplab } from '../cli/run.ts';
import { type Explored, TIMEOUT_MS, explore, exploreHere } from './scenarios.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const isLong = process.env['SMPLAB_LONG'] !== undefined;
const fileOf = (name: string): string => `test/programs/hostile/${name}.ts`;
const FAILED = 1;
const UNUSABLE = 2;
const HOST_FAILED = 3;
/** A report that nobody reads to its end is not clear. */
const LINES_MAX = 80;

/** Name, kind of the one failure, and what its title or text has to say. */
const FAILURES: readonly (readonly [string, string, RegExp])[] = [
  [
    'loops_without_operations',
    'no-progress',
    /CPU 0 makes no step: a loop has gone round 10,000,000 times.*\bspin\b/s,
  ],
  ...(isLong
    ? [['leaks_to_the_host', 'no-progress', /CPU 0 has made no step for 10 seconds.*\bhoard\b/s] as const]
    : []),
  ['allocates', 'oops', /NULL pointer dereference at 00000000/],
  ['always_throws', 'check', /^always threw Error: one/],
  ['asks_the_host', 'javascript-exception', /process\.exit is the host's/],
  ['check_answers_nonsense', 'check', /check answers true, nothing, false or a text, and this was number 2/],
  ['check_throws', 'check', /^check threw Error: lost an increment/],
  ['livelock', 'livelock', /step limit was reached in enter[01]/],
  ['recurses', 'javascript-exception', /Maximum call stack size exceeded/],
  ['shares_an_object', 'javascript-exception', /a word of memory holds a number, and no object/],
  ['throws_in_flow', 'javascript-exception', /RangeError: one is too many.*throws_in_flow\.ts/s],
  [
    'throws_in_interrupt',
    'javascript-exception',
    /TypeError: the handler did not expect one.*throws_in_interrupt\.ts/s,
  ],
  ['throws_what_is_no_error', 'javascript-exception', /kernel code threw null/],
  ['waits_for_ever', 'deadlock', /1 flow waiting for what nobody will do: x/],
];

/** Name, and what the one line says. */
const REFUSALS: readonly (readonly [string, RegExp])[] = [
  ['awaits', /line \d+: an async function cannot be suspended/],
  ['default_is_no_scenario', /no default export made by scenario\(\)/],
  ['imports_the_host', /imports node:fs: a scenario may import smplab only/],
  ['no_default_export', /no default export made by scenario\(\)/],
  ['patches_nothing', /patches kvm_unit: no kernel function is called so/],
  ['reads_the_clock', /does not do the same in two runs of one schedule: .*stamp/],
  ['remembers', /does not do the same in two runs of one schedule: .*count/],
  ['setup_throws', /setup failed: .*no setup today/],
  ['shares_on_the_heap', /no two flows ever used the same memory/],
  ['throws_when_loaded', /throws while it is loaded: Error: not today/],
  ['vacuous', /no two flows ever used the same memory/],
];

/** Those that reach for the host: should they get there, they shall not have this process. */
const BY_COMMAND: ReadonlySet<string> = new Set([
  'loops_without_operations',
  'leaks_to_the_host',
  'asks_the_host',
  'recurses',
]);

function expectFailure({ failures }: Explored, kind: string, says: RegExp): void {
  expect(failures.map((failure) => failure.kind)).toEqual([kind]);
  const [failure] = failures;
  expect(`${failure!.title}\n${failure!.detail}`).toMatch(says);
  expect(failure!.minimised.diagram.length).toBeLessThanOrEqual(LINES_MAX);
}

describe('a hostile scenario', () => {
  it.each(FAILURES.filter(([name]) => !BY_COMMAND.has(name)))(
    '%s: one failure, %s',
    async (name, kind, says) => {
      expectFailure(await exploreHere(fileOf(name)), kind, says);
    },
  );

  it.concurrent.each(FAILURES.filter(([name]) => BY_COMMAND.has(name)))(
    '%s, by the command: one failure, %s, exit 1',
    async (name, kind, says) => {
      const { code, json } = await explore(fileOf(name));
      expectFailure(json, kind, says);
      expect(code).toBe(FAILED);
    },
  );

  it.each(REFUSALS)('%s: refused in one line', async (name, says) => {
    const refusal: unknown = await exploreHere(fileOf(name)).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(SmplabError);
    const { code, message } = refusal as SmplabError;
    // The command makes exit 2 of that: see below, and test/cli/usage.test.ts.
    expect(code).toBe('SMPLAB_BAD_SCENARIO');
    expect(message.split('\n')).toHaveLength(1);
    expect(message).toMatch(says);
  });
});

describe('a scenario that fills the heap', () => {
  it.concurrent.each(['fills_the_heap', 'fills_the_heap_at_once'])(
    '%s: one line before the heap is full, exit 3',
    async (name) => {
      const { code, stderr } = await smplab(['explore', fileOf(name)], {
        env: { NODE_OPTIONS: '--max-old-space-size=256' },
      });
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(stderr).toMatch(
        /the host failed, nothing is claimed: the heap of this process, \d+ MiB, is nearly full/,
      );
      expect(code).toBe(HOST_FAILED);
    },
  );
});

describe('a file that is no program', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'smplab-hostile-'));
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  // Not files of the project: what reads all of those would stumble over them.
  it.concurrent.each([
    [
      'syntax-error.ts',
      "import { scenario } from 'smplab';\n\nexport default scenario({ on: [ };\n",
      /line 3: Unexpected/,
    ],
    [
      'missing-import.ts',
      "export { default } from './nowhere.ts';\n",
      /line 1: Could not resolve "\.\/nowhere\.ts"/,
    ],
    [
      'missing-name.ts',
      "import { scenaria } from 'smplab';\nexport default scenaria({});\n",
      /scenaria.*is not a function/,
    ],
    ['empty.ts', '', /no default export made by scenario\(\)/],
    [
      'nobody.ts',
      "import { scenario } from 'smplab';\nexport default scenario({ on: [] });\n",
      /no CPU runs anything/,
    ],
  ] as const)('%s: refused in one line, exit 2', async (name, text, says) => {
    const file = path.join(folder, name);
    writeFileSync(file, text);
    const { code, stdout, stderr } = await smplab(['explore', file]);
    expect(stdout).toBe('');
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(says);
    expect(code).toBe(UNUSABLE);
  });
});
