import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkRecord } from '../../../scripts/gallery-record.mjs';
import { projectRoot } from '../../support/planted.ts';

const ID = 'lesson-2-one-counter-for-all';
const PAGE = `src/gallery/${ID}/README.md`;
const RECORD = 'docs/gallery-record.json';

describe('gate gallery-record', () => {
  let house: string;
  const change = (file: string, from: string | RegExp, to: string): void => {
    const text = readFileSync(path.join(house, file), 'utf8');
    const changed = text.replace(from, to);
    expect(changed).not.toBe(text);
    writeFileSync(path.join(house, file), changed);
  };
  const found = async (): Promise<string[]> =>
    (await checkRecord(house, false)).map(({ file, rule, message }) => `${file} ${rule} ${message}`);

  /** A gallery of one entry, whose figures are made up. */
  beforeEach(async () => {
    house = mkdtempSync(path.join(tmpdir(), 'smplab-gallery-'));
    cpSync(path.join(projectRoot, `src/gallery/${ID}`), path.join(house, `src/gallery/${ID}`), {
      recursive: true,
    });
    mkdirSync(path.join(house, 'docs'));
    const figures = {
      found: {
        command: 'find',
        seeds: 20,
        foundSeeds: 20,
        runsToFind: 4,
        runsToFindMedian: 3,
        limit: 20_000,
        preemptions: 1,
        replayed: true,
      },
      fixed: { command: 'fix', complete: false, runs: 100_000, strategies: { pct: 50_000, pos: 50_000 } },
      chance: { command: 'wait', runs: 10_000, failed: 2, kinds: { check: 2 }, cores: 2 },
    };
    writeFileSync(path.join(house, RECORD), JSON.stringify({ [ID]: figures }, undefined, 2));
    await checkRecord(house, true);
  });
  afterEach(() => rmSync(house, { recursive: true }));

  it('has nothing to say of pages that it has just written', async () => {
    expect(readFileSync(path.join(house, PAGE), 'utf8')).toContain('found in 20 of 20 seeds');
    expect(await found()).toEqual([]);
  });

  it('finds a figure that was changed by hand, on its line', async () => {
    change(PAGE, /schedule \d+ at the latest/, 'schedule 3 at the latest');
    const faults = await checkRecord(house, false);
    expect(faults).toMatchObject([{ file: PAGE, rule: 'measured' }]);
    const lines = readFileSync(path.join(house, PAGE), 'utf8').split('\n');
    expect(lines[faults[0]!.line - 1]).toContain('schedule 3 at the latest');
  });

  it('finds a record whose pages were not written again', async () => {
    change(RECORD, '"failed": 2', '"failed": 7');
    expect(await found()).toEqual([
      expect.stringContaining(`${PAGE} measured`),
      expect.stringContaining('docs/gallery.md measured'),
    ]);
  });

  it.each<[string, string, string, string]>([
    ['a seed that did not find it', '"foundSeeds": 20', '"foundSeeds": 19', 'found with 19 of 20 seeds'],
    ['a token that did not fail again', '"replayed": true', '"replayed": false', 'not found again'],
    ['a search beyond its limit', '"runsToFind": 4', '"runsToFind": 20001', 'by schedule 20001 of 20000'],
    ['more preemptions than promised', '"preemptions": 1', '"preemptions": 2', 'shrinks to 2 preemptions'],
    ['a fixed kernel searched too little', '"runs": 100000', '"runs": 600', 'has had 600 schedules'],
    ['runs by chance that were stopped', '"runs": 10000,', '"runs": 500,', '500 of 10000 runs by chance'],
  ])('finds %s', async (_what, from, to, message) => {
    change(RECORD, from, to);
    await checkRecord(house, true);
    expect(await found()).toEqual([expect.stringContaining(message)]);
  });

  it('finds figures of an entry that is gone', async () => {
    change(RECORD, ID, 'lesson-9-gone');
    await checkRecord(house, true);
    expect(await found()).toEqual([`${RECORD} recorded lesson-9-gone: the gallery has no such entry`]);
  });
});
