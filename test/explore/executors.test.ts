/** Fibers search what threads are: one schedule is the same run on both, and a token of one is a token of the other. */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  type ScenarioExecutor as Executor,
  Laboratory,
  ScenarioExecutor,
  compareExecutors,
  compileScenario,
  policyNumber,
  runSearch,
  searchFor,
} from 'smplab';
import { describe, expect, it, vi } from 'vitest';
import { smplab } from '../cli/run.ts';
import { recalledProgram } from '../support/recalled-programs.ts';
import { TIMEOUT_MS, explore } from './scenarios.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const isLong = process.env['SMPLAB_LONG'] !== undefined;
const RANDOM = policyNumber('random');
const COMPLETE = 1;
/** Words of the machine block (memory/layout.ts). */
const [RUN, DOORBELL] = [0x400 + 160 + 2, 0x400 + 64];

/** The mended ones when there is time: they are the others with a lock or an order more. */
const folders = isLong ? ['test/programs', 'test/programs/fixed'] : ['test/programs'];
const programs = folders.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.ts') && name !== 'reorder.ts')
    .map((name) => path.join(folder, name)),
);

describe('two executors', () => {
  it('run the programs and a boot with hotplug with the same bytes', async () => {
    const seconds = isLong ? 600 : 0;
    const { compared, different } = await compareExecutors({ seconds, seed: 1, files: programs });
    expect(different).toEqual([]);
    expect(compared).toBeGreaterThan(isLong ? 400 : 200);
  });

  it.each([
    ['fibers', 'threads'],
    ['threads', 'fibers'],
  ])('a failure found on %s is replayed on %s', async (finds, replays) => {
    const { json } = await explore('test/programs/reorder_3.ts', '--executor', finds);
    const [failure] = json.failures;
    const { code, stdout } = await smplab(['replay', failure!.token, '--executor', replays]);
    expect(stdout).toContain(failure!.title);
    expect(code).toBe(1);
  });

  it('count the same executions of an exhaustive search', async () => {
    const [fibers, threads] = await Promise.all(
      ['fibers', 'threads'].map((kind) =>
        explore('test/programs/fixed/lazy01.ts', '--strategy', 'dpor', '--executor', kind),
      ),
    );
    expect(fibers!.json.complete).toBe(true);
    expect(fibers!.json.runs).toBe(threads!.json.runs);
  });

  it('boot a machine as `smplab boot` does', async () => {
    const { code, stdout } = await smplab([
      'boot',
      '--mode',
      'deterministic',
      '--executor',
      'fibers',
      '--json',
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ schema: 'smplab.boot/1', ok: true });
  });

  it('fibers need a deterministic machine', async () => {
    const { code, stderr } = await smplab(['boot', '--executor', 'fibers']);
    expect(code).toBe(2);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

type Plan = Parameters<Executor['run']>[0];

/** All that a run leaves: how it ended, what is said of it, its log, and memory, but for stacks that nobody is on any more. */
function leavings(laboratory: Laboratory, plan: Plan): string {
  const { stop, switches, findings, blocked, log } = laboratory.run(plan);
  const { layout, bus } = laboratory.inner.machine;
  const memory = bus.u8.slice(0, layout.heapEnd).fill(0, layout.contexts, layout.perCpuAreas);
  // Of this moment, and no run's: its number, and what the host waits on.
  const words = new Int32Array(memory.buffer);
  words[RUN] = 0;
  words[DOORBELL] = 0;
  const digest = createHash('sha256').update(memory);
  digest.update(log.words.slice(0, log.records * 8));
  const { fingerprint, hasFacts } = log;
  const said = JSON.stringify([findings, blocked, fingerprint, hasFacts]);
  return [stop, switches, said, digest.digest('hex')].join(' ');
}

describe('what flows have been seen to do', () => {
  const runs = isLong ? 2_000 : 120;
  const some = /programs\/(stack|queue|wronglock)/;
  it.each(programs.filter((file) => isLong || some.test(file)))(
    '%s: runs made from it are the runs that the code makes',
    async (file) => {
      const executor = await ScenarioExecutor.create(await compileScenario(file, 'fibers'));
      const laboratory = new Laboratory(executor, executor.loaded.scenario);
      for (let seed = 1; seed <= runs; seed++) {
        const policy = policyNumber(['random', 'pct', 'pos', 'stay'][seed & 3]!);
        const plan = { prefix: [], policy, seed, parameters: [3, 40] };
        // Which memory is shared has to be known: it decides what is a choice.
        while (executor.run(plan).sharedGrew) continue;
        expect(leavings(laboratory, plan), `seed ${seed}`).toBe(
          leavings(laboratory, { ...plan, isAnew: true }),
        );
      }
      expect(executor.recalled).toBeGreaterThan(10);
      await executor.close();
    },
  );

  it('a campaign says of its runs what it says of the same runs by code', async () => {
    const said: unknown[] = [];
    for (const isAnew of [false, true]) {
      const executor = await ScenarioExecutor.create(
        await compileScenario('test/programs/stack.ts', 'fibers'),
      );
      const laboratory = new Laboratory(executor, { races: 'report' });
      const search = searchFor({ strategy: 'pct', seed: 7, runs: 300 });
      const one = { actors: executor.actors, run: (plan: Plan) => laboratory.run({ ...plan, isAnew }) };
      runSearch(search, one, () => false);
      expect(executor.recalled > 100).toBe(!isAnew);
      said.push(search.statement());
      await executor.close();
    }
    expect(said[0]).toEqual(said[1]);
  });

  it('programs by chance, with waits, interrupts and cross calls: the same, and most are made so', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'smplab-recalled-'));
    let recalled = 0;
    const seeds = Array.from({ length: isLong ? 1_000 : 8 }, (_, index) => index + 1);
    for (const seed of seeds) {
      const file = path.join(folder, `${seed}.ts`);
      await writeFile(file, recalledProgram(seed));
      const executor = await ScenarioExecutor.create(await compileScenario(file, 'fibers'));
      const laboratory = new Laboratory(executor, executor.loaded.scenario);
      for (let run = 1; run <= 90; run++) {
        const plan = { prefix: [], policy: RANDOM, seed: run };
        while (executor.run(plan).sharedGrew);
        const what = `program ${seed}, run ${run}`;
        expect(leavings(laboratory, plan), what).toBe(leavings(laboratory, { ...plan, isAnew: true }));
      }
      recalled += executor.recalled;
      await executor.close();
    }
    await rm(folder, { recursive: true });
    expect(recalled / seeds.length).toBeGreaterThan(80);
  });

  it('is not used of a scenario that keeps state in the heap', async () => {
    const source = await compileScenario('test/programs/hostile/fills_the_heap.ts', 'fibers');
    const executor = await ScenarioExecutor.create(source);
    for (let seed = 1; seed <= 60; seed++) executor.run({ prefix: [], policy: RANDOM, seed });
    expect(executor.recalled).toBe(0);
    await executor.close();
  });
});

/** The same runs again, in the same machine: nothing of one is left for the next. */
function digests(executor: Executor, seeds: readonly number[]): string[] {
  return seeds.map((seed) => {
    const { log, stop, steps } = executor.run({ prefix: [], policy: RANDOM, seed });
    return `${stop} ${steps} ${log.words.slice(0, log.records * 8).join()}`;
  });
}

describe('a machine on fibers', () => {
  it('is the same at the start of every run, also after a deadlock', async () => {
    const source = await compileScenario('test/programs/deadlock01.ts');
    const executor = await ScenarioExecutor.create(source);
    try {
      const seeds = Array.from({ length: 40 }, (_, index) => index + 1);
      // What is shared becomes known first.
      digests(executor, seeds);
      const once = digests(executor, seeds);
      expect(digests(executor, seeds.toReversed()).toReversed()).toEqual(once);
      expect(once.some((digest) => digest.startsWith('2 '))).toBe(true);
    } finally {
      await executor.close();
    }
  });

  it('under tso a CPU sees the kernel thread that it woke for itself: loading a module ends', async () => {
    const source = await compileScenario('src/gallery/broadcast-before-notifier-registered/fixed.ts');
    const executor = await ScenarioExecutor.create(source, { memoryModel: 'tso' });
    try {
      const stops = Array.from(
        { length: 5 },
        (_, index) => executor.run({ prefix: [], policy: RANDOM, seed: index + 1 }).stop,
      );
      expect(new Set(stops)).toEqual(new Set([COMPLETE]));
    } finally {
      await executor.close();
    }
  });

  it('under tso what a CPU stores before it is off reaches memory: who waits for its last word does not give up', async () => {
    const source = await compileScenario('test/programs/hotplug/cpu_goes_offline.ts');
    const executor = await ScenarioExecutor.create(source, { memoryModel: 'tso' });
    const TIMEOUT = 15;
    try {
      const gaveUp = Array.from({ length: 10 }, (_, index) => {
        const { log } = executor.run({ prefix: [], policy: RANDOM, seed: index + 1 });
        const heads = Array.from({ length: log.records }, (__, record) => log.words[record * 8]!);
        return heads.filter((head) => (head & 0xff) === TIMEOUT).map((head) => head >>> 23);
      });
      // CPU 1 lets interrupts that are on their way arrive: that takes its time. CPU 0 waits a second at most.
      expect(new Set(gaveUp.flat())).toEqual(new Set([1]));
    } finally {
      await executor.close();
    }
  });
});
