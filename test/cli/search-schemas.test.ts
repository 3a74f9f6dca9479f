/** explore, replay and litmus: what they print as JSON, what they refuse, and that the examples do what they say. */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { afterAll, describe, expect, it } from 'vitest';
import { type Ran, smplab } from './run.ts';

const isLong = process.env['SMPLAB_LONG'] !== undefined;
const root = path.join(import.meta.dirname, '../..');
const example = (name: string): string => path.join(root, 'examples', `${name}.ts`);
const folder = mkdtempSync(path.join(tmpdir(), 'smplab-search-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const ajv = new Ajv({ allowUnionTypes: true });
/** Closed here and open for readers: keys may be added, but not without being written down. */
function schema(name: string): ValidateFunction {
  const text = readFileSync(path.join(root, 'schemas', `smplab.${name}.1.schema.json`), 'utf8');
  return ajv.compile(closed(JSON.parse(text)) as object);
}

function closed(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(closed);
  if (typeof node !== 'object' || node === null) return node;
  const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, closed(value)]));
  return 'properties' in node ? { additionalProperties: false, ...copy } : copy;
}

const validate = {
  explore: schema('explore'),
  replay: schema('replay'),
  litmus: schema('litmus'),
  selfcheck: schema('selfcheck'),
};

interface Failure {
  readonly kind: string;
  readonly title: string;
  readonly token: string;
  readonly tokenLong: string;
  readonly minimised: {
    readonly preemptions: number;
    readonly minimal: boolean;
    readonly diagram: readonly string[];
  };
}

interface Explored {
  readonly ok: boolean;
  readonly complete: boolean;
  readonly distinctTraces: number;
  readonly bounds: Readonly<Record<string, number>>;
  readonly failures: readonly Failure[];
}

/** One document on stdout that fits its schema, and nothing else anywhere. */
function documentOf<T>(ran: Ran, command: keyof typeof validate): T {
  expect(ran.stderr).toBe('');
  expect(ran.stdout.trimEnd().split('\n')).toHaveLength(1);
  const parsed: unknown = JSON.parse(ran.stdout);
  expect(validate[command](parsed) ? [] : validate[command].errors).toEqual([]);
  return parsed as T;
}

async function explored(name: string, given: readonly string[]): Promise<Explored & Pick<Ran, 'code'>> {
  const ran = await smplab(['explore', example(name), ...given, '--json']);
  return { ...documentOf<Explored>(ran, 'explore'), code: ran.code };
}

// Each is a process with a machine of its own: side by side they need half the time.
describe.concurrent('smplab explore --json', () => {
  it('a failure: exit 1, with a token that replays it', async () => {
    const { code, ok, failures } = await explored('counter', []);
    expect({ code, ok }).toEqual({ code: 1, ok: false });
    const lost = failures.find(({ kind }) => kind === 'check')!;
    expect(lost.title).toBe('counter is 1');
    expect(lost.minimised).toMatchObject({ preemptions: 1, minimal: true });

    const again = await smplab(['replay', lost.token, '--json']);
    const replayed = documentOf<{ ok: boolean; diverged: null; failures: Failure[]; diagram: string[] }>(
      again,
      'replay',
    );
    expect({ code: again.code, ok: replayed.ok, diverged: replayed.diverged }).toEqual({
      code: 1,
      ok: false,
      diverged: null,
    });
    expect(replayed.failures.map(({ title }) => title)).toContain('counter is 1');
    expect(replayed.diagram).toEqual(lost.minimised.diagram);

    // A token is of one scenario: with another it is refused, and by its names followed as far as it goes.
    const refused = await smplab(['replay', lost.token, '--scenario', example('counter-fixed')]);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toMatch(/^smplab: the token is from another state of its scenario: .*\n$/);
    const tolerant = ['replay', lost.tokenLong, '--tolerant', '--scenario', example('counter-fixed')];
    const followed = await smplab([...tolerant, '--json']);
    expect(followed.code).toBe(2);
    expect(documentOf<{ diverged: string }>(followed, 'replay').diverged).toMatch(
      /^at step \d+ the schedule is lost/,
    );
  });

  it('a proof: exit 0, complete, as many traces as orders of the two locked parts', async () => {
    const { code, ok, complete, distinctTraces, failures } = await explored('counter-fixed', [
      '--strategy',
      'dpor',
    ]);
    expect({ code, ok, complete, distinctTraces, failures }).toEqual({
      code: 0,
      ok: true,
      complete: true,
      distinctTraces: 2,
      failures: [],
    });
  });

  it('an exhaustive search cut short by --runs: exit 4, not complete', async () => {
    const { code, ok, complete } = await explored('counter-fixed', ['--strategy', 'delays', '--runs', '1']);
    expect({ code, ok, complete }).toEqual({ code: 4, ok: true, complete: false });
  });

  it('pct: says what it may have missed, and is valid with it', async () => {
    const { code, bounds } = await explored('counter-fixed', ['--strategy', 'pct', '--runs', '50']);
    expect(code).toBe(0);
    expect(bounds['depth']).toBe(3);
  });

  it('a bounded proof names its bound in the text', async () => {
    const { code, stdout } = await smplab([
      'explore',
      example('counter-fixed'),
      '--strategy',
      'preemptions',
      '--depth',
      '1',
    ]);
    expect(code).toBe(0);
    expect(stdout).toContain('\ncomplete: every interleaving with at most 1 preemptions was covered\n');
  });
});

