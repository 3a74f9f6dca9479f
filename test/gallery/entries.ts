/**
 * What must hold of every entry of the gallery: its race is found in its broken kernel by the default search, fails again from its
 * token, and is gone from its fixed kernel; and neither kernel shows anything else. With SMPLAB_LONG=1 for twenty seeds, small enough,
 * with 100,000 schedules of each fixed kernel that is not exhausted, and without a data race that is not its time's own.
 */
import { existsSync, readFileSync } from 'node:fs';
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

const long = process.env['SMPLAB_LONG'] === '1';
const SEEDS = long ? 20 : 1;
const FIXED_RUNS = long ? 100_000 : 10;
const TIMEOUT_MS = long ? 4 * 3_600_000 : 60_000;
/** Found only after thousands of long or tens of thousands of short schedules: ten seconds of everybody's time, each. */
const LATE: ReadonlySet<string> = new Set([
  'offline-between-unregister-and-disable',
  'percpu-call-data-reused-under-a-walker',
]);

const folderOf = ({ id }: GalleryEntry): string => path.dirname(galleryScenario(id)!);

/** Every second entry: two files of tests have a core each. */
export function describeEntries(half: 0 | 1): void {
  describe.each(galleryEntries().filter((_, index) => index % 2 === half))('gallery: $id', (entry) => {
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

    it.skipIf(!long && LATE.has(entry.id))(
      'is found, fails again from its token, and its fix holds, with nothing else in either kernel',
      async () => {
        const options = {
          seeds: SEEDS,
          fixedRuns: FIXED_RUNS,
          ...(long ? { raceRuns: 20 } : { shrinkRuns: 0 }),
        };
        const verified = await verifyEntry(entry, options);
        expect(verified).toMatchObject({
          foundSeeds: SEEDS,
          replayed: true,
          otherFindings: [],
          fixedClean: true,
          fixedFailures: [],
          ok: true,
        });
        expect(verified.kind).toBe(entry.expect.kind);
        expect(verified.title).toMatch(new RegExp(entry.expect.title));
        expect(verified.runsToFind).toBeLessThanOrEqual(verified.limit);
        expect(verified.token).toContain(entry.id);
        expect(verified.fixedComplete).toBe(entry.provable === true);
        if (entry.provable !== true) expect(verified.fixedRuns).toBeGreaterThanOrEqual(FIXED_RUNS);
        if (long) expect(verified.preemptions).toBeLessThanOrEqual(entry.preemptions);
      },
      TIMEOUT_MS,
    );
  });
}
