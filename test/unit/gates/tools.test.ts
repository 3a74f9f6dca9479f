import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Planted } from '../../support/planted.ts';
import { byLine, plantedHouse, plantedIn, projectRoot } from '../../support/planted.ts';

const modules = path.join(projectRoot, 'node_modules');

/** Runs a tool of ours once over a whole house and answers what it printed. */
function run(tool: string, given: readonly string[], cwd: string) {
  return spawnSync(process.execPath, [path.join(modules, tool), ...given], {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1', OXLINT_TSGOLINT_PATH: path.join(modules, '.bin/tsgolint') },
  });
}

describe('gate lint', () => {
  // The configuration leaves test/fixtures/walls out, so the house moves to where it does not.
  const house = mkdtempSync(path.join(tmpdir(), 'smplab-lint-'));
  beforeAll(() => {
    cpSync(plantedHouse('lint'), house, { recursive: true });
    copyFileSync(path.join(projectRoot, '.oxlintrc.json'), path.join(house, '.oxlintrc.json'));
  });
  afterAll(() => rmSync(house, { recursive: true }));

  it('finds every planted fault on its line, and nothing else', () => {
    const { status, stdout, stderr } = run(
      'oxlint/bin/oxlint',
      ['--format', 'unix', '--tsconfig', 'tsconfig.json'],
      house,
    );
    const found = [...stdout.matchAll(/^(.+?):(\d+):\d+: .* \[Error(?:\/([\w-]+)\(([\w-]+)\))?\]$/gm)].map(
      ([, file = '', line, plugin, rule]): Planted => ({
        file,
        line: Number(line),
        rule: plugin === undefined ? 'unused-disable-directive' : `${plugin}/${rule}`,
      }),
    );
    expect(byLine(found), stderr).toEqual(byLine(plantedIn('lint')));
    expect(status).not.toBe(0);
  });

  it('has a fault planted for every rule that the configuration names, and one for each category', () => {
    const config = readFileSync(path.join(projectRoot, '.oxlintrc.json'), 'utf8');
    const named = [...config.matchAll(/"([\w-]+\/[\w-]+)": (?:"error"|\["error")/g)].map(([, rule]) => rule);
    const planted = plantedIn('lint').map(({ rule }) => rule);
    expect(named.length).toBeGreaterThan(0);
    expect(planted).toEqual(expect.arrayContaining(named));
    expect(planted).toEqual(expect.arrayContaining(['eslint/no-debugger', 'unicorn/no-array-sort']));
  });
});

describe('gate types', () => {
  it('finds every planted fault on its line, and nothing else', () => {
    const { status, stdout } = run(
      'typescript/bin/tsc',
      ['--noEmit', '--pretty', 'false'],
      plantedHouse('types'),
    );
    const found = [...stdout.matchAll(/^(.+?)\((\d+),\d+\): error (TS\d+):/gm)].map(
      ([, file = '', line, rule = '']): Planted => ({ file, line: Number(line), rule }),
    );
    expect(byLine(found), stdout).toEqual(byLine(plantedIn('types')));
    expect(status).not.toBe(0);
  });
});

describe('gate format', () => {
  it('finds the file that is laid out otherwise, and not the one that is right', () => {
    // Our .prettierignore leaves the house out: an empty one in its place lets it in.
    const given = [
      '--check',
      '--config',
      path.join(projectRoot, '.prettierrc'),
      '--ignore-path',
      'none',
      'src',
    ];
    const { status, stderr } = run('prettier/bin/prettier.cjs', given, plantedHouse('format'));
    expect(stderr).toContain('src/ugly.ts');
    expect(stderr).not.toContain('src/fine.ts');
    expect(status).toBe(1);
  });
});
