/** The gallery as a whole, what verifying has to notice, and its command line. That each entry holds: entries.ts. */
import { readFileSync, readdirSync } from 'node:fs';
import {
  type GalleryEntry,
  compileScenario,
  galleryEntries,
  galleryScenario,
  isKnownRace,
  runCampaign,
  scheduleLimit,
  verifyEntry,
} from 'smplab';
import { describe, expect, it } from 'vitest';
import { smplab } from '../cli/run.ts';

const entries = galleryEntries();

describe('gallery', () => {
  it('ships every entry there is, under its own name', () => {
    const folders = readdirSync('src/gallery', { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && entry.name !== 'internal')
      .map(({ name }) => name);
    expect(entries.map(({ id }) => id)).toEqual(folders.toSorted());
    expect(entries.filter(({ lesson }) => lesson === undefined).length).toBeGreaterThanOrEqual(49);
  });

  it('has six lessons, in order, and the guide leads to each', () => {
    const lessons = entries.filter(({ family }) => family === 'lesson');
    expect(lessons.map(({ lesson }) => lesson)).toEqual([1, 2, 3, 4, 5, 6]);
    const guide = readFileSync('docs/per-cpu-variables.md', 'utf8');
    for (const { id } of lessons) expect(guide).toContain(`src/gallery/${id}/README.md`);
  });

  it('gives 20,000 schedules to what three orders and interrupts force, and 200,000 to what takes more', () => {
    const [entry] = entries as [GalleryEntry];
    expect(scheduleLimit({ ...entry, depth: 2, interrupts: 1 })).toBe(20_000);
    expect(scheduleLimit({ ...entry, depth: 2, interrupts: 2 })).toBe(200_000);
  });

  it('knows an id from a path, and the fixed kernel from the broken one', () => {
    const [{ id }] = entries as [GalleryEntry];
    expect(galleryScenario(id)).toMatch(/scenario\.ts$/);
    expect(galleryScenario(`${id}/fixed`)).toMatch(/fixed\.ts$/);
    for (const name of [`${id}/broken`, `${id}/fixed/fixed`, `./${id}`, 'internal', '../gallery', ''])
      expect(galleryScenario(name), name).toBeUndefined();
  });
});

describe('shrinking', () => {
  // Hundreds of preemptions in two flows that sleep on each other's locks: change by change it ended at 156.
  it('finds the two preemptions that two vendor modules need among hundreds, in 100 runs', async () => {
    const entry = entries.find(({ id }) => id === 'two-vendor-modules-pass-the-same-check')!;
    const verified = await verifyEntry({ ...entry, preemptions: 2 }, { fixedRuns: 2, shrinkRuns: 100 });
    expect(verified).toMatchObject({ ok: true, preemptionsMax: 2 });
  });
});

/** A copy of an entry that promises something else: what verifying has to notice. */
describe('verifying notices', () => {
  const entry = entries.find(({ id }) => id === 'debug-descriptor-lock-not-atomic')!;

  it.each<[string, Partial<GalleryEntry>, object]>([
    [
      'what is not found',
      { expect: { kind: 'check', title: 'something else' } },
      {
        found: false,
        runsToFind: null,
        token: null,
        otherFindings: expect.arrayContaining([expect.stringMatching(/^check: a queue goes/)]),
      },
    ],
    [
      'a schedule that does not shrink as far as promised',
      { preemptions: 0 },
      { found: true, preemptions: 1 },
    ],
  ])('%s', async (_what, change, seen) => {
    const verified = await verifyEntry({ ...entry, ...change }, { runs: 100, fixedRuns: 10 });
    expect(verified).toMatchObject({ ...seen, ok: false });
  });

  it('a data race in a fixed kernel that the code of its time does not have', async () => {
    // As a fixed kernel it has the race that it is about: a counter that two CPUs add to without a lock.
    const racy = entries.find(({ id }) => id === 'lesson-2-one-counter-for-all')!;
    const verified = await verifyEntry(racy, { fixedRuns: 10, raceRuns: 10, shrinkRuns: 0 });
    expect(verified).toMatchObject({ fixedClean: true, fixedFailures: [] });
    const scenario = galleryScenario(racy.id)!;
    const { reported } = await runCampaign(await compileScenario(scenario), {
      name: racy.id,
      strategy: 'pos',
      seed: 1,
      runs: 10,
      races: 'report',
    });
    expect(reported.filter((race) => !isKnownRace(race))).toEqual([
      expect.objectContaining({ kind: 'data-race' }),
    ]);
  });

  it('a finding in a broken kernel that its entry does not name', async () => {
    const loud = entries.find(({ id }) => id === 'cross-call-with-irqs-off-abba')!;
    const { also: _also, ...silent } = loud;
    const verified = await verifyEntry(silent, { fixedRuns: 10, shrinkRuns: 0 });
    expect(verified).toMatchObject({ found: true, fixedClean: true, ok: false });
    expect(verified.otherFindings).toEqual([
      expect.stringMatching(/^warning: .* called with interrupts off/),
    ]);
  });
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

  it('shows a run that fails, and in the first lesson where the copies are', async () => {
    const id = 'lesson-1-a-variable-in-many-places';
    const { code, stdout } = await smplab(['gallery', 'show', id, '--view', 'diagram']);
    expect(code).toBe(0);
    const offsets = [...stdout.matchAll(/hits: (0x[0-9a-f]+) \+ offset (0x[0-9a-f]+) = (0x[0-9a-f]+)/g)];
    expect(offsets).toHaveLength(2);
    for (const [, address, offset, copy] of offsets)
      expect(Number(address) + Number(offset)).toBe(Number(copy));
    expect(stdout).toContain('BUG: hits is not one place');
    const tree = await smplab(['gallery', 'show', id, '--view', 'tree']);
    expect(tree.stdout).toMatch(/look\(\)/);
    expect((await smplab(['gallery', 'show', id])).stdout).toContain('--view diagram');
  });

  it('lists races and lessons apart', async () => {
    const { stdout } = await smplab(['gallery', 'list']);
    const [races, lessons] = stdout.split('Lessons on per-CPU variables');
    expect(races).toContain('  vcpu-before-cpu-online  ');
    expect(lessons!.match(/lesson-\d/g)).toEqual([1, 2, 3, 4, 5, 6].map((number) => `lesson-${number}`));
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
