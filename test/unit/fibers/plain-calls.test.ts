import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { Resumable } from '#base/resumable';

type Twin = (...args: unknown[]) => Resumable;
type Twinned = ((given: number) => number) & { $: Twin };

/** Runs that are watched before any call is plain: more than there are. */
const RUNS = 20;

/** What is known of functions is of the thread: each test begins with nothing known. */
async function fresh(): Promise<{
  twinned: (name: string, plain: (given: number, isPlain: boolean) => number) => Twinned;
  run: (again: boolean, ...calls: readonly [Twinned, unknown][]) => unknown[];
  runFinally: (...calls: readonly [Twinned, unknown][]) => unknown[];
  log: string[];
  giveUp: () => never;
  twinOf: (f: never) => unknown;
}> {
  vi.resetModules();
  const calls = await import('#base/plain-calls');
  const { twinOf } = await import('#base/resumable');
  const log: string[] = [];
  const twinned = (name: string, plain: (given: number, isPlain: boolean) => number): Twinned => {
    function* twin(given: unknown): Resumable {
      log.push(`${name} as a twin`);
      if (given === 'wait') yield;
      return plain(given as number, false);
    }
    const f = (given: number): number => {
      log.push(name);
      return plain(given, true);
    };
    return calls.lasting(f, twin) as Twinned;
  };
  /** Each of these is called once, as a twin calls it. */
  const runAs = (again: boolean, isFinal: boolean, ...each: readonly [Twinned, unknown][]): unknown[] => {
    log.length = 0;
    calls.beginPlainCalls(again, isFinal);
    try {
      return each.map(([f, given]) => {
        const call = f.$(given);
        const { done, value } = call.next();
        if (done !== true && calls.plainCalls.watching) calls.noteSuspended(call);
        return value;
      });
    } finally {
      calls.endPlainCalls();
    }
  };
  const run = (again: boolean, ...each: readonly [Twinned, unknown][]): unknown[] =>
    runAs(again, false, ...each);
  const runFinally = (...each: readonly [Twinned, unknown][]): unknown[] => runAs(false, true, ...each);
  return { twinned, run, runFinally, log, giveUp: calls.giveUp, twinOf };
}

describe('plain calls', () => {
  let on: Awaited<ReturnType<typeof fresh>>;

  beforeEach(async () => {
    on = await fresh();
  });

  it('are of functions that no run has suspended, and answer what their twins would', () => {
    const waits = on.twinned('waits', (given) => given);
    const never = on.twinned('never', (given) => given * 2);
    for (let each = 0; each < RUNS; each++) on.run(false, [waits, 'wait']);
    expect(on.run(false, [waits, 1], [never, 21])).toEqual([1, 42]);
    expect(on.log).toEqual(['waits as a twin', 'never']);
  });

  it('are given up where somebody else is chosen, and from then on the function has its twin again', () => {
    const f = on.twinned('f', (given, isPlain) => (isPlain && given === 3 ? on.giveUp() : given));
    for (let each = 0; each < RUNS; each++) on.run(false, [f, 1]);
    expect(() => on.run(false, [f, 3])).toThrow('could not be suspended');
    expect(on.run(true, [f, 'wait'])).toEqual([undefined]);
    expect(on.run(false, [f, 3])).toEqual([3]);
    expect(on.log).toEqual(['f as a twin']);
  });

  it('are given up once where they throw: from then on the twin says it', () => {
    const f = on.twinned('f', (given) => {
      if (given === 3) throw new RangeError('too far');
      return given;
    });
    for (let each = 0; each < RUNS; each++) on.run(false, [f, 1]);
    expect(() => on.run(false, [f, 3])).toThrow('could not be suspended');
    expect(() => on.run(true, [f, 3])).toThrow('too far');
    expect(() => on.run(false, [f, 3])).toThrow('too far');
  });

  it('are not made in a run whose events are recorded: those of a run given up could not be taken back', () => {
    const f = on.twinned('f', (given) => given);
    for (let each = 0; each < RUNS; each++) on.run(false, [f, 1]);
    on.runFinally([f, 1]);
    expect(on.log).toEqual(['f as a twin']);
  });

  it('are made in runs alone: elsewhere nobody could begin again', () => {
    const f = on.twinned('f', (given) => given);
    for (let each = 0; each < RUNS; each++) on.run(false, [f, 1]);
    on.log.length = 0;
    f.$(1).next();
    expect(on.log).toEqual(['f as a twin']);
    expect(on.twinOf(f as never)).not.toBe(f.$);
  });
});