const SB = `X86_64 SB
{ }
 P0            | P1            ;
 movl $1,(x)   | movl $1,(y)   ;
 movl (y),%eax | movl (x),%eax ;
exists (0:rax=0 /\\ 1:rax=0)
`;

describe.concurrent('smplab litmus --json', () => {
  it.each([
    ['tso', 'Sometimes', 4],
    ['sc', 'Never', 3],
  ])('store buffering under %s: %s, %i states', async (model, observation, states) => {
    const file = path.join(folder, 'sb.litmus');
    writeFileSync(file, SB);
    const ran = await smplab(['litmus', file, '--memory-model', model, '--json']);
    expect(ran.code).toBe(0);
    const { tests } = documentOf<{ tests: { name: string; observation: string; states: string[] }[] }>(
      ran,
      'litmus',
    );
    expect(tests).toMatchObject([{ name: 'SB', observation, complete: true, memoryModel: model }]);
    expect(tests[0]!.states).toHaveLength(states);
  });
});

describe.concurrent('examples', () => {
  it('are all tried here', () => {
    const files = readdirSync(path.join(root, 'examples')).filter((file) => file.endsWith('.ts'));
    expect(files).toEqual([
      'abba.ts',
      'counter-fixed.ts',
      'counter.ts',
      'interrupt.ts',
      'store-buffering.ts',
    ]);
  });

  it('abba: lockdep knows before it hangs, and going on shows the deadlock', async () => {
    const { code, failures } = await explored('abba', ['--strategy', 'dpor', '--keep-going']);
    expect(code).toBe(1);
    expect(failures.map(({ kind }) => kind).toSorted()).toEqual(['deadlock', 'lock-order']);
  });

  it('store-buffering: fails under tso, and is proved under sc', async () => {
    const { code, failures } = await explored('store-buffering', []);
    expect({ code, titles: failures.map(({ title }) => title) }).toEqual({
      code: 1,
      titles: ['both CPUs are inside'],
    });
    const sc = await explored('store-buffering', ['--memory-model', 'sc', '--strategy', 'dpor']);
    expect({ code: sc.code, complete: sc.complete }).toEqual({ code: 0, complete: true });
  });

  it('interrupt: one CPU and its interrupt are enough', async () => {
    const { code, failures } = await explored('interrupt', ['--strategy', 'dpor']);
    expect(code).toBe(1);
    expect(failures.map(({ title }) => title)).toEqual(['0 waiting and 1 taken, of 2']);
    expect(failures[0]!.minimised.diagram.some((line) => line.includes('<interrupt>'))).toBe(true);
  });
});

