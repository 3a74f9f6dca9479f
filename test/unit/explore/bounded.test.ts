import { describe, expect, it } from 'vitest';
import { seedState, xorshift32 } from '#base/prng';
import { BoundedSearch, type BoundedOptions, minimalPreemptions } from '#explore/bounded';
import type { RunResult, Segment } from '#explore/executor';
import { RunSteps } from '#explore/run-steps';
import { SamplingCampaign } from '#explore/sampling';
import { costOf, failuresOf } from '#explore/schedule';
import { runSearch } from '#explore/search';
import { policyNumber } from '#scheduler/policies';
import { type FlowBody, ModelMachine, type ModelProgram } from '../../support/model-machine.ts';
import { sctPrograms } from '../../support/sct-programs.ts';

const [X, LOCK] = [0x1000, 0x2000];
const failed = (result: RunResult): boolean => failuresOf(result).length > 0;

/** `count` flows of `rounds` times lock; x++; unlock. */
function lockers(count: number, rounds: number): ModelProgram {
  const flow: FlowBody = function* (m) {
    for (let round = 0; round < rounds; round++) {
      yield m.acquire(LOCK);
      yield m.store(X, (yield m.load(X)) + 1);
      yield m.release(LOCK);
    }
  };
  return { flows: Array.from({ length: count }, () => flow) };
}

/** `count` flows that write one word each their own value, `times` times. */
function writers(count: number, times: number): ModelProgram {
  return {
    flows: Array.from(
      { length: count },
      (_, cpu) =>
        function* (m) {
          for (let time = 0; time < times; time++) yield m.store(X, 1 + cpu * 10 + time);
        },
    ),
  };
}

function searched(program: ModelProgram, options: BoundedOptions, memoryModel: 'sc' | 'tso' = 'sc') {
  const search = new BoundedSearch(options);
  const states = new Set<string>();
  const costs: number[] = [];
  runSearch(search, new ModelMachine({ ...program, memoryModel }), (result) => {
    states.add(result.finalState);
    costs.push(search.cost);
    return false;
  });
  return { ...search.statement(), states, costs };
}

/** Two flows of up to three operations on two words, and an interrupt on the first CPU; from the seed. */
function randomProgram(seed: number): ModelProgram {
  let state = seedState(seed);
  const draw = (below: number): number => (state = xorshift32(state)) % below;
  const flow = (length: number): FlowBody => {
    const ops = Array.from({ length }, () => [draw(5), X + 4 * draw(2), 1 + draw(9)] as const);
    return function* (m) {
      for (const [what, word, value] of ops)
        if (what === 0) yield m.rmw(word, (before) => before * 10 + value);
        else if (what === 1) {
          yield m.acquire(LOCK);
          yield m.store(word, value);
          yield m.release(LOCK);
        } else yield what === 2 ? m.load(word) : m.store(word, value);
    };
  };
  const handler = flow(1);
  return { flows: [flow(2), flow(2)], ...(seed % 3 === 0 ? { interrupts: [{ cpu: 0, handler }] } : {}) };
}

/** The final states of every schedule there is: each choice of each run taken otherwise, and nothing left out. */
function everyState(program: ModelProgram, memoryModel: 'sc' | 'tso'): Set<string> {
  const machine = new ModelMachine({ ...program, memoryModel });
  // Until all shared memory is known as shared, some choices do not show.
  for (let seed = 1; seed <= 20; seed++) machine.run({ prefix: [], policy: policyNumber('random'), seed });
  const states = new Set<string>();
  const steps = new RunSteps();
  const walk = (prefix: readonly Segment[], from: number): void => {
    const { log, finalState } = machine.run({ prefix, policy: policyNumber('stay'), seed: 1 });
    states.add(finalState);
    steps.read(log);
    const branches: [readonly Segment[], number][] = [];
    for (let step = from; step < steps.count; step++)
      for (let actor = 0; actor < machine.actors; actor++)
        if (actor !== steps.actor[step] && steps.couldGo(step, actor))
          branches.push([steps.prefixTo(step, actor), step + 1]);
    for (const [branch, at] of branches) walk(branch, at);
  };
  walk([], 0);
  return states;
}

