import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { checkWalls, wallsOf } from '../../../scripts/walls.mjs';
import { byLine, distinct, plantedHouse, plantedIn, projectRoot } from '../../support/planted.ts';

describe('gate walls', () => {
  it('finds every planted fault on its line, and nothing else', () => {
    expect(byLine(checkWalls(plantedHouse('walls')).faults)).toEqual(byLine(plantedIn('walls')));
  });

  it('has a fault planted for every rule that its head describes', () => {
    const head = readFileSync(path.join(projectRoot, 'scripts/walls.mjs'), 'utf8').split('*/')[0] ?? '';
    const described = [...head.matchAll(/^ \*   ([a-z-]+) /gm)].map(([, rule]) => rule);
    expect(described.length).toBeGreaterThan(0);
    expect(distinct(described)).toEqual(distinct(plantedIn('walls').map(({ rule }) => rule)));
  });

  it('lets a line through that names the rule and a reason, and not one that names another rule', () => {
    const crossing = (rule: string): string => `// wall: ${rule}: because.\nexport let state = 0;\n`;
    expect(wallsOf('src/smp/a.ts', crossing('heap-state'))).toEqual([]);
    expect(wallsOf('src/smp/a.ts', crossing('no-clock'))).toHaveLength(1);
  });

  it('counts lines in files that are not plain ASCII and start with a shebang', () => {
    const text =
      "#!/usr/bin/env node\n// \u00fcber \u2192 alles\nexport const a = '\u00e9';\nexport let state = 0;\n";
    expect(wallsOf('src/smp/a.ts', text)).toMatchObject([{ line: 4, rule: 'heap-state' }]);
  });
});
