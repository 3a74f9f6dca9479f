/** What a token belongs to: the scenario as it was, wherever the file lies. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { smplab } from '../cli/run.ts';
import { type Failure, explore, replay } from './scenarios.ts';

const ORIGINAL = 'test/programs/twostage.ts';

describe('a token', () => {
  let folder = '';
  let file = '';
  let failure: Failure;

  beforeAll(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'smplab-token-'));
    file = path.join(folder, 'twostage.ts');
    failure = (await explore(ORIGINAL)).json.failures[0]!;
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('a copy of the scenario elsewhere: the same failure', async () => {
    writeFileSync(file, readFileSync(ORIGINAL));
    const { json } = await replay(failure.token, '--scenario', file);
    expect(json.failures).toMatchObject([{ kind: failure.kind, title: failure.title }]);
    expect(json.diagram).toEqual(failure.minimised.diagram);
  });

  it('an edited scenario: refused in one line that says so', async () => {
    writeFileSync(file, readFileSync(ORIGINAL, 'utf8').replace('data1.value = 1;', 'data1.value = 2;'));
    const { code, stdout, stderr } = await smplab(['replay', failure.token, '--scenario', file]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^smplab: .*scenario.*\n$/);
  });

  it('a token with one character changed: refused', async () => {
    const at = failure.token.length - 12;
    const other = failure.token[at] === 'A' ? 'B' : 'A';
    const token = `${failure.token.slice(0, at)}${other}${failure.token.slice(at + 1)}`;
    const { code, stdout, stderr } = await smplab(['replay', token]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});
