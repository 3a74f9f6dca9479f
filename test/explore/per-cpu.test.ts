/** The series of docs/per-cpu-variables.md: what each example shows is found, and what mends it holds. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { type CampaignReport, type StrategyName, compileScenario, runCampaign } from 'smplab';
import { describe, expect, it } from 'vitest';
import { TIMEOUT_MS } from './scenarios.ts';

const FOLDER = 'examples/per-cpu';
const SEEDS = [1, 2, 3];

/** Example, and what is found in it. */
const SHOWN: readonly (readonly [string, string])[] = [
  ['where', 'check: hits is not one place'],
  ['one-for-all', 'check: 1 of 2 hits counted'],
  ['preemptible', 'check: 0 of 1 hit counted'],
  ['interrupted', 'check: 1 of 2 hits counted'],
  ['sum-online', 'check: 3 of 4 hits counted'],
  ['kept-pointer', 'use-after-free: BUG: KASAN: slab-use-after-free in use'],
];

/** Example that mends another, and whether it can be proved. */
const MENDED: readonly (readonly [string, boolean])[] = [
  ['one-each', true],
  ['preemption-off', false],
  ['interrupts-off', true],
  ['sum-possible', true],
  ['pointer-put-back', false],
];

async function search(
  example: string,
  strategy: StrategyName,
  seed: number,
  runs: number,
): Promise<CampaignReport> {
  const name = `${FOLDER}/${example}.ts`;
  return runCampaign(await compileScenario(name), { name, strategy, seed, runs, shrinkRuns: 0 });
}

describe('per-CPU variables, in examples', { timeout: TIMEOUT_MS }, () => {
  it.each(SHOWN)('%s: %s', async (example, found) => {
    for (const seed of SEEDS) {
      const { failures } = await search(example, 'portfolio', seed, 2_000);
      const [failure] = failures.filter(({ kind }) => kind !== 'data-race');
      expect(`${failure?.kind}: ${failure?.title}`, `seed ${seed}`).toBe(found);
    }
  });

  it.each(MENDED)('%s: nothing is found (proved: %s)', async (example, isProved) => {
    const { failures, limit, statement } = isProved
      ? await search(example, 'dpor', 1, 10_000)
      : await search(example, 'portfolio', 1, 1_000);
    expect({ failures, limit }).toEqual({ failures: [], limit: undefined });
    expect(statement.complete).toBe(isProved);
  });

  it('the page tells of every example, and there is no other', () => {
    const page = readFileSync('docs/per-cpu-variables.md', 'utf8');
    const examples = [...SHOWN, ...MENDED].map(([example]) => example);
    for (const example of examples) {
      expect(existsSync(path.join(FOLDER, `${example}.ts`)), example).toBe(true);
      expect(page).toContain(`${FOLDER}/${example}.ts`);
    }
    expect(readdirSync(FOLDER).toSorted()).toEqual(examples.map((example) => `${example}.ts`).toSorted());
  });
});
