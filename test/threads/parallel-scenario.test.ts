/** Scenarios in parallel mode: on real threads that nobody steers, run after run from the same memory. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ParallelScenario, chanceOf, compileScenario, galleryScenario } from 'smplab';
import { afterAll, describe, expect, it } from 'vitest';

const scratch = mkdtempSync(path.join(tmpdir(), 'smplab-parallel-'));
let files = 0;

async function sourceOf(code: string): Promise<Awaited<ReturnType<typeof compileScenario>>> {
  const file = path.join(scratch, `scenario-${files++}.ts`);
  writeFileSync(file, code);
  return compileScenario(file, 'threads');
}

/** Ends and findings of some runs, each said once. */
async function endsOf(code: string, runs: number, timeoutMs?: number): Promise<string[]> {
  const parallel = await ParallelScenario.create(
    await sourceOf(code),
    timeoutMs === undefined ? {} : { timeoutMs },
  );
  const seen = new Set<string>();
  try {
    for (let run = 0; run < runs; run++) {
      const { end, findings } = await parallel.run();
      seen.add([end, ...findings.map(({ kind, title }) => `${kind}: ${title}`)].join(', '));
    }
  } finally {
    await parallel.close();
  }
  return [...seen];
}

afterAll(() => {
  rmSync(scratch, { recursive: true });
});

describe('ParallelScenario', () => {
  it('starts every run from the same memory, with both flows, and makes the check at the end', async () => {
    const ends = await endsOf(
      `import { atomic_inc, atomic_read, atomic_t, DEFINE, scenario } from 'smplab';
       const done = DEFINE('done', atomic_t);
       const work = (): void => { for (let i = 0; i < 50; i++) atomic_inc(done); };
       export default scenario({ on: [work, work], check: () => atomic_read(done) === 100 || 'done: ' + atomic_read(done) });`,
      30,
    );
    expect(ends).toEqual(['complete']);
  });

  it('tells a failed check, an oops, and a wait for what nobody does any more, and goes on after each', async () => {
    const failing = (work: string): string =>
      `import { ptr, scenario, shared, struct, u32, waitUntil } from 'smplab';
       const ready = shared('ready');
       export default scenario({ on: [(): void => { ${work} }, (): void => {}], check: () => ready.value === 1 });`;
    expect(await endsOf(failing(''), 5)).toEqual(['complete, check: the check does not hold at the end']);
    expect(await endsOf(failing(`struct('thing', { next: ptr, value: u32 }).at(0).value = 1;`), 5)).toEqual([
      'died, oops: BUG: unable to handle kernel NULL pointer dereference at 00000004',
    ]);
    expect(await endsOf(failing('waitUntil(() => ready.value === 1);'), 5)).toEqual([
      'deadlock, deadlock: CPUs 0 wait, and nobody can go on',
    ]);
  });

  it('waits for what a plain store of another CPU ends, however long that takes', async () => {
    const ends = await endsOf(
      `import { scenario, shared, waitUntil } from 'smplab';
       const [ball, turns] = [shared('ball'), shared('turns')];
       const player = (me: number) => (): void => {
         for (let turn = 0; turn < 20; turn++) {
           waitUntil(() => ball.value === me);
           turns.value += 1;
           ball.value = 1 - me;
         }
       };
       export default scenario({ on: [player(0), player(1)], check: () => turns.value === 40 });`,
      10,
    );
    expect(ends).toEqual(['complete']);
  });

  it('gives up a run that goes on and on, and the next one has the same machine', async () => {
    const ends = await endsOf(
      `import { scenario, shared } from 'smplab';
       const stop = shared('stop');
       export default scenario({ on: [(): void => { while (stop.value === 0); }, (): void => {}] });`,
      2,
      100,
    );
    expect(ends).toEqual(['time']);
  });

  it('lets a device interrupt come', async () => {
    const ends = await endsOf(
      `import { READ_ONCE, WRITE_ONCE, scenario, shared, waitUntil } from 'smplab';
       const came = shared('came');
       export default scenario({
         on: [(): void => waitUntil(() => READ_ONCE(came, 'value') === 1), (): void => {}],
         interrupts: [{ cpu: 0, handler: () => WRITE_ONCE(came, 'value', 1) }],
       });`,
      10,
    );
    expect(ends).toEqual(['complete']);
  });
});

describe('chanceOf', () => {
  it.each([
    ['online-only-sum-goes-negative', 20, { check: 20 }],
    ['cross-call-from-a-call-handler', 20, { deadlock: 20 }],
    ['online-only-sum-goes-negative/fixed', 0, {}],
    ['broadcast-before-notifier-registered/fixed', 0, {}],
  ])('%s: %i of 20 unsteered runs fail', async (id, failed, kinds) => {
    const source = await compileScenario(galleryScenario(id)!, 'threads');
    expect(await chanceOf(source, { runs: 20 })).toMatchObject({ runs: 20, failed, kinds });
  });
});
