import { describe, expect, it } from 'vitest';
import { type Ran, smplab } from './run.ts';

/** One tour for all who look at it. */
let seeded: Promise<Ran> | undefined;
function tour(): Promise<Ran> {
  seeded ??= smplab(['tour', '--seed', '1']);
  return seeded;
}

describe('the tour', () => {
  it('runs without a command, to its end, in lines of at most 100 columns, without colour', async () => {
    const { code, stdout, stderr } = await smplab([]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    // A token is copied whole.
    const lines = stdout
      .trimEnd()
      .replace(/smp1:\S+/, 'TOKEN')
      .split('\n');
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(100);
    expect(lines.length).toBeLessThan(200);
    expect(stdout).not.toContain('\u001B');
    expect(stdout).toContain('Left behind: nothing');
  });

  it('answers the open questions of the seed text, eight of them', async () => {
    const { stdout } = await tour();
    expect(stdout.split('\n').filter((line) => line.startsWith('?? "'))).toHaveLength(8);
    expect(stdout).toContain('max_asid 63, next_asid 64');
  });

  it('shows each CPU switch SVM on, and CPU 3 come back without it', async () => {
    const { stdout } = await tour();
    const enabled = [...stdout.matchAll(/^ +\d+ {2}([. 0-3]{7}) {2}d.p +wrmsr EFER 0xd01 -> 0x1d01$/gm)];
    expect(enabled.map(([, lane]) => lane!.replaceAll(/[. ]/g, '')).toSorted()).toEqual(['0', '1', '2', '3']);
    expect(stdout).toContain('"svm_cpu_init: svm_data is NULL on 3"');
    expect(stdout).toContain(
      'CPU 3 is online, enabled bit set, svm_data is NULL, EFER 0xd01: virtualisation is off.',
    );
  });

  it('finds a race of the gallery, draws it in under 30 lines, and its token fails again', async () => {
    const { stdout } = await tour();
    const chapter = /\n== 11\. A race: .*?(?=\n\n==)/s.exec(stdout)![0].trim().split('\n');
    const from = chapter.findIndex((line) => line.startsWith('CPU 0 '));
    const found = chapter.findIndex((line) =>
      line.startsWith('FOUND  CPU 2 is online, and nobody has enabled'),
    );
    expect(chapter[from]).toMatch(/^CPU 0 +CPU 1 +CPU 2$/);
    expect(found).toBeGreaterThan(from + 8);
    expect(found - from).toBeLessThan(30);
    // Enabled before CPU 2 came, and told of hotplug after: the two that make it.
    const order = ['hardware_enable()', 'CPU 2 is in the online map', 'raw_notifier_chain_register()'];
    const at = order.map((text) => chapter.findLastIndex((line) => line.includes(text)));
    expect(at).toEqual(at.toSorted((a, b) => a - b));
    const token = /smp1:\S+/.exec(chapter.join('\n'))![0];
    const { code, stdout: again } = await smplab(['replay', token, '--json']);
    expect(code).toBe(1);
    expect(JSON.parse(again)).toMatchObject({ failures: [{ kind: 'check' }] });
  });

  it('a seed gives the same tour every time', async () => {
    const again = await smplab(['tour', '--seed', '1']);
    expect(again.stdout).toBe((await tour()).stdout);
  });
});
