import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { smplab } from './run.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'smplab-trace-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const inFolder = (name: string): string => path.join(folder, name);

describe('smplab trace convert', () => {
  it('makes of a file what the command that wrote it would have shown', async () => {
    const boot = ['boot', '--cpus', '2', '--mode', 'deterministic', '--seed', '7'];
    const [raw, page] = await Promise.all([
      smplab([...boot, '--trace', 'raw', '--trace-out', inFolder('boot.trace')]),
      smplab([...boot, '--trace', 'html', '--trace-out', inFolder('boot.html')]),
    ]);
    expect([raw.code, page.code]).toEqual([0, 0]);
    const [html, tree] = await Promise.all([
      smplab(['trace', 'convert', inFolder('boot.trace'), '--to', 'html', '--out', inFolder('again.html')]),
      smplab(['trace', 'convert', inFolder('boot.trace'), '--to', 'tree']),
    ]);
    expect([html.code, tree.code]).toEqual([0, 0]);
    expect(readFileSync(inFolder('again.html'), 'utf8')).toBe(readFileSync(inFolder('boot.html'), 'utf8'));
    expect(tree.stdout).toContain('start_kernel()');
  });

  it('refuses in one line what is no trace, and what is not a whole one', async () => {
    writeFileSync(inFolder('foreign'), '{"traceEvents":[]}');
    writeFileSync(inFolder('cut'), readFileSync(inFolder('boot.trace')).subarray(0, 4_000));
    const refused = await Promise.all(
      ['foreign', 'cut', 'missing'].map((name) =>
        smplab(['trace', 'convert', inFolder(name), '--to', 'tree']),
      ),
    );
    expect(refused.map(({ code, stdout }) => ({ code, stdout }))).toEqual(
      refused.map(() => ({ code: 2, stdout: '' })),
    );
    const lines = refused.map(({ stderr }) => stderr.trimEnd());
    expect(lines.every((line) => !line.includes('\n'))).toBe(true);
    expect(lines[0]).toContain('not a trace: expected the format smp-trace/1');
    expect(lines[1]).toContain('the trace has 4000 bytes');
    expect(lines[2]).toContain('cannot be read (ENOENT)');
  });
});
