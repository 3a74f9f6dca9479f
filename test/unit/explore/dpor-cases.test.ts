import { describe, expect, it } from 'vitest';
import { DporSearch } from '#explore/dpor';
import { type Executor, RunStop } from '#explore/executor';
import { fingerprint } from '#explore/happens-before';
import { runSearch } from '#explore/search';
import { policyNumber } from '#scheduler/policies';
import { OP_WORDS, OpFlag, OpType, opActor, opHead } from '#trace/operations';
import { type FlowBody, ModelMachine, type ModelOptions } from '../../support/model-machine.ts';
import { byDpor } from './dpor-programs.ts';

const X = 0x100;
const Y = 0x104;
const [A, B] = [0x200, 0x204];

function nested(first: number, second: number): FlowBody {
  return function* (m) {
    yield m.acquire(first);
    yield m.acquire(second);
    yield m.release(second);
    yield m.release(first);
  };
}

/** How runs ended, and what was found, over a whole search. */
function endsOf(options: ModelOptions): { stops: Set<number>; titles: Set<string>; search: DporSearch } {
  const search = new DporSearch();
  const stops = new Set<number>();
  const titles = new Set<string>();
  runSearch(search, new ModelMachine(options), ({ stop, findings }) => {
    stops.add(stop);
    for (const { title } of findings) titles.add(title);
    return false;
  });
  return { stops, titles, search };
}

