/** Tasks that change CPUs: two CPUs change places, and what either does from then on comes after what both had done. */
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { FlowBody, ModelOps } from '../../support/model-machine.ts';
import { type ModelRequest, ORPHANS } from '../../support/model-program.ts';
import { type Toy, type ToyProgram, anyMovingProgram, byDpor, byForce, machineOf } from './dpor-programs.ts';
import { provedAsByForce } from './dpor-proof.ts';

const X = 0x100;
const Y = 0x104;
const ANY = 7;
const SCHEDULES_MAX = 600;

/** Asks for another CPU, and gives that up when Y is 1. Answers 1 on another CPU. */
function* leave(m: ModelOps, wants = ANY): Generator<ModelRequest, number, number> {
  yield m.irqs(false);
  yield m.offer(wants);
  const moved = yield m.standBy(Y, ([seen]) => seen === 1);
  yield m.irqs(true);
  return moved;
}

/** Has nothing to do, until somebody asks for a CPU. */
function* adopt(m: ModelOps): Generator<ModelRequest, number, number> {
  yield m.orphans();
  yield m.irqs(false);
  const taken = yield m.take();
  yield m.fence();
  yield m.irqs(true);
  return taken;
}

const store = (value: number): FlowBody =>
  function* (m) {
    yield m.store(X, value);
  };

describe('dpor: tasks that change CPUs', () => {
  it('what a task does on its new CPU is turned round against the others, and not against its old CPU', () => {
    const { states } = provedAsByForce({
      flows: [
        function* (m) {
          yield m.store(X, 1);
          yield* leave(m);
          yield m.store(X, 2);
        },
        function* (m) {
          yield* adopt(m);
          yield m.load(X);
        },
        store(3),
      ],
    });
    // What is left in X, and what the other one sees of the three: never less than the first.
    expect(states.size).toBe(6);
  });

  it('of two CPUs that have nothing to do either gets the task, and the other looks in vain', () => {
    const taker: FlowBody = function* (m) {
      yield m.store(X, 2 + (yield* adopt(m)));
    };
    const { states } = provedAsByForce({
      flows: [
        function* (m) {
          yield* leave(m);
          yield m.store(X, 1);
        },
        taker,
        taker,
      ],
    });
    expect(states.size).toBeGreaterThan(6);
  });

  it('a reason to stay comes before the CPU is given away, or too late, or the offer after it', () => {
    const { states } = provedAsByForce({
      flows: [
        function* (m) {
          yield m.store(X, 1 + (yield* leave(m)));
        },
        function* (m) {
          yield* adopt(m);
        },
        function* (m) {
          yield m.store(Y, 1);
          yield m.store(Y, 0);
        },
      ],
    });
    // It stays, or goes; and if it stays, the other waits for ever or has looked too late.
    expect(states.size).toBe(3);
  });

  it('a CPU is no place for a task that may not run there', () => {
    const { states } = provedAsByForce({
      flows: [
        function* (m) {
          yield* leave(m, 1 << 2);
          yield m.store(X, 1);
        },
        function* (m) {
          yield m.await(ORPHANS, ([count]) => count === 1);
          yield m.load(X);
        },
        function* (m) {
          yield* adopt(m);
        },
      ],
    });
    // The second CPU looks before the task has moved, or after, or misses that it asked.
    expect(states.size).toBe(3);
  });

  it('an interrupted flow goes on on another CPU, and the interrupt could have come later', () => {
    const { traces } = provedAsByForce({
      shut: true,
      flows: [
        function* (m) {
          yield m.store(X, 1);
          yield m.store(X, 2);
        },
        function* (m) {
          yield* adopt(m);
        },
        function* (m) {
          yield m.ipi(0);
          yield m.load(X);
        },
      ],
      interrupts: [
        {
          cpu: 0,
          pending: false,
          handler: function* () {},
          preempts: function* (m) {
            yield* leave(m);
          },
        },
      ],
    });
    expect(traces.size).toBe(9);
  });

  it('what waits on the same word on the old CPU and on the new one is two waits', () => {
    const { states } = provedAsByForce({
      flows: [
        function* (m) {
          yield* leave(m);
          yield m.await(X, ([seen]) => seen === 1);
        },
        function* (m) {
          yield* adopt(m);
          yield m.await(X, ([seen]) => seen === 2);
        },
        function* (m) {
          yield m.store(X, 1);
          yield m.store(X, 2);
        },
      ],
    });
    // The task may miss the 1; the other finds the 2 however late.
    expect(states.size).toBe(2);
  });

  const leaves = (value: number, word = 0): Toy => ({ op: 'leave', wants: ANY, word, value });
  const handlers = [0, 1].map((cpu) => ({ cpu, pending: true, looks: true, body: [], preempts: [] }));
  it.each<[string, ToyProgram]>([
    [
      'runs that were left to guesses are made where all the guesses fail',
      {
        flows: [
          [{ op: 'adopt', fits: false }, leaves(2, 1), leaves(0)],
          [
            { op: 'leave-or-start', wants: ANY },
            { op: 'store', word: 1, value: 1 },
          ],
        ],
        handlers,
        shut: true,
      },
    ],
    [
      'what nobody knows stands in for nothing that comes behind it',
      { flows: [[{ op: 'add', word: 0 }], [{ op: 'take' }, leaves(0)], [leaves(0)]], handlers: [] },
    ],
    [
      'a reason to stay that was there before the CPU was given away is found',
      {
        flows: [[{ op: 'take' }, { op: 'add', word: 0 }, { op: 'adopt', fits: false }], [leaves(0)]],
        handlers: [],
      },
    ],
  ])('%s', (_, program) => {
    const force = byForce(machineOf(program, 'sc', true));
    const { search, traces, twice } = byDpor(machineOf(program, 'sc', true));
    expect(search.isComplete).toBe(true);
    expect([...traces].toSorted()).toEqual([...force.traces].toSorted());
    expect(twice).toBe(0);
  });

  it.each([
    ['sc', 7, false, 25],
    ['tso', 6, false, 15],
    ['sc', 6, true, 15],
    ['tso', 5, true, 15],
  ] as const)(
    'the states and traces of brute force, no trace twice (%s, %i operations, interrupts %s, %i programs)',
    (model, most, withInterrupts, programs) => {
      const seed = Number(process.env['SEED'] ?? 20_260_104);
      const times = Number(process.env['TIMES'] ?? 1);
      let compared = 0;
      const check = (program: ToyProgram): void => {
        const force = byForce(machineOf(program, model, true), SCHEDULES_MAX);
        if (!force.isComplete) return;
        const { search, traces, states, twice } = byDpor(machineOf(program, model, true));
        expect(twice).toBe(0);
        const gap = search.statement().unproved;
        if (gap !== undefined) {
          expect(gap).toMatch(/could not follow up/);
          return;
        }
        compared++;
        expect([...states].toSorted()).toEqual([...force.states].toSorted());
        expect([...traces].toSorted()).toEqual([...force.traces].toSorted());
      };
      fc.assert(fc.property(anyMovingProgram(most, withInterrupts), check), {
        numRuns: programs * times,
        seed,
      });
      expect(compared).toBeGreaterThan((programs * times) / 2);
    },
  );
});
