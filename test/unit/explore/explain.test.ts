import { describe, expect, it } from 'vitest';
import { Flow, cpuOf, flowOf } from '#base/strategy';
import type { Executor } from '#explore/executor';
import { type Explanation, explain } from '#explore/explain';
import { type Failure, failuresOf, segmentsOf } from '#explore/schedule';
import { boundedBelow, shrink } from '#explore/shrink';
import { interleaving } from '#report/interleaving';
import { policyNumber } from '#scheduler/policies';
import { type LogNames, mainOperation } from '#trace/steps';
import { ModelMachine, type ModelMemory, type ModelOps } from '../../support/model-machine.ts';
import { sctPrograms } from '../../support/sct-programs.ts';

const stay = policyNumber('stay');
const [X, Y, A, B] = [0x1000, 0x1004, 0x1008, 0x100c];
const NAMES = new Map([
  [X, 'x'],
  [Y, 'y'],
  [A, 'A'],
  [B, 'B'],
]);
const names: LogNames = {
  variable: (address) => NAMES.get(address) ?? `0x${address.toString(16)}`,
  symbol: (address) => `0x${address.toString(16)}`,
};

/** Finds a failure by random walk, shrinks it and explains it. */
function explained(executor: Executor): { explanation: Explanation; failure: Failure } {
  for (let seed = 1; seed < 3_000; seed++) {
    const result = executor.run({ prefix: [], policy: policyNumber('random'), seed });
    const [found] = failuresOf(result);
    if (found === undefined) continue;
    const failure = { kind: found.kind, title: found.title };
    const plan = { prefix: segmentsOf(result.log), policy: stay, seed: 1 };
    const searchBelow = boundedBelow(executor, failure);
    const { schedule } = shrink(executor, plan, failure, { stay, searchBelow, searchRunsMax: 200 })!;
    return { explanation: explain(executor, schedule, failure, { stay })!, failure };
  }
  throw new Error('no failure in 3,000 random walks');
}

/** `0 load x, 1 store x` for each decisive pair, with CPUs. */
function decisive({ decisive: pairs }: Explanation): string[] {
  const TYPES = ['', 'load', 'store', 'rmw', 'fence', 'acquire', 'await', 'buffer', 'flush', 'ipi', 'irq'];
  return pairs.map(({ first, second }) =>
    [first, second]
      .map((step) => {
        const { type, address } = mainOperation(step);
        return `${cpuOf(step.actor)} ${TYPES[type]} ${names.variable(address)}`;
      })
      .join(', '),
  );
}

function* increment(m: ModelOps): ReturnType<typeof incrementTwice> {
  const before: number = yield m.load(X);
  yield m.store(X, before + 1);
}

function* incrementTwice(m: ModelOps): Generator<ReturnType<ModelOps['load']>, void, number> {
  yield* increment(m);
  yield* increment(m);
}

const sumIs =
  (sum: number) =>
  (memory: ModelMemory): string | undefined =>
    memory.load(X) === sum ? undefined : 'an update is lost';