describe('always', () => {
  it('under tso it is asked of memory: a store in a buffer is not there yet, whoever holds the baton', async () => {
    const file = path.join(folder, 'always.ts');
    writeFileSync(
      file,
      `import { READ_ONCE, WRITE_ONCE, scenario, shared } from 'smplab';
const x = shared('x');
export default scenario({
  memoryModel: 'tso',
  on: [() => WRITE_ONCE(x, 'value', 1), () => READ_ONCE(x, 'value')],
  always: () => x.value === 0 || 'x is 1',
});
`,
    );
    const ran = await smplab(['explore', file, '--strategy', 'dpor', '--json']);
    const { failures } = documentOf<Explored>(ran, 'explore');
    expect(failures.map(({ title }) => title)).toEqual(['x is 1']);
    expect(failures[0]!.minimised.diagram.join('\n')).toContain('[store of x reaches memory]');
  });
});

/** Command line, and what its one line has to say. */
const UNUSABLE: readonly (readonly [string, RegExp])[] = [
  [`explore ${example('counter')} --shard 0/3`, /--shard 0\/3: expected I\/N with 1 <= I <= N/],
  [`explore ${example('counter')} --shard 1/2 --strategy dpor`, /--shard: dpor is not searched in shards/],
  [`explore ${example('counter')} --strategy magic`, /'magic' is invalid.*portfolio, dpor/],
  ['explore nowhere.ts', /nowhere\.ts: no such file/],
  [`explore ${path.join(root, 'package.json')}`, /no default export made by scenario\(\)/],
  ['replay nonsense', /the token is damaged: expected smp1:SCENARIO:LETTERS, got 'nonsense'/],
  ['replay smp1:counter.ts:AAEA', /the token is damaged: .*was it copied whole/],
  ['replay smp1:counter.ts:AAEA --view circle', /'circle' is invalid.*diagram, tree/],
  ['litmus /nonexistent.litmus', /\/nonexistent\.litmus: cannot be read \(ENOENT\)/],
  [`litmus ${path.join(root, 'package.json')}`, /package\.json:\d+: expected the architecture/],
];

describe('an unusable search', () => {
  it.concurrent.each(UNUSABLE)(
    'smplab %s: exit 2, one line on stderr, nothing on stdout',
    async (line, says) => {
      const { code, stdout, stderr } = await smplab(line.split(' '));
      expect(stdout).toBe('');
      expect(stderr.trimEnd().split('\n')).toHaveLength(1);
      expect(stderr).toMatch(/^smplab: /);
      expect(stderr).toMatch(says);
      expect(code).toBe(2);
    },
  );
});

/** Interrupts into a kernel thread's wait, hotplug under a call, and a task that sleeps. */
const COMPARED = [
  'online-only-sum-goes-negative/fixed',
  'vcpu-before-cpu-online/fixed',
  'broadcast-before-notifier-registered/fixed',
  'current-vmcs-belongs-to-another-task/fixed',
];

describe('smplab selfcheck --json', () => {
  // Of everything there is only when there is time: scripts/check.mjs does it for every change.
  const scenarios = isLong ? [] : COMPARED;

  it(`compares ${isLong ? 'everything' : scenarios.join(', ')}, and finds it the same`, async () => {
    const ran = await smplab(['selfcheck', ...scenarios, '--time', '0', '--json']);
    const checked = documentOf<{
      readonly compared: number;
      readonly different: readonly object[];
      readonly recorded: { readonly explained: number; readonly unexplained: readonly object[] };
    }>(ran, 'selfcheck');
    expect(checked.different).toEqual([]);
    expect(checked.recorded.unexplained).toEqual([]);
    expect(checked.recorded.explained).toBeGreaterThan(10);
    expect(checked.compared).toBeGreaterThan(isLong ? 700 : 20);
    expect(ran.code).toBe(0);
  });
});
