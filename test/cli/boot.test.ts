import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Ajv } from 'ajv';
import { afterAll, describe, expect, it } from 'vitest';
import { MAIN, type Ran, smplab } from './run.ts';

const schemaFile = path.join(import.meta.dirname, '../../schemas/smplab.boot.1.schema.json');
const validate = new Ajv({ allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(schemaFile, 'utf8')) as object,
);

const folder = mkdtempSync(path.join(tmpdir(), 'smplab-cli-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

interface Cpu {
  readonly cpu: number;
  readonly online: boolean;
  readonly hardwareEnabled: boolean;
  readonly efer?: string;
  readonly vm_hsave_pa?: string;
  readonly cr4?: string;
  readonly inVmxRoot?: boolean;
  readonly perCpuPointer: { readonly value: string; readonly owner: number | null };
}

interface Document {
  readonly ok: boolean;
  readonly stopped: string | null;
  readonly problems: readonly string[];
  readonly leaks: readonly { readonly what: string }[];
  readonly oops: readonly { readonly kind: string; readonly title: string }[];
  readonly lost: number;
  readonly calls: readonly { readonly seq: number; readonly cpu: number; readonly symbol: string }[];
  readonly dmesg: readonly { readonly seq: number; readonly cpu: number; readonly text: string }[];
  readonly state: Readonly<
    Record<'afterLoad' | 'afterOffline' | 'afterOnline' | 'afterUnload', readonly Cpu[]>
  >;
  readonly outcomes: readonly { readonly stage: string; readonly kind: string; readonly text: string }[];
  readonly faults: readonly { readonly fault: string; readonly hits: number }[];
  readonly trace: { readonly text: string | null };
  readonly timings?: unknown;
}

/** One document, valid, and nothing else. */
function documentOf({ stdout, stderr }: Ran): Document {
  expect(stderr).toBe('');
  expect(stdout.trimEnd().split('\n')).toHaveLength(1);
  const parsed: unknown = JSON.parse(stdout);
  expect(validate(parsed) ? [] : validate.errors).toEqual([]);
  return parsed as Document;
}

describe('smplab boot --json', () => {
  it('amd: what each CPU holds at each stage, as kvm-54 had it', async () => {
    const ran = await smplab(['boot', '--cpus', '4', '--vendor', 'amd', '--json']);
    const { ok, state, leaks, oops, dmesg, calls, lost } = documentOf(ran);
    expect({ ok, leaks, oops, lost, code: ran.code }).toEqual({
      ok: true,
      leaks: [],
      oops: [],
      lost: 0,
      code: 0,
    });
    expect(state.afterLoad.map(({ efer, perCpuPointer }) => [efer, perCpuPointer.owner])).toEqual(
      [0, 1, 2, 3].map((cpu) => ['0x1d01', cpu]),
    );
    expect(state.afterOffline[3]).toMatchObject({ online: false, hardwareEnabled: false, efer: '0xd01' });
    // The bit says enabled, the register says off: svm_data went with CPU_DYING.
    expect(state.afterOnline[3]).toMatchObject({
      online: true,
      hardwareEnabled: true,
      efer: '0xd01',
      vm_hsave_pa: '0x0',
      perCpuPointer: { name: 'svm_data', value: '0x0', owner: null },
    });
    expect(state.afterUnload.every(({ efer, hardwareEnabled }) => efer === '0xd01' && !hardwareEnabled)).toBe(
      true,
    );
    const complaint = dmesg.find(({ text }) => text === 'svm_cpu_init: svm_data is NULL on 3');
    const enabling = calls.filter(({ symbol, cpu }) => symbol === 'svm_hardware_enable' && cpu === 3);
    expect(enabling).toHaveLength(2);
    // One scale for calls and log: CPU 3 complains inside its second attempt.
    expect(complaint!.seq).toBeGreaterThan(enabling[1]!.seq);
  });

  it('intel: CR4.VMXE stays set after unloading, and VMX comes back with the CPU', async () => {
    const { state, ok } = documentOf(await smplab(['boot', '--cpus', '2', '--vendor', 'intel', '--json']));
    expect(ok).toBe(true);
    expect(state.afterLoad.map(({ inVmxRoot }) => inVmxRoot)).toEqual([true, true]);
    expect(state.afterOffline[1]).toMatchObject({ online: false, inVmxRoot: false });
    expect(state.afterOnline[1]).toMatchObject({ online: true, inVmxRoot: true });
    for (const { cr4, inVmxRoot } of state.afterUnload) {
      expect(inVmxRoot).toBe(false);
      expect(BigInt(cr4!) & 0x2000n).toBe(0x2000n);
    }
  });

  it('deterministic: two runs of one seed are equal but for their timings, another seed is not', async () => {
    const run = async (seed: string): Promise<Document> =>
      documentOf(await smplab(['boot', '--cpus', '2', '--mode', 'deterministic', '--seed', seed, '--json']));
    const { timings: _first, ...first } = await run('42');
    const { timings: _again, ...again } = await run('0x2a');
    const { timings: _other, ...other } = await run('43');
    expect(JSON.stringify(again)).toBe(JSON.stringify(first));
    expect(JSON.stringify(other)).not.toBe(JSON.stringify(first));
  });

  it('one CPU: hotplug is skipped, and says so', async () => {
    const { outcomes, ok } = documentOf(await smplab(['boot', '--cpus', '1', '--json']));
    expect(ok).toBe(true);
    expect(outcomes.filter(({ kind }) => kind === 'skipped').map(({ stage }) => stage)).toEqual([
      'offline',
      'online',
    ]);
  });

  it('an injected failure that the kernel handles: exit 1, the errno, and what kvm-54 forgets', async () => {
    const ran = await smplab(['boot', '--cpus', '2', '--fault', 'misc_register=EBUSY', '--json']);
    const { ok, outcomes, faults, leaks, stopped } = documentOf(ran);
    expect({ ok, stopped, code: ran.code }).toEqual({ ok: false, stopped: null, code: 1 });
    expect(outcomes.map(({ text }) => text)).toContain('-EBUSY');
    expect(faults).toEqual([{ fault: 'misc_register=EBUSY', hits: 1 }]);
    expect(leaks.map(({ what }) => what)).toEqual(['4096 bytes of pages, by kvm_init']);
  });

  it('a CPU whose BIOS disabled SVM: the machine panics, exit 1, the report is in oops', async () => {
    const ran = await smplab(['boot', '--cpus', '3', '--quirk', 'svmdis@2', '--json']);
    const { stopped, oops } = documentOf(ran);
    expect({ stopped, code: ran.code }).toEqual({ stopped: 'panic', code: 1 });
    expect(oops.map(({ kind }) => kind)).toContain('panic');
  });

  it('--trace: the text is in the document, for stdout has room for one thing', async () => {
    const { trace } = documentOf(await smplab(['boot', '--cpus', '2', '--trace', 'ftrace', '--json']));
    expect(trace.text).toMatch(/^# tracer: function_graph/);
  });

  it('--trace none: no calls, but a log with its places', async () => {
    const { calls, dmesg } = documentOf(await smplab(['boot', '--cpus', '2', '--trace', 'none', '--json']));
    expect(calls).toEqual([]);
    expect(dmesg.every(({ seq }) => Number.isInteger(seq))).toBe(true);
  });

  it('the step limit: exit 4', async () => {
    const ran = await smplab(['boot', '--mode', 'deterministic', '--max-steps', '900', '--json']);
    const { stopped, problems } = documentOf(ran);
    expect({ stopped, problems, code: ran.code }).toEqual({ stopped: 'steps', problems: [], code: 4 });
  });
});

describe('smplab boot', () => {
  it('prints what was chosen before the run, and no colour where there is no terminal', async () => {
    const { code, stdout, stderr } = await smplab([
      'boot',
      '--cpus',
      '2',
      '--mode',
      'deterministic',
      '--seed',
      '9',
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      /^smplab boot: 2 CPUs, amd, x86_64, slab, deterministic, strategy random, seed 9\n/,
    );
    expect(stdout).toMatch(/\nok: loaded and unloaded; nothing is left behind\n$/);
    expect(stdout).not.toContain('\u001B');
    expect(Math.max(...stdout.split('\n').map(({ length }) => length))).toBeLessThanOrEqual(100);
  });

  it('trace events that did not fit are exit 4 where the trace was asked for, and nothing where not', async () => {
    const asked = await smplab(['boot', '--cpus', '2', '--trace', 'tree', '--trace-events', '50']);
    expect(asked.code).toBe(4);
    expect(asked.stdout).toMatch(/inconclusive: \d+ trace events did not fit; keep more with --trace-events/);
    expect((await smplab(['boot', '--cpus', '2', '--trace-events', '50'])).code).toBe(0);
  });

  it('--trace perfetto alone: stdout is the trace, stderr the rest', async () => {
    const { code, stdout, stderr } = await smplab(['boot', '--cpus', '2', '--trace', 'perfetto']);
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as { traceEvents: unknown[] }).traceEvents.length).toBeGreaterThan(500);
    expect(stderr).toContain('ok: loaded and unloaded');
  });

  it('--trace-out: the trace is in the file, the summary on stdout', async () => {
    const file = path.join(folder, 'tree.txt');
    const ran = await smplab([
      'boot',
      '--cpus',
      '2',
      '--trace',
      'tree',
      '--trace-below',
      'svm_init',
      '--trace-out',
      file,
    ]);
    expect(ran.code).toBe(0);
    expect(ran.stdout).not.toContain('svm_init()');
    const lines = readFileSync(file, 'utf8').split('\n');
    expect(lines[1]).toMatch(/^ +\d+ {2}\. 1 {2}\.\.\. {2}svm_init\(\)$/);
    expect(lines.some((line) => line.includes('wrmsr EFER 0xd01 -> 0x1d01'))).toBe(true);
  });

  it('a fault that never strikes is said on stderr, as a log line', async () => {
    const { code, stderr } = await smplab(['boot', '--cpus', '2', '--fault', 'nth=99999']);
    expect(code).toBe(0);
    expect(JSON.parse(stderr)).toMatchObject({ msg: '--fault nth=99999 was never reached' });
    const silent = await smplab(['boot', '--cpus', '2', '--fault', 'nth=99999', '--log-level', 'silent']);
    expect(silent.stderr).toBe('');
  });

  it('SIGINT: what was found so far, then exit 130', async () => {
    // The heading is there before the machine is: a boot of 48 CPUs leaves time for a signal.
    const { code, stdout } = await smplab(['boot', '--cpus', '48'], { interruptAt: 'smplab boot:' });
    expect(code).toBe(130);
    expect(stdout).toContain('interrupted: what was found so far is above');
  });
});

/** Runs the command on a terminal, as util-linux's script(1) makes one. */
function onTerminal(env: Readonly<Record<string, string>>): string {
  const run = spawnSync('script', ['-qec', `"${process.execPath}" "${MAIN}" boot --cpus 1`, '/dev/null'], {
    env: { ...process.env, TERM: 'xterm', ...env },
    encoding: 'utf8',
  });
  return run.stdout;
}

describe.runIf(spawnSync('script', ['--version']).status === 0)('smplab boot on a terminal', () => {
  it('has colour', () => {
    expect(onTerminal({ NO_COLOR: '' })).toContain('\u001B[1msmplab boot');
  });

  it('NO_COLOR: has none', () => {
    expect(onTerminal({ NO_COLOR: '1' })).toMatch(/^smplab boot: 1 CPU,/);
    expect(onTerminal({ NO_COLOR: '1' })).not.toContain('\u001B');
  });
});
