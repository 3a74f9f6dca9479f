/** Parallel runs that are recorded, and explained by the memory model: or a defect of the bus is found. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { build } from 'esbuild';
import { afterAll, describe, expect, it } from 'vitest';
import { checkRecorded, closeSharedPool, compileScenario, createPool } from 'smplab';
import { BITS, parallelProgram } from '../support/parallel-programs.ts';

const isLong = process.env['SMPLAB_LONG'] !== undefined;
const LONG_MS = 300_000;
/** 1,000 runs in all when there is time. */
const PROGRAMS = isLong ? 20 : 4;
const RUNS_EACH = isLong ? 50 : 10;

afterAll(closeSharedPool);

/** A CPU thread of a fixture, as a file that a pool can load. */
async function bundled(entry: string, folder: string): Promise<string> {
  const outfile = path.join(folder, 'cpu.cjs');
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: 'cjs',
    platform: 'node',
    conditions: ['smplab-source'],
  });
  return outfile;
}

describe('a recorded parallel run', () => {
  it(
    `is explained by x86-TSO (${PROGRAMS} programs, seeds from 1, ${RUNS_EACH} runs each)`,
    async () => {
      let operations = 0;
      for (let seed = 1; seed <= PROGRAMS; seed++) {
        const report = await checkRecorded(parallelProgram(seed, 2 + (seed % 2)), { runs: RUNS_EACH });
        expect({ seed, ...report }).toMatchObject({
          seed,
          unexplained: [],
          inconclusive: 0,
          explained: RUNS_EACH,
        });
        operations += report.operations;
      }
      expect(operations).toBeGreaterThan(PROGRAMS * RUNS_EACH * 100);
    },
    LONG_MS,
  );

  it(
    'of the whole kernel, hotplug and all, is explained as well',
    async () => {
      const source = await compileScenario('src/gallery/vcpu-before-cpu-online/fixed.ts', 'threads');
      const report = await checkRecorded(source, { runs: isLong ? 50 : 3 });
      expect(report).toMatchObject({ unexplained: [], inconclusive: 0 });
      expect(report.operations).toBeGreaterThan(report.runs * 1000);
    },
    LONG_MS,
  );

  it(
    'shows a bit operation that is not atomic, and which operations contradict each other',
    async () => {
      const folder = mkdtempSync(path.join(tmpdir(), 'smplab-broken-bus-'));
      const pool = createPool({ entry: await bundled('test/fixtures/broken-bus/cpu.ts', folder) });
      try {
        const { unexplained, explained } = await checkRecorded(BITS, { runs: 10, pool });
        expect(explained).toBeLessThan(10);
        const [{ title, lines }] = unexplained as [(typeof unexplained)[number]];
        expect(title).toBe(
          'the parallel bus broke its memory model: no order of operations explains what was read of bits',
        );
        expect(lines.join('\n')).toMatch(
          /CPU \d changes bits from 0x[0-9a-f]+ to 0x[0-9a-f]+ in .*operation \d+/,
        );
      } finally {
        await pool.close();
        rmSync(folder, { recursive: true });
      }
    },
    LONG_MS,
  );

  it('that makes more operations than fit says so', async () => {
    const report = await checkRecorded(parallelProgram(1, 2), { runs: 2, record: 16 });
    expect(report).toMatchObject({ runs: 2, inconclusive: 2, explained: 0, unexplained: [] });
  });
});
