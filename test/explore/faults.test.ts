/** Faults in a search: they strike every run alike, belong to the token, and are the same on fibers and on threads. */
import { createHash } from 'node:crypto';
import { ScenarioExecutor, compileScenario, policyNumber } from 'smplab';
import { describe, expect, it, vi } from 'vitest';
import { smplab } from '../cli/run.ts';
import { TIMEOUT_MS, explore, replay } from './scenarios.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const PROGRAM = 'test/programs/faults/takes_for_granted.ts';
const RANDOM = policyNumber('random');
const EXECUTORS = ['fibers', 'threads'] as const;

describe('explore --fault', () => {
  it('finds what only a failed allocation brings out, and the token replays it with the fault on both executors', async () => {
    const clean = await explore(PROGRAM, '--runs', '300');
    expect(clean.json.failures).toEqual([]);
    const { json, code } = await explore(PROGRAM, '--fault', 'kmalloc,nth=2');
    const [failure] = json.failures;
    expect({ code, kind: failure?.kind }).toEqual({ code: 1, kind: 'oops' });
    expect(failure!.title).toMatch(/NULL pointer/);
    const replayed = await Promise.all(EXECUTORS.map((kind) => replay(failure!.token, '--executor', kind)));
    for (const { json: again } of replayed) {
      expect(again.diverged).toBeNull();
      expect(again.failures).toMatchObject([{ kind: 'oops', title: failure!.title }]);
      expect(again.diagram).toEqual(failure!.minimised.diagram);
    }
  });

  it('draws by each CPU alone: a schedule is the same run on both executors, and another seed is another run', async () => {
    const source = await compileScenario(PROGRAM, 'fibers');
    const digests = async (executor: (typeof EXECUTORS)[number], seed: number): Promise<string[]> => {
      const faults = { faults: [{ site: 'kmalloc', probability: 0.5 }], seed };
      const made = await ScenarioExecutor.create(source, { executor, faults });
      try {
        return Array.from({ length: 30 }, (_, index) => {
          const { log, steps, findings } = made.run({ prefix: [], policy: RANDOM, seed: index + 1 });
          const words = createHash('sha256')
            .update(log.words.slice(0, log.records * 8))
            .digest('hex');
          return `${steps} ${findings.length} ${words}`;
        });
      } finally {
        await made.close();
      }
    };
    const seen = new Set<string>();
    for (const seed of [1, 2, 3, 4]) {
      const fibers = await digests('fibers', seed);
      expect(await digests('threads', seed)).toEqual(fibers);
      seen.add(fibers.join('\n'));
    }
    expect(seen.size).toBeGreaterThan(1);
  });

  it('a search that proves takes faults that strike every time, and refuses those that somebody has to count', async () => {
    const proved = await explore(PROGRAM, '--strategy', 'dpor', '--fault', 'kmalloc', '--keep-going');
    expect(proved.json.failures).toMatchObject([{ kind: 'oops' }]);
    const { code, stdout, stderr } = await smplab([
      'explore',
      PROGRAM,
      '--strategy',
      'dpor',
      '--fault',
      'kmalloc,nth=2',
    ]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^smplab: --fault kmalloc,nth=2: dpor .*\n$/);
  });

  it.each([
    ['ipi-delay', 'needs parallel'],
    ['kmalloc,cpu=9', 'there is no CPU 9'],
  ])('%s: refused in one line', async (fault, why) => {
    const { code, stderr } = await smplab(['explore', PROGRAM, '--fault', fault]);
    expect(code).toBe(2);
    expect(stderr).toContain(why);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});
