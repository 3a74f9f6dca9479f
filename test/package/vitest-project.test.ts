/**
 * The package as a stranger has it: packed, unpacked into examples/vitest-project, and used there by vitest. Unpacked by tar
 * and with dependencies linked from here, because an install would want the network; that is all npm would do.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = path.join(import.meta.dirname, '../..');
const TIMEOUT_MS = 120_000;

interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Of vitest's JSON reporter. */
interface Outcome {
  readonly status: string;
  readonly title: string;
  readonly message: string;
}

let folder = '';

function run(command: string, args: readonly string[], cwd: string = folder): Ran {
  // vitest tells its children that they are tests: these are somebody else's.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')));
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, encoding: 'utf8', env });
  return { code: status, stdout, stderr };
}

const smplab = (...args: readonly string[]): Ran =>
  run(process.execPath, ['node_modules/smplab/dist/cli/main.js', ...args]);

function vitest(file: string): { readonly code: number | null; readonly tests: readonly Outcome[] } {
  const main = 'node_modules/vitest/vitest.mjs';
  const { code, stdout, stderr } = run(process.execPath, [main, 'run', '--reporter=json', file]);
  const report = stdout.slice(stdout.indexOf('{'));
  if (report === '') throw new Error(`vitest ${file}: exit ${code}: ${stderr}`);
  const { testResults } = JSON.parse(report) as {
    readonly testResults: readonly {
      readonly message: string;
      readonly assertionResults: readonly {
        readonly status: string;
        readonly title: string;
        readonly failureMessages: readonly string[];
      }[];
    }[];
  };
  return {
    code,
    tests: testResults.flatMap(({ message, assertionResults }) =>
      assertionResults.length === 0
        ? [{ status: 'unusable', title: '', message }]
        : assertionResults.map(({ status, title, failureMessages }) => ({
            status,
            title,
            message: failureMessages.join('\n'),
          })),
    ),
  };
}

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'smplab-package-'));
  cpSync(path.join(ROOT, 'examples/vitest-project'), folder, { recursive: true });
  // What dist holds is what is tested: nothing is built here.
  const packed = run(
    'npm',
    ['pack', '--ignore-scripts', '--silent', '--offline', '--pack-destination', folder],
    ROOT,
  );
  const tarball = packed.stdout.trim();
  if (packed.code !== 0) throw new Error(`npm pack: ${packed.stderr}`);
  const modules = path.join(folder, 'node_modules');
  mkdirSync(path.join(modules, 'smplab'), { recursive: true });
  const unpacked = run('tar', ['-xzf', tarball, '-C', 'node_modules/smplab', '--strip-components=1']);
  if (unpacked.code !== 0) throw new Error(`tar: ${unpacked.stderr}`);
  const { dependencies } = JSON.parse(readFileSync(path.join(modules, 'smplab/package.json'), 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>;
  };
  for (const name of [...Object.keys(dependencies), 'vitest']) {
    mkdirSync(path.dirname(path.join(modules, name)), { recursive: true });
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(modules, name), 'junction');
  }
}, TIMEOUT_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('the packed package in a project of its own', { timeout: TIMEOUT_MS }, () => {
  let tokens: { readonly short: string; readonly long: string };

  it('one scenario passes; one fails with its interleaving, its token and the command that replays it', () => {
    const { code, tests } = vitest('statistics.test.ts');
    expect(code).toBe(1);
    expect(tests.map(({ status }) => status)).toEqual(['passed', 'failed']);
    const { message } = tests[1]!;
    expect(message).toContain('check: 1 of 2 packets counted');
    expect(message).toMatch(
      /^CPU 0 +CPU 1\n-+ +-+\ncount_packet\(\)\n {2}reads packets: 0 {2}<-a\n {30,}count_packet/m,
    );
    expect(message).toMatch(/^ {4}at .*statistics\.test\.ts:8:1/m);
    const short = /^ {2}npx smplab replay (smp1:unlocked\.ts:[\w-]+)$/m.exec(message)?.[1];
    const long = /^ {2}pinned: \['(smp1:unlocked\.ts:[\w-]+\+[\w-]+)'\],$/m.exec(message)?.[1];
    expect(long).toMatch(new RegExp(`^${short}\\+`));
    tokens = { short: short!, long: long! };
  });

  it('the command of the message shows the same failure', () => {
    const { code, stdout } = smplab('replay', tokens.short);
    expect(code).toBe(1);
    expect(stdout).toContain('check: 1 of 2 packets counted');
  });

  it('a pinned token is a test: it fails while the failure is there, and passes when it is mended', () => {
    const { short, long } = tokens;
    const other = `${short.slice(0, -3)}${short.at(-3) === 'A' ? 'B' : 'A'}${short.slice(-2)}`;
    writeFileSync(
      path.join(folder, 'pinned.test.ts'),
      `import { describe } from 'vitest';
import { testScenario } from 'smplab/vitest';
const broken = new URL('./unlocked.ts', import.meta.url);
const mended = new URL('./locked.ts', import.meta.url);
const count = { runs: 50, expectFailure: /of 2 packets/ };
describe.concurrent('pinned', () => {
  testScenario('still there', broken, { ...count, pinned: ['${short}'] });
  testScenario('broken, short', broken, { runs: 1, pinned: ['${short}'] });
  testScenario('broken, long', 'unlocked.ts', { runs: 1, pinned: ['${long}'] });
  testScenario('mended, long', mended, { runs: 50, pinned: ['${long}'] });
  testScenario('mended, short', mended, { runs: 50, pinned: ['${short}'] });
  testScenario('damaged', mended, { runs: 50, pinned: ['${other}'] });
});
`,
    );
    const { tests } = vitest('pinned.test.ts');
    const pinned = Object.fromEntries(
      tests
        .filter(({ title }) => title.includes('pinned'))
        .map(({ title, status, message }) => [title.split(':')[0], { status, message }]),
    );
    expect(pinned).toMatchObject({
      'still there': { status: 'passed' },
      'broken, short': {
        status: 'failed',
        message: expect.stringContaining('the pinned schedule fails again'),
      },
      'broken, long': {
        status: 'failed',
        message: expect.stringContaining(`again:\n  npx smplab replay ${short}`),
      },
      'mended, long': { status: 'passed' },
      'mended, short': {
        status: 'failed',
        message: expect.stringMatching(/from another state.*pin the long one/),
      },
      damaged: { status: 'failed', message: expect.stringContaining('damaged') },
    });
    const searched = tests.filter(({ title }) => !title.includes('pinned'));
    expect(searched.map(({ title, status }) => [title, status])).toEqual([
      ['still there', 'passed'],
      ['broken, short', 'failed'],
      ['broken, long', 'failed'],
      ['mended, long', 'passed'],
      ['mended, short', 'passed'],
      ['damaged', 'passed'],
    ]);
  });

  it('an expectation that is not met, and an option that makes no sense, are told in words', () => {
    writeFileSync(
      path.join(folder, 'expect.test.ts'),
      `import { testScenario } from 'smplab/vitest';
const mended = new URL('./locked.ts', import.meta.url);
testScenario('incomplete', mended, { runs: 1, expect: 'complete' });
testScenario('nothing', mended, { runs: 50, expectFailure: /data-race/ });
testScenario('another', new URL('./unlocked.ts', import.meta.url), { expectFailure: /deadlock/ });
testScenario('cut short', mended, { maxSteps: 1, runs: 20 });
testScenario('nowhere', new URL('./nowhere.ts', import.meta.url));
`,
    );
    writeFileSync(
      path.join(folder, 'options.test.ts'),
      `import { testScenario } from 'smplab/vitest';
testScenario('chance', 'locked.ts', { strategy: 'pct', expect: 'complete' });
`,
    );
    const { tests } = vitest('expect.test.ts');
    expect(tests.map(({ status }) => status)).toEqual(tests.map(() => 'failed'));
    expect(tests.map(({ message }) => message)).toEqual([
      expect.stringMatching(/nothing was found, but not every interleaving was covered: 1 schedules/),
      expect.stringMatching(/expected a failure like \/data-race\/ in 50 schedules.*; nothing was found/),
      expect.stringMatching(/expected a failure like \/deadlock\/.*this was found:\n\ncheck: 1 of 2 packets/),
      expect.stringMatching(/inconclusive: .* met the step limit/),
      expect.stringMatching(/nowhere\.ts: no such file/),
    ]);
    expect(vitest('options.test.ts').tests).toMatchObject([
      { status: 'unusable', message: expect.stringMatching(/needs a strategy that proves/) },
    ]);
  });

  it('smplab init scenario: writes a scenario that passes its own test, once', () => {
    const written = smplab('init', 'scenario', 'first-steps');
    expect(written).toEqual({
      code: 0,
      stdout:
        'wrote first-steps.ts and first-steps.test.ts: smplab explore first-steps.ts, npx vitest run first-steps.test.ts\n',
      stderr: '',
    });
    expect(vitest('first-steps.test.ts')).toMatchObject({
      code: 0,
      tests: [{ status: 'passed', title: 'first-steps' }],
    });
    const explored = smplab('explore', 'first-steps.ts', '--strategy', 'dpor');
    expect(explored.code).toBe(0);
    expect(explored.stdout).toContain('complete: every interleaving was covered');
    for (const [file, from] of [
      ['first-steps.ts', 'smplab'],
      ['first-steps.test.ts', 'smplab/vitest'],
    ] as const) {
      const imports = readFileSync(path.join(folder, file), 'utf8').matchAll(/from '([^']+)'/g);
      expect(Array.from(imports, ([, name]) => name)).toEqual([from]);
    }
    const before = readFileSync(path.join(folder, 'first-steps.ts'), 'utf8');
    const again = smplab('init', 'scenario', 'first-steps');
    expect({ code: again.code, stdout: again.stdout }).toEqual({ code: 2, stdout: '' });
    expect(again.stderr).toBe('smplab: first-steps.ts is there already: take another name\n');
    expect(readFileSync(path.join(folder, 'first-steps.ts'), 'utf8')).toBe(before);
  });

  it('the command never loads vitest', () => {
    rmSync(path.join(folder, 'node_modules/vitest'));
    expect(smplab('explore', 'locked.ts', '--runs', '5').code).toBe(0);
  });
});