describe('BoundedSearch', () => {
  it.each([
    ['3 writers of one word: 3!', writers(3, 1), 6],
    ['4 writers of one word: 4!', writers(4, 1), 24],
    ['2 writers, 3 times each: 6! / 3!^2', writers(2, 3), 20],
    ['3 flows, 2 rounds of lock; x++; unlock: 6! / 2!^3', lockers(3, 2), 90],
  ] as [string, ModelProgram, number][])(
    'without a bound it covers every trace: %s',
    (_title, program, traces) => {
      for (const kind of ['preemptions', 'delays'] as const)
        expect(searched(program, { kind }), kind).toMatchObject({ complete: true, traces });
    },
  );

  it('store buffers are actors: the outcome of SB that only tso allows is found, without a bound', () => {
    const side = (mine: number, other: number): FlowBody =>
      function* (m) {
        yield m.store(mine, 1);
        yield m.load(other);
      };
    const sb: ModelProgram = { flows: [side(0x100, 0x200), side(0x200, 0x100)] };
    expect(searched(sb, { kind: 'preemptions' }, 'sc').states.size).toBe(3);
    expect(searched(sb, { kind: 'preemptions' }, 'tso').states.size).toBe(4);
  });

  it('reaches what brute force reaches, on 60 random programs with interrupts, locks and store buffers', () => {
    for (let seed = 1; seed <= 60; seed++) {
      const [program, memoryModel] = [randomProgram(seed), seed % 2 === 0 ? 'sc' : 'tso'] as const;
      const all = everyState(program, memoryModel);
      for (const kind of ['preemptions', 'delays'] as const)
        for (const sameness of ['trace', 'state'] as const) {
          const { states, complete } = searched(program, { kind, sameness }, memoryModel);
          expect([complete, states], `seed ${seed} ${memoryModel} ${kind} by ${sameness}`).toEqual([
            true,
            all,
          ]);
        }
    }
  });

  it('bounds are searched in their order, and a bound that is covered is said', () => {
    const whole = searched(writers(2, 3), { kind: 'preemptions' });
    expect(whole.costs).toEqual(whole.costs.toSorted((a, b) => a - b));
    for (const boundMax of [0, 1, 2]) {
      const part = searched(writers(2, 3), { kind: 'preemptions', boundMax });
      expect(part).toMatchObject({ complete: true, bounds: { preemptions: boundMax } });
      // Two flows of 3 steps, in c + 2 stretches at c preemptions: as many orders as there are ways to cut the two.
      const orders = [2, 2 + 4, 2 + 4 + 8][boundMax]!;
      expect(part.traces, `bound ${boundMax}`).toBe(orders);
    }
  });

  it('stopped by its budget it claims the bounds below the one it was at, and no more', () => {
    const { costs } = searched(writers(2, 3), { kind: 'preemptions' });
    const first = costs.indexOf(2);
    for (const [runs, bound] of [
      [first - 1, 0],
      [first + 1, 1],
    ] as const) {
      const { complete, bounds } = searched(writers(2, 3), { kind: 'preemptions', runs });
      expect({ complete, bound: bounds['preemptions'] }).toEqual({ complete: false, bound });
    }
  });

  it('delays: each bound holds more than the one before, and less than the same bound of preemptions', () => {
    const sizes = [0, 1, 2].map((boundMax) => searched(writers(4, 2), { kind: 'delays', boundMax }).traces);
    expect(sizes[0]).toBe(1);
    expect(sizes[1]).toBeGreaterThan(1);
    expect(sizes[2]).toBeGreaterThan(sizes[1]!);
    expect(sizes[1]).toBeLessThan(searched(writers(4, 2), { kind: 'preemptions', boundMax: 1 }).traces);
  });

  it('by state it reaches the same final states in fewer runs', () => {
    for (const program of [writers(3, 2), lockers(3, 2)]) {
      const quiet = { ...program };
      const [byTrace, byState] = (['trace', 'state'] as const).map((sameness) =>
        searched(quiet, { kind: 'preemptions', sameness }),
      );
      const memory = (states: Set<string>): string[] => [...states].toSorted();
      expect(memory(byState!.states)).toEqual(memory(byTrace!.states));
      expect(byState!.executions).toBeLessThanOrEqual(byTrace!.executions);
    }
  });

  it('a run that a limit cut short leaves the search incomplete', () => {
    const search = new BoundedSearch({ kind: 'preemptions', boundMax: 0 });
    runSearch(search, new ModelMachine({ ...writers(2, 20), stepLimit: 10 }), () => false);
    expect(search.statement()).toMatchObject({ complete: false, bounds: { preemptions: -1 } });
  });
});

describe('minimalPreemptions', () => {
  it.each([
    ['account', 0],
    ['bluetooth_driver', 1],
    ['circular_buffer', 1],
    ['deadlock01', 1],
    ['lazy01', 0],
    ['queue', 1],
    ['reorder_3', 1],
    ['reorder_5', 1],
    ['stack', 1],
    ['token_ring', 0],
    ['twostage', 1],
    ['stringbuffer', 1],
    ['work_stealing_queue', 2],
    ['double_enable', 2],
  ] as [string, number][])('%s needs %i, and no random failure ever had fewer', (name, preemptions) => {
    const { program } = sctPrograms.find((one) => one.name === name)!;
    const found = minimalPreemptions(new ModelMachine(program), failed)!;
    expect(found.preemptions).toBe(preemptions);
    const again = new ModelMachine(program).run(found.plan);
    expect(failed(again)).toBe(true);
    let least = Infinity;
    const campaign = new SamplingCampaign({ strategy: 'pct', depth: 2, seed: 3, runs: 400 });
    runSearch(campaign, new ModelMachine(program), (result) => {
      if (failed(result)) least = Math.min(least, costOf(result.log).preemptions);
      return false;
    });
    expect(least).toBeGreaterThanOrEqual(preemptions);
  });

  it('answers nothing when no schedule within the bound fails', () => {
    expect(minimalPreemptions(new ModelMachine(lockers(2, 2)), failed)).toBeUndefined();
  });
});
