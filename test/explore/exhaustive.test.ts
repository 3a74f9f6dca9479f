/**
 * What dpor proves, another search must not refute: all traces within preemption bounds, and some by chance, are among
 * those of dpor. A wrong step of dpor's shows here, and so does a look at memory that the simulated kernel takes without an
 * operation: nobody can reverse what is in no log. With SMPLAB_LONG=1 over every gallery entry and program small enough.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ScenarioExecutor, compileScenario, galleryEntries, galleryScenario, searchFor } from 'smplab';
import { DporSearch } from '#explore/dpor';
import { type RunResult, RunStop } from '#explore/executor';
import { Fingerprints } from '#explore/happens-before';
import type { Search } from '#explore/search';

const long = process.env['SMPLAB_LONG'] === '1';
const RUNS = long ? 20_000 : 1_000;
const SEED = Number(process.env['SEED'] ?? 7);
/** Memory becomes known as shared, and both begin again: each time there is less that can. */
const ROUNDS_MAX = 8;
const TIMEOUT_MS = long ? 3_600_000 : 60_000;

const programsOf = (folder: string): string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.ts') && name !== 'reorder.ts')
    .map((name) => `${folder}/${name}`);

const few = [
  ...programsOf('test/programs/kernel'),
  'test/programs/account.ts',
  'test/programs/bluetooth_driver.ts',
  'test/programs/fixed/queue.ts',
  'test/programs/fixed/token_ring.ts',
  'current-vmcs-belongs-to-another-task/fixed',
];
const subjects = long
  ? [
      ...['test/programs', 'test/programs/fixed', 'test/programs/kernel', 'test/programs/hotplug'].flatMap(
        programsOf,
      ),
      ...galleryEntries().flatMap(({ id }) => [id, `${id}/fixed`]),
    ]
  : few;

const fingerprints = new Fingerprints();

/** What a run showed: its trace. A failure ends a run wherever the others are, so that only what failed is comparable. */
function shownBy({ stop, findings, log }: RunResult): string | undefined {
  if (stop === RunStop.COVERED || stop === RunStop.DIVERGED || stop === RunStop.STEP_LIMIT) return undefined;
  if (stop === RunStop.DIED) return findings.map(({ title }) => title).join();
  return fingerprints.of(log).join(':');
}

interface Covered {
  readonly shown: Set<string>;
  /** Memory became known as shared on the way. */
  hasGrown: boolean;
}

function cover(executor: ScenarioExecutor, search: Search): Covered {
  const covered: Covered = { shown: new Set(), hasGrown: false };
  for (let plan = search.next(); plan !== undefined; plan = search.next()) {
    const result = executor.run(plan);
    search.observe(result);
    if (result.sharedGrew) {
      covered.hasGrown = true;
      covered.shown.clear();
    }
    const shown = shownBy(result);
    if (shown !== undefined) covered.shown.add(shown);
  }
  return covered;
}

/** Half of what this file takes, for stores that are drained before anybody looks. */
const tooLong = (subject: string, memoryModel: 'sc' | 'tso'): boolean =>
  !long && memoryModel === 'tso' && galleryEntries().some(({ id }) => subject.startsWith(id));

describe.each(['sc', 'tso'] as const)('exhaustive search (%s)', (memoryModel) => {
  it.each(subjects.filter((subject) => !tooLong(subject, memoryModel)))(
    '%s: dpor has every trace that a bounded search finds',
    { timeout: TIMEOUT_MS },
    async (subject) => {
      const file = subject.endsWith('.ts') ? subject : galleryScenario(subject)!;
      const executor = await ScenarioExecutor.create(await compileScenario(file), { memoryModel });
      try {
        for (let round = 0; round < ROUNDS_MAX; round++) {
          const search = new DporSearch({ runs: RUNS });
          const proved = cover(executor, search).shown;
          // Only what comes to its end within a few runs can be compared.
          if (search.estimate() > search.executions) {
            expect(long).toBe(true);
            return;
          }
          const others = ['preemptions', 'random'] as const;
          const found = others.map((strategy) =>
            cover(
              executor,
              searchFor({ strategy, seed: SEED, runs: strategy === 'random' ? RUNS / 10 : RUNS }),
            ),
          );
          if (found.some(({ hasGrown }) => hasGrown)) continue;
          for (const { shown } of found) expect([...shown].filter((trace) => !proved.has(trace))).toEqual([]);
          expect(search.cutShort).toBe(0);
          return;
        }
        expect.unreachable('memory became shared again and again');
      } finally {
        await executor.close();
      }
    },
  );
});
