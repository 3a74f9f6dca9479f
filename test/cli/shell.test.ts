import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { smplab } from './run.ts';

const script = path.join(import.meta.dirname, '../fixtures/shell/every-cpu-off-and-on.sh');

describe('smplab shell: scripts', () => {
  it('a script takes every CPU off and on, pinned to CPU 0, and its status is ours', async () => {
    const { code, stdout, stderr } = await smplab(['shell', '--cpus', '4', script, '-r', '2']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain("'s new affinity mask: 1\n");
    expect(stdout).toContain(
      'online 0-3, offline none, on 2.6.24\nround 1: 3 CPUs\nround 2: 3 CPUs\nleft with 0 failures\n',
    );
  });

  it('with kvm loaded, from standard input, from whatever CPU', async () => {
    const { code, stdout } = await smplab(['shell', '--vendor', 'intel', '--cpus', '3'], {
      stdin: `modprobe kvm-intel || exit 9\npin=0\n${readFileSync(script, 'utf8').replace('pin=1', 'pin=0')}`,
    });
    expect(stdout).toBe('online 0-2, offline none, on 2.6.24\nround 1: 2 CPUs\nleft with 0 failures\n');
    expect(code).toBe(0);
  });
});
