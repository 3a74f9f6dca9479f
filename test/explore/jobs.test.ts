/** --jobs: parts of a campaign on threads of a pool. What is found does not depend on how many there are. */
import path from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { smplab } from '../cli/run.ts';
import { TIMEOUT_MS, explore } from './scenarios.ts';

vi.setConfig({ testTimeout: TIMEOUT_MS });

const isLong = process.env['SMPLAB_LONG'] !== undefined;
const HEAP = path.join(import.meta.dirname, '../programs/hostile/fills_the_heap.ts');

describe('--jobs 2', () => {
  it('finds the failure that one job finds, and its token replays', async () => {
    const [one, two] = await Promise.all([
      explore('test/programs/reorder_3.ts'),
      explore('test/programs/reorder_3.ts', '--jobs', '2'),
    ]);
    const [found, alone] = [two.json.failures[0]!, one.json.failures[0]!];
    expect({ kind: found.kind, title: found.title }).toEqual({ kind: alone.kind, title: alone.title });
    expect(two.code).toBe(1);
    const { code, stdout } = await smplab(['replay', found.token]);
    expect(stdout).toContain(found.title);
    expect(code).toBe(1);
  });

  it('proves what one job proves, with as many traces', async () => {
    const program = 'scripts/bench/scenarios/lock4x2.ts';
    const { json, code } = await explore(program, '--strategy', 'dpor', '--jobs', '2');
    expect(json).toMatchObject({ complete: true, distinctTraces: 2520, failures: [] });
    expect(code).toBe(0);
  });

  it.runIf(isLong)('says in one line that a job had no memory left, and claims nothing', async () => {
    const env = { NODE_OPTIONS: '--max-old-space-size=200' };
    const { code, stdout, stderr } = await smplab(['explore', HEAP, '--jobs', '2', '--json'], { env });
    expect(stdout).toBe('');
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toContain('the host failed');
    expect(code).toBe(3);
  });

  it('says in one line what is wrong with a scenario', async () => {
    const file = 'test/programs/hostile/no_such_file.ts';
    const { code, stderr } = await smplab(['explore', file, '--jobs', '2']);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(code).toBe(2);
  });
});
