/** smplab stress from outside: short runs. The long ones are in the notes of docs/stress.md. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Ajv } from 'ajv';
import { afterAll, describe, expect, it } from 'vitest';
import type { StressReport } from 'smplab';
import { type Ran, smplab } from './run.ts';

const schemaFile = path.join(import.meta.dirname, '../../schemas/smplab.stress.1.schema.json');
const validate = new Ajv({ allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(schemaFile, 'utf8')) as object,
);
const folder = mkdtempSync(path.join(tmpdir(), 'smplab-stress-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** One valid document on stdout, what was drawn on stderr. */
function reportOf({ stdout, stderr }: Ran): StressReport {
  expect(stderr).toMatch(/^stress .*seed \d+/);
  const parsed: unknown = JSON.parse(stdout);
  expect(validate(parsed) ? [] : validate.errors).toEqual([]);
  return parsed as StressReport;
}

function stress(...options: string[]): Promise<Ran> {
  return smplab(['stress', '--seed', '7', '--json', '--trace-folder', folder, ...options]);
}

describe('smplab stress', () => {
  it('hotplug: every notification is received, and what is wrong with kvm-54 has its place in the specification (nr_cpus=4)', async () => {
    const ran = await stress('--workload', 'hotplug', '--cpus', '4', '--ops', '200');
    const { ops, failures, lost, books, findings, kinds, perCpu, ended } = reportOf(ran);
    expect({ code: ran.code, ops, failures, lost, ended }).toEqual({
      code: 0,
      ops: 200,
      failures: 0,
      lost: 0,
      ended: 'done',
    });
    expect(kinds['cpu_down']!.ops + kinds['cpu_up']!.ops).toBe(200);
    expect(books.filter(({ difference }) => difference !== 0)).toEqual([]);
    const died = perCpu.reduce((sum, { offlined }) => sum + offlined, 0);
    expect(died).toBeGreaterThan(10);
    expect(books).toContainEqual(
      expect.objectContaining({ name: 'cpu_down answered 0, CPU_DEAD', sent: died, received: died }),
    );
    expect(findings.map(({ known }) => known?.slice(0, 5))).toEqual(findings.map(() => 'spec '));
    expect(findings.length).toBeGreaterThan(0);
  });

  it('ipi: every cross call is executed on every CPU it was for, once (nr_cpus=3)', async () => {
    const ran = await stress('--workload', 'ipi', '--cpus', '3', '--ops', '500');
    const { books, perCpu, findings } = reportOf(ran);
    expect({ code: ran.code, findings }).toEqual({ code: 0, findings: [] });
    const executed = perCpu.reduce((sum, { callsExecuted }) => sum + callsExecuted, 0);
    expect(executed).toBeGreaterThan(500);
    expect(books).toContainEqual(
      expect.objectContaining({
        name: 'cross calls: expected, executed',
        sent: executed,
        received: executed,
      }),
    );
  });

  it('an interrupt ends it with what there was up to then, and 130', async () => {
    const ran = await smplab(
      ['stress', '--workload', 'hotplug', '--cpus', '3', '--time', '60', '--seed', '7'],
      {
        interruptAt: 'seed 7',
      },
    );
    expect(ran.code).toBe(130);
    expect(ran.stdout).toMatch(/^all /m);
    expect(ran.stdout).toMatch(/interrupted/);
  });

  it('a mistake is one line', async () => {
    const ran = await smplab(['stress', '--fault', 'vmxon', '--vendor', 'amd']);
    expect(ran.code).toBe(2);
    expect(ran.stderr).toBe('smplab: fault vmxon: needs intel\n');
  });
});
