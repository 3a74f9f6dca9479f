/**
 * The gallery holds: each race is found in its broken kernel with its stated search, fails again from its token, and is gone
 * from its fixed kernel. With SMPLAB_LONG=1 for twenty seeds, and with 100,000 schedules of each fixed kernel.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import {
  type GalleryEntry,
  compileScenario,
  galleryEntries,
  galleryScenario,
  symbolTable,
  verifyEntry,
} from 'smplab';
import { describe, expect, it } from 'vitest';
import { smplab } from '../cli/run.ts';

const long = process.env['SMPLAB_LONG'] === '1';
const SEEDS = long ? Array.from({ length: 20 }, (_, index) => index + 1) : [1];
const FIXED_RUNS = long ? 100_000 : 30;
const SCHEDULES_MAX = 20_000;
const TIMEOUT_MS = long ? 3_600_000 : 60_000;

const entries = galleryEntries();

const folderOf = ({ id }: GalleryEntry): string => path.dirname(galleryScenario(id)!);

describe('gallery', () => {
  it('ships every entry there is, under its own name', () => {
    const folders = readdirSync('src/gallery', { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== 'internal')
      .map(({ name }) => name);
    expect(entries.map(({ id }) => id)).toEqual(folders.toSorted());
    expect(entries.length).toBeGreaterThanOrEqual(49);
  });

  it('knows an id from a path, and the fixed kernel from the broken one', () => {
    const [{ id }] = entries as [GalleryEntry];
    expect(galleryScenario(id)).toMatch(/scenario\.ts$/);
    expect(galleryScenario(`${id}/fixed`)).toMatch(/fixed\.ts$/);
    for (const name of [`${id}/broken`, `${id}/fixed/fixed`, `./${id}`, 'internal', '../gallery', ''])
      expect(galleryScenario(name), name).toBeUndefined();
  });
});

describe.each(entries)('gallery: $id', (entry) => {
  it('has a page, and names the functions that its kernels replace', async () => {
    const page = path.join(folderOf(entry), 'README.md');
    expect(existsSync(page)).toBe(true);
    expect(readFileSync(page, 'utf8')).toContain(`smplab explore ${entry.id}`);
    const { broken, fixed } = entry.livepatches;
    const [brokenCode, fixedCode] = [
      (await compileScenario(galleryScenario(entry.id)!, 'threads')).code,
      (await compileScenario(galleryScenario(`${entry.id}/fixed`)!, 'threads')).code,
    ];
    for (const name of broken) expect(brokenCode).toContain(name);
    for (const name of fixed) {
      expect(fixedCode).toContain(name);
      // A function of the kernel's, or one that the scenario itself declares.
      const declared = new RegExp(`kernel_function\\)\\(\\s*"${name}"`).test(brokenCode);
      expect(symbolTable().includes(name) || declared, name).toBe(true);
    }
  });

  // One that needs tens of thousands of schedules is for the long run: it is ten seconds of everybody's time.
  it.each(long || entry.search.runs <= SCHEDULES_MAX ? SEEDS : [])(
    'is found with seed %i, fails again from its token, and its fix holds',
    async (seed) => {
      const verified = await verifyEntry(entry, { seed, fixedRuns: FIXED_RUNS, shrinkRuns: 0 });
      expect(verified).toMatchObject({ found: true, replayed: true, fixedClean: true, fixedFailures: [] });
      expect(verified.kind).toBe(entry.expect.kind);
      expect(verified.title).toMatch(new RegExp(entry.expect.title));
      expect(verified.runsToFind).toBeLessThanOrEqual(entry.search.runs);
      expect(verified.token).toContain(entry.id);
      if (entry.provable === true) expect(verified.fixedComplete).toBe(true);
      else expect(verified.fixedRuns).toBeGreaterThanOrEqual(FIXED_RUNS);
    },
    TIMEOUT_MS,
  );
});

describe('gallery: the command line', () => {
  it('explores an id, and replays the token that carries it, from anywhere', async () => {
    const id = 'cross-call-with-irqs-off-abba';
    const explored = await smplab(['explore', id, '--json']);
    expect(explored.code).toBe(1);
    const [failure] = (
      JSON.parse(explored.stdout) as { readonly failures: readonly { readonly token: string }[] }
    ).failures;
    expect(failure!.token).toContain(`:${id}:`);
    const replayed = await smplab(['replay', failure!.token, '--json']);
    expect(replayed.code).toBe(1);
    expect(JSON.parse(replayed.stdout)).toMatchObject({
      scenario: id,
      ok: false,
      failures: [{ kind: 'deadlock' }],
    });
  });

  it('verifies one entry, in one JSON document', async () => {
    const { code, stdout } = await smplab([
      'gallery',
      'verify',
      'svm-area-for-online-cpus-only',
      '--fixed-runs',
      '6',
      '--json',
    ]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'smplab.gallery/1',
      entries: [{ found: true, runsToFind: 1, replayed: true, fixedClean: true, fixedRuns: 6 }],
    });
  });

  it('counts how often unsteered runs of an entry fail, the fixed kernel too', async () => {
    const id = 'online-only-sum-goes-negative';
    const { code, stdout } = await smplab(['gallery', 'chance', id, `${id}/fixed`, '--runs', '10', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'smplab.gallery/1',
      entries: [
        { id, runs: 10, failed: 10, kinds: { check: 10 } },
        { id: `${id}/fixed`, runs: 10, failed: 0, kinds: {} },
      ],
    });
  });

  it('refuses an entry that is none', async () => {
    const { code, stderr } = await smplab(['gallery', 'verify', 'no-such-race']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/no entry no-such-race/);
  });
});
