import { createHash } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { Machine, type MachineConfig, closeSharedPool, decodeTrace } from 'smplab';

afterAll(closeSharedPool);

const RUNS = process.env['SMPLAB_LONG'] === undefined ? 4 : 100;
const SEED = 0x2a;

function configOf(config: Partial<MachineConfig>): MachineConfig {
  // Functions, operations and hardware: everything there is.
  return {
    cpus: 4,
    vendor: 'amd',
    seed: SEED,
    trace: 7,
    traceEventsMax: 1 << 17,
    ...config,
    mode: 'deterministic',
  };
}

async function mustReturn(
  machine: Machine,
  symbol: string,
  options: { text?: string; args?: number[]; cpu?: number },
) {
  expect(await machine.call(symbol, options), symbol).toEqual({ kind: 'returned', value: 0 });
}

/** Loads kvm, takes CPU 3 down and up, unloads; then both CPUs of a cross call at once. */
async function live(machine: Machine): Promise<void> {
  const vendorModule = `kvm-${machine.config.vendor}`;
  await mustReturn(machine, 'sys_init_module', { text: 'kvm', cpu: 1 });
  await mustReturn(machine, 'sys_init_module', { text: vendorModule, cpu: 1 });
  await mustReturn(machine, 'cpu_down', { args: [3], cpu: 3 });
  await mustReturn(machine, 'cpu_up', { args: [3], cpu: 0 });
  await mustReturn(machine, 'sys_delete_module', { text: vendorModule, cpu: 2 });
  await mustReturn(machine, 'sys_delete_module', { text: 'kvm', cpu: 2 });
  const both = [0, 1].map((cpu) => ({ symbol: 'lkdtm_in_interrupt', cpu, args: [0, 2] }));
  expect(await machine.callAll(both)).toEqual(both.map(() => ({ kind: 'returned', value: 0 })));
}

async function traceOf(config: MachineConfig): Promise<Uint8Array> {
  const machine = await Machine.powerOn(config);
  try {
    expect(machine.bootOutcome).toEqual({ kind: 'returned', value: 0 });
    await live(machine);
    return machine.traceBytes();
  } finally {
    await machine.powerOff();
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Who ran, in order: the interleaving alone. */
function interleavingOf(bytes: Uint8Array): string {
  return decodeTrace(bytes)
    .events.map(({ cpu }) => cpu.toString(36))
    .join('')
    .replaceAll(/(.)\1+/g, '$1');
}

const kinds: Partial<MachineConfig>[] = (['amd', 'intel'] as const).flatMap((vendor) =>
  ['random', 'round-robin'].map((strategy) => ({ vendor, strategy })),
);

describe.each(kinds)('deterministic boot: $vendor, $strategy', (kind) => {
  it(`the same seed gives the same trace bytes ${RUNS} times of ${RUNS} (seed=${SEED}, nr_cpus=4)`, async () => {
    const config = configOf(kind);
    const first = await traceOf(config);
    const { events, lost } = decodeTrace(first);
    expect(lost).toBe(0);
    expect(events.length).toBeGreaterThan(5_000);
    expect(new Set(events.map(({ cpu }) => cpu)).size).toBe(4);
    for (let run = 1; run < RUNS; run++)
      expect(sha256(await traceOf(config)), `run ${run}`).toBe(sha256(first));
  });

  it('a restored machine gives the same trace bytes for the same calls, twice', async () => {
    const machine = await Machine.powerOn(configOf(kind));
    try {
      const snapshot = machine.snapshot();
      const traces: string[] = [];
      for (let round = 0; round < 2; round++) {
        await machine.restore(snapshot);
        await live(machine);
        traces.push(sha256(machine.traceBytes()));
      }
      expect(traces[1]).toBe(traces[0]);
    } finally {
      await machine.powerOff();
    }
  });
});

describe('deterministic boot: seeds', () => {
  it('a different seed gives a different interleaving (random)', async () => {
    const seen = new Set<string>();
    for (const seed of [1, 2, 3, 4]) seen.add(interleavingOf(await traceOf(configOf({ seed }))));
    expect(seen.size).toBe(4);
  });

  it.each<[string, Partial<MachineConfig>]>([
    ['16 CPUs', { cpus: 16 }],
    ['i386', { arch: 'i386' }],
    ['slub', { allocator: 'slub' }],
  ])('the same seed gives the same trace bytes: %s', async (_name, kind) => {
    const config = configOf(kind);
    expect(sha256(await traceOf(config))).toBe(sha256(await traceOf(config)));
  });
});