describe('dpor: what a run alone does not show', () => {
  it('two locks in opposite order: one deadlock and both orders that end, three traces', () => {
    const { states, traces, search } = byDpor(new ModelMachine({ flows: [nested(A, B), nested(B, A)] }));
    expect(search.isComplete).toBe(true);
    expect([...states].map((state) => Number(state[0])).toSorted((a, b) => a - b)).toEqual([
      RunStop.COMPLETE,
      RunStop.DEADLOCK,
    ]);
    expect(traces.size).toBe(3);
  });

  it('locks that every flow takes last first: the runs behind a deadlock met at once are found', () => {
    // The first run holds both first locks before anybody wants a second one, so it shows neither order.
    const meet: FlowBody = function* (m) {
      yield m.acquire(A);
      yield m.rmw(X, (seen) => seen + 1);
      yield m.await(X, ([seen]) => seen! > 0);
      yield m.acquire(B);
    };
    const other: FlowBody = function* (m) {
      yield m.acquire(B);
      yield m.acquire(A);
    };
    expect(endsOf({ flows: [meet, other] }).stops).toContain(RunStop.DEADLOCK);
  });

  it('a flag that is up for a moment: somebody sees it, somebody waits for ever', () => {
    const pulse: FlowBody = function* (m) {
      yield m.store(X, 1);
      yield m.store(X, 0);
    };
    const wait: FlowBody = function* (m) {
      yield m.await(X, ([seen]) => seen === 1);
    };
    const { stops, search } = endsOf({ flows: [pulse, wait] });
    expect(stops).toEqual(new Set([RunStop.COMPLETE, RunStop.DEADLOCK]));
    expect(search.redundant).toBe(0);
  });

  it('a wait that holds without either of two writes, or with both, but with neither alone', () => {
    const sum: FlowBody = function* (m) {
      yield m.await([X, Y], ([x, y]) => x === y);
      yield m.load(X);
    };
    const set = (word: number): FlowBody =>
      function* (m) {
        yield m.store(word, 1);
      };
    const { states } = byDpor(new ModelMachine({ flows: [set(X), set(Y), sum] }));
    const seen = [...states].map(
      (state) => (JSON.parse(state.slice(2)) as { loads: Record<number, number[]> }).loads[8],
    );
    expect(seen).toContainEqual([0, 0, 0]);
    expect(seen).toContainEqual([0, 0, 1]);
    expect(seen).toContainEqual([1, 1, 1]);
  });

  it('a flow that ends the run does not hide what the others could still do', () => {
    const dies: FlowBody = function* (m) {
      yield m.store(X, 1);
      m.fail('the first');
    };
    const tells: FlowBody = function* (m) {
      const seen = yield m.load(Y);
      yield m.store(Y, seen + 1);
      if (seen === 1) m.fail('the second');
    };
    const { titles, search } = endsOf({
      flows: [
        dies,
        tells,
        tells,
        function* (m) {
          yield m.load(X);
        },
      ],
    });
    expect(titles).toEqual(new Set(['the first', 'the second']));
    expect(search.isComplete).toBe(true);
  });

  it('an interrupt that is pending from the start is taken in front of each visible step, or never', () => {
    const { traces } = byDpor(
      new ModelMachine({
        flows: [
          function* (m) {
            yield m.store(X, 1);
            yield m.irqs(false);
            yield m.store(X, 2);
          },
        ],
        interrupts: [
          {
            cpu: 0,
            handler: function* (m) {
              yield m.load(X);
            },
          },
        ],
      }),
    );
    expect(traces.size).toBe(3);
  });

  it('a limit in the way: not complete, and it says so', () => {
    const spin: FlowBody = function* (m) {
      for (;;) yield m.load(X);
    };
    const { search } = endsOf({
      flows: [
        spin,
        function* (m) {
          yield m.store(X, 1);
        },
      ],
      stepLimit: 8,
    });
    expect(search.isComplete).toBe(false);
    expect(search.statement()).toMatchObject({ complete: false, cutShort: search.cutShort });
    expect(search.cutShort).toBeGreaterThan(0);
    expect(search.statement().unproved).toBe(`${search.cutShort} schedules were not followed to their end`);
  });

  it('memory that becomes known as shared again and again: gives up, and says so', () => {
    const machine = new ModelMachine({
      flows: [
        function* (m) {
          yield m.store(X, 1);
        },
      ],
    });
    const search = new DporSearch({ restartsMax: 3 });
    const growing: Executor = {
      actors: machine.actors,
      run: (plan) => ({ ...machine.run(plan), sharedGrew: true }),
    };
    expect(runSearch(search, growing, () => false)).toBe(4);
    expect(search.isComplete).toBe(false);
    expect(search.statement().unproved).toMatch(/^memory became known as shared 4 times/);
  });

  it.each([
    ['in front of which nobody could go', 1, false],
    ['that is a choice', 2, true],
  ])(
    'a look at what others write, as part of a step %s: whether an end of the search is a proof',
    (_, users, isProof) => {
      const add: FlowBody = function* (m) {
        yield m.rmw(X, (before) => before + 1);
      };
      const machine = new ModelMachine({ flows: Array.from({ length: users }, () => add) });
      const telling: Executor = {
        actors: machine.actors,
        run(plan) {
          const { log, ...result } = machine.run(plan);
          const last = log.records * OP_WORDS;
          const steps = log.words.subarray(0, last);
          const actor = opActor(log.words[last - OP_WORDS]!);
          const look = [opHead(OpType.LOAD, 0, OpFlag.CONTINUES, actor), Y, 4, 0, 0, 0, 0, 0];
          return {
            ...result,
            log: { words: Int32Array.from([...steps, ...look]), records: log.records + 1 },
          };
        },
      };
      const search = new DporSearch();
      runSearch(search, telling, () => false);
      expect(search.isComplete).toBe(isProof);
      if (!isProof) expect(search.statement().unproved).toMatch(/^a CPU looked whether an interrupt waits/);
    },
  );

  it('a budget: stops there, and the estimate of the rest is within three times the truth (24 traces)', () => {
    const flows = Array.from(
      { length: 4 },
      (): FlowBody =>
        function* (m) {
          yield m.store(X, 1);
        },
    );
    const search = new DporSearch({ runs: 8 });
    expect(runSearch(search, new ModelMachine({ flows }), () => false)).toBe(8);
    expect(search.isComplete).toBe(false);
    expect(search.estimate()).toBeGreaterThan(8);
    expect(search.estimate()).toBeLessThan(72);
  });
});

describe('fingerprint', () => {
  const flow = (word: number): FlowBody =>
    function* (m) {
      yield m.load(Y);
      yield m.store(word, 1);
    };
  const machine = new ModelMachine({ flows: [flow(X), flow(X)] });
  const run = (...actors: readonly number[]): string => {
    const prefix = actors.map((actor) => ({ actor, steps: 1 }));
    return fingerprint(machine.run({ prefix, policy: policyNumber('stay'), seed: 1 }).log).join(':');
  };
  // From here on both words are known as shared.
  run();

  it('is the same when two independent steps change places', () => {
    expect(run(0, 4, 0, 4, 0, 4)).toBe(run(0, 4, 4, 0, 0, 4));
  });
  it('differs when two dependent steps change places', () => {
    expect(run(0, 4, 0, 4, 0, 4)).not.toBe(run(0, 4, 0, 4, 4, 0));
  });
});
