/** Recorded runs, against an explorer that tries every interleaving (test/support/recorded-runs.ts). */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RecordedRun } from '#checkers/execution';
import { explainRun } from '#checkers/recorded-run';
import { isPossible, programs, runOf } from '../../support/recorded-runs.ts';

const isLong = process.env['SMPLAB_LONG'] !== undefined;
/** Thousands of programs, each with all its interleavings, on a host that has other work. */
const LONG_MS = 300_000;
const everywhere = (): boolean => true;
const MODELS = ['sc', 'tso'] as const;

const verdict = (run: RecordedRun, model: 'sc' | 'tso'): string =>
  explainRun(run, { model, isOurs: everywhere }).kind;

/** One value that was read, or is left, is another. */
function spoilt(run: RecordedRun, which: number, value: number): RecordedRun {
  const reads = run.threads.flatMap((operations, thread) =>
    operations.flatMap(({ does }, index) => (does === 1 || does === 3 ? [{ thread, index }] : [])),
  );
  const place = reads[which % (reads.length + 1)];
  if (place === undefined)
    return { ...run, final: (address) => (address === 0x1000 ? value : run.final(address)) };
  return {
    ...run,
    threads: run.threads.map((operations, thread) =>
      operations.map((operation, index) =>
        thread === place.thread && index === place.index ? { ...operation, read: value } : operation,
      ),
    ),
  };
}

describe.each(MODELS)('a recorded run under %s', (model) => {
  const isSc = model === 'sc';

  it.each([false, true])('that an interleaving made is explained (mixed sizes: %s)', (mixed) => {
    fc.assert(
      fc.property(programs(4, 24, mixed), fc.infiniteStream(fc.nat()), (program, numbers) => {
        const run = runOf(program, (below) => numbers.next().value! % below, isSc);
        expect(verdict(run, model)).toBe('explained');
      }),
      { numRuns: isLong ? 3000 : 100 },
    );
  });

  it.each([false, true])(
    'is explained exactly if some interleaving explains it (mixed sizes: %s)',
    (mixed) => {
      let impossible = 0;
      fc.assert(
        fc.property(
          programs(3, 4, mixed),
          fc.infiniteStream(fc.nat()),
          fc.nat(),
          fc.integer({ min: 0, max: 4 }),
          (program, numbers, which, value) => {
            const run = spoilt(
              runOf(program, (below) => numbers.next().value! % below, isSc),
              which,
              value,
            );
            const possible = isPossible(run, isSc);
            if (!possible) impossible++;
            expect(verdict(run, model) === 'explained').toBe(possible);
          },
        ),
        { numRuns: isLong ? 20_000 : 300 },
      );
      expect(impossible).toBeGreaterThan(50);
    },
    LONG_MS,
  );
});
