import { describe, expect, it } from 'vitest';
import { type FlowBody, ModelMachine, type ModelOptions } from '../../support/model-machine.ts';
import { byDpor } from './dpor-programs.ts';

const X = 0x100;
const LOCK = 0x200;

function repeat(count: number, flow: (index: number) => FlowBody): FlowBody[] {
  return Array.from({ length: count }, (_, index) => flow(index));
}

const writer: FlowBody = function* (m) {
  yield m.store(X, 1);
};
const reader: FlowBody = function* (m) {
  yield m.load(X);
};

function lockRounds(threads: number, rounds: number): ModelOptions {
  return {
    observeLoads: false,
    flows: repeat(
      threads,
      () =>
        function* (m) {
          for (let round = 0; round < rounds; round++) {
            yield m.acquire(LOCK);
            const seen = yield m.load(X);
            yield m.store(X, seen + 1);
            yield m.release(LOCK);
          }
        },
    ),
    check: (memory) => (memory.load(X) === threads * rounds ? undefined : 'an increment was lost'),
  };
}

/** Flanagan and Godefroid 2005: n threads hash 4 messages each into 128 slots, by compare and exchange. */
function indexer(threads: number): ModelOptions {
  return {
    observeLoads: false,
    flows: repeat(
      threads,
      (tid) =>
        function* (m) {
          for (let message = 1; message <= 4; message++) {
            const written = message * 11 + tid;
            let slot = (written * 7) % 128;
            while ((yield m.rmw(X + slot * 4, (before) => (before === 0 ? written : before))) !== 0)
              slot = (slot + 1) % 128;
          }
        },
    ),
  };
}

/** POPL 2014: one thread looks for the last zero of an array from its end; the others each copy a[i - 1] + 1 to a[i]. */
function lastzero(threads: number): ModelOptions {
  const at = (index: number): number => X + index * 4;
  return {
    observeLoads: false,
    flows: [
      function* (m) {
        let index = threads;
        while ((yield m.load(at(index))) !== 0) index--;
      },
      ...repeat(
        threads,
        (index) =>
          function* (m) {
            const before = yield m.load(at(index));
            yield m.store(at(index + 1), before + 1);
          },
      ),
    ],
  };
}

function explore(options: ModelOptions): { traces: number; redundant: number; executions: number } {
  const { search, traces, twice } = byDpor(new ModelMachine(options));
  expect(search.isComplete).toBe(true);
  expect(twice).toBe(0);
  expect(traces.size).toBe(search.executions - search.redundant);
  return { traces: traces.size, redundant: search.redundant, executions: search.executions };
}

describe('dpor: one execution for each trace, where they can be counted', () => {
  it.each([
    [1, 1],
    [2, 2],
    [3, 6],
    [4, 24],
    [5, 120],
  ])('%i writers of one variable have %i orders', (threads, traces) => {
    expect(explore({ flows: repeat(threads, () => writer) })).toMatchObject({ traces, redundant: 0 });
  });
  it.each([1, 2, 3, 4, 5])('%i readers and a writer: each reads before or after it', (readers) => {
    expect(explore({ flows: [writer, ...repeat(readers, () => reader)] })).toMatchObject({
      traces: 2 ** readers,
      redundant: 0,
    });
  });
  it.each([2, 5])('%i writers of their own variables are one trace', (threads) => {
    const flows = repeat(
      threads,
      (index) =>
        function* (m) {
          yield m.store(X + index * 4, 1);
        },
    );
    expect(explore({ flows })).toMatchObject({ traces: 1, executions: 1 });
  });
  it.each([
    [2, 1, 2],
    [3, 2, 90],
    [4, 1, 24],
    [4, 2, 2520],
    [2, 5, 252],
  ])('%i threads that take a lock %i times each have %i orders', (threads, rounds, traces) => {
    expect(explore(lockRounds(threads, rounds))).toMatchObject({ traces, redundant: 0 });
  });
  it.each([
    [11, 1],
    [12, 8],
    [13, 64],
  ])('indexer(%i) has %i traces', (threads, traces) => {
    expect(explore(indexer(threads))).toMatchObject({ traces, redundant: 0 });
  });
  it.each([
    [5, 64],
    [6, 144],
    [7, 320],
  ])('lastzero(%i) has %i traces', (threads, traces) => {
    expect(explore(lastzero(threads))).toMatchObject({ traces, redundant: 0 });
  });
});
