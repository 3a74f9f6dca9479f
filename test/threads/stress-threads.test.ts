/**
 * A stress run outlives the threads of its machine, or says that it does not: threads that die untold, one or all of them, at
 * moments that a seed draws. `scripts/stress-kill.mjs` does it to the process. Long: SMPLAB_LONG=1.
 */
import { afterAll, describe, expect, it } from 'vitest';
import { type CpuPool, type StressReport, closeSharedPool, createPool, runStress } from 'smplab';

const MOMENTS = process.env['SMPLAB_LONG'] === undefined ? 2 : 100;
const CPUS = 4;

afterAll(() => closeSharedPool());

/** Numbers that look random and are the same every time. */
function numbers(seed: number): (below: number) => number {
  let state = Math.imul(seed, 0x9e3779b1) || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A run that would go on for a minute, and what is done to its threads once it has begun. */
async function torment(seed: number, harm: (pool: CpuPool) => void): Promise<StressReport> {
  const draw = numbers(seed);
  const pool = createPool();
  const after = 1 + draw(4);
  let looks = 0;
  try {
    return await runStress({
      cpus: CPUS,
      vendor: 'amd',
      // Not mixed: kvm-54's own defects end its machines one after the other, and a thread may die between two of them.
      workload: (['hotplug', 'ipi'] as const)[draw(2)]!,
      seed,
      seconds: 60,
      pool,
      traceEvents: 0,
      onProgress: ({ ops }) => {
        if (ops > 0 && ++looks === after) harm(pool);
      },
    });
  } finally {
    await pool.close();
  }
}

const seeds = Array.from({ length: MOMENTS }, (_, index) => index + 1);

describe('a stress run', () => {
  it.each(seeds)(
    'ends with a machine check and what it has, when one of its threads dies (seed=%d)',
    async (seed) => {
      const report = await torment(seed, (pool) => {
        void pool.threads[seed % CPUS]!.terminate();
      });
      expect(report.ended).toBe('machine-check');
      expect(report.ops).toBeGreaterThan(0);
      expect(report.lost).toBe(0);
    },
  );

  it('ends with a machine check when all of its threads die at once', async () => {
    const report = await torment(99, (pool) => {
      for (const thread of pool.threads) void thread.terminate();
    });
    expect(report.ended).toBe('machine-check');
    expect(report.perCpu).toHaveLength(CPUS);
  });

  it('that an injected fault costs a thread goes on with another machine, and makes all its operations', async () => {
    const faults = [{ site: 'thread-kill', nth: 30 }];
    const { ended, machines, ops, findings } = await runStress({
      cpus: CPUS,
      vendor: 'amd',
      workload: 'hotplug',
      seed: 3,
      ops: 600,
      faults,
      traceEvents: 0,
    });
    expect({ ended, machines, ops }).toEqual({ ended: 'done', machines: 2, ops: 600 });
    expect(findings.find(({ kind }) => kind === 'machine-check')?.known).toMatch(/^injected: thread-kill/);
  });
});
