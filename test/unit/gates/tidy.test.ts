import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkTidy } from '../../../scripts/tidy.mjs';
import { byLine, distinct, plantedHouse, projectRoot } from '../../support/planted.ts';

/** Written here and not in the house: most of these faults are files that are missing. */
const faults = [
  { file: 'docs/page.md', line: 3, rule: 'dead-link' },
  { file: 'docs/page.md', line: 9, rule: 'dead-link' },
  { file: 'src/base/dead-file.ts', line: 1, rule: 'dead-file' },
  { file: 'src/gallery/without-readme/README.md', line: 1, rule: 'scenario-readme' },
  { file: 'src/smp/call-function.ts', line: 4, rule: 'linux-version' },
  { file: 'src/smp/call-function.ts', line: 10, rule: 'linux-version' },
  { file: 'src/smp/call-function.ts', line: 11, rule: 'unfinished' },
];

describe('gate tidy', () => {
  it('finds every planted fault on its line, and nothing else', () => {
    expect(byLine(checkTidy(plantedHouse('tidy')).faults)).toEqual(byLine(faults));
  });

  it('has a fault planted for every rule that its head describes', () => {
    const head = readFileSync(path.join(projectRoot, 'scripts/tidy.mjs'), 'utf8').split('*/')[0] ?? '';
    const described = [...head.matchAll(/^ \*   ([a-z-]+) /gm)].map(([, rule]) => rule);
    expect(distinct(described)).toEqual(distinct(faults.map(({ rule }) => rule)));
  });

  it('does not look at the faults planted for other gates', () => {
    expect(checkTidy(projectRoot).files.filter((file) => file.startsWith('test/fixtures/walls/'))).toEqual(
      [],
    );
  });
});