describe('explain', () => {
  it('lost update: the load of the one before the store of the other decides, and nothing else', () => {
    const { explanation } = explained(new ModelMachine({ flows: [increment, increment], check: sumIs(2) }));
    expect(decisive(explanation)).toHaveLength(1);
    expect(decisive(explanation)[0]).toMatch(/^(0 load x, 1 store x|1 load x, 0 store x)$/);
    expect(explanation.decisive[0]!.outcome).toBe('passes');
    expect(explanation.indifferent.map(({ outcome }) => outcome)).toContain('fails-the-same');
  });

  it('AB-BA deadlock: names what each waits for, though it never happened', () => {
    const locked = (first: number, second: number) =>
      function* (m: ModelOps): ReturnType<typeof incrementTwice> {
        yield m.acquire(first);
        yield m.acquire(second);
        yield m.release(second);
        yield m.release(first);
      };
    const { explanation } = explained(new ModelMachine({ flows: [locked(A, B), locked(B, A)] }));
    expect(explanation.waiting.map((step) => [cpuOf(step.actor), mainOperation(step).address])).toEqual([
      [0, B],
      [1, A],
    ]);
    expect(decisive(explanation).toSorted()).toEqual([
      '0 acquire A, 1 acquire A',
      '1 acquire B, 0 acquire B',
    ]);
  });

  it('store buffering under tso: each load before the flush of the other decides', () => {
    const [R0, R1] = [0x1010, 0x1014];
    const side = (mine: number, other: number, result: number) =>
      function* (m: ModelOps): ReturnType<typeof incrementTwice> {
        yield m.store(mine, 1);
        yield m.store(result, (yield m.load(other)) + 10);
      };
    const check = (memory: ModelMemory): string | undefined =>
      memory.load(R0) === 10 && memory.load(R1) === 10 ? 'both read zero' : undefined;
    const { explanation } = explained(
      new ModelMachine({ flows: [side(X, Y, R0), side(Y, X, R1)], memoryModel: 'tso', check }),
    );
    expect(decisive(explanation).toSorted()).toEqual(['0 load y, 1 flush y', '1 load x, 0 flush x']);
  });

  it('an interrupt between a load and a store: both ends of the interrupt decide', () => {
    const executor = new ModelMachine({
      flows: [increment],
      interrupts: [{ cpu: 0, handler: increment }],
      check: sumIs(2),
    });
    const { explanation } = explained(executor);
    expect(explanation.decisive).toHaveLength(2);
    const [before, after] = explanation.decisive;
    expect(flowOf(before!.first.actor)).toBe(Flow.MAIN);
    expect(flowOf(before!.second.actor)).toBe(Flow.INTERRUPT);
    expect(flowOf(after!.first.actor)).toBe(Flow.INTERRUPT);
    expect(flowOf(after!.second.actor)).toBe(Flow.MAIN);
  });

  it('a lock in the way: turns the critical sections, not the release and the taking', () => {
    const section = (value: number) =>
      function* (m: ModelOps): ReturnType<typeof incrementTwice> {
        yield m.acquire(A);
        yield m.store(X, value);
        yield m.release(A);
      };
    const check = (memory: ModelMemory): string | undefined =>
      memory.load(X) === 1 ? 'one was last' : undefined;
    const { explanation } = explained(new ModelMachine({ flows: [section(1), section(2)], check }));
    expect(decisive(explanation)).toEqual(['1 store A, 0 acquire A']);
  });

  it('says how many pairs it had no run for', () => {
    const executor = new ModelMachine({ flows: [incrementTwice, incrementTwice], check: sumIs(4) });
    for (let seed = 1; ; seed++) {
      const result = executor.run({ prefix: [], policy: policyNumber('random'), seed });
      const [failure] = failuresOf(result);
      if (failure === undefined) continue;
      const schedule = segmentsOf(result.log);
      const all = explain(executor, schedule, failure, { stay })!;
      const some = explain(executor, schedule, failure, { stay, runsMax: 2 })!;
      expect(all.untried).toBe(0);
      expect(some.untried).toBeGreaterThan(0);
      const tried = some.decisive.length + some.indifferent.length;
      expect(tried + some.untried).toBe(all.decisive.length + all.indifferent.length);
      return;
    }
  });

  it('does not explain what does not fail', () => {
    const executor = new ModelMachine({ flows: [increment, increment], check: sumIs(2) });
    expect(explain(executor, [], { kind: 'check', title: 'an update is lost' }, { stay })).toBeUndefined();
  });
});

/** Fail in nearly every order, so that no one order decides. */
const WHATEVER_THE_ORDER: ReadonlySet<string> = new Set(['circular_buffer', 'queue']);

describe('explain, on the programs of SCTBench', () => {
  it.each(sctPrograms.map(({ name, program }) => ({ name, program })))(
    '$name: says whether some order decides, and the drawing fits 40 lines of 100 columns',
    ({ name, program }) => {
      const { explanation, failure } = explained(new ModelMachine({ ...program, stepLimit: 2_000 }));
      const { steps, waiting, unreached, decisive: pairs } = explanation;
      expect(pairs.length === 0).toBe(WHATEVER_THE_ORDER.has(name));
      expect(pairs.length + explanation.indifferent.length).toBeGreaterThan(0);
      const orders = pairs.map(({ first, second }) => ({ first: first.index, second: second.index }));
      const lines = interleaving(
        { steps, waiting, unreached, names },
        { decisive: orders, finding: failure },
      );
      expect(lines.length).toBeLessThanOrEqual(40);
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(100);
      expect(lines.filter((line) => line.includes(' <-')).length > 1).toBe(pairs.length > 0);
    },
  );
});
