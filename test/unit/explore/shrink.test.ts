import { describe, expect, it } from 'vitest';
import { minimalPreemptions } from '#explore/bounded';
import { type Executor, type Plan, RunStop } from '#explore/executor';
import { type Failure, compareCost, costOf, failsWith, failuresOf, segmentsOf } from '#explore/schedule';
import { boundedBelow, shrink } from '#explore/shrink';
import { policyNumber } from '#scheduler/policies';
import { ModelMachine, type ModelOps, type ModelProgram } from '../../support/model-machine.ts';
import { sctPrograms } from '../../support/sct-programs.ts';

const stay = policyNumber('stay');
const random = policyNumber('random');
const SEEDS_MAX = 3_000;

interface Found {
  readonly plan: Plan;
  readonly failure: Failure;
}

/** The first failing run of a random walk: usually a long way from the smallest. */
function firstFailure(executor: Executor, from = 1): Found | undefined {
  // Memory that becomes known as shared changes what is asked: the plan is taken as the schedule that was run.
  for (let seed = from; seed < from + SEEDS_MAX; seed++) {
    const result = executor.run({ prefix: [], policy: random, seed });
    const [failure] = failuresOf(result);
    if (failure !== undefined && result.stop !== RunStop.STEP_LIMIT) {
      const { kind, title } = failure;
      return { plan: { prefix: segmentsOf(result.log), policy: stay, seed: 1 }, failure: { kind, title } };
    }
  }
  return undefined;
}

const counter = 0x1000;
const lostUpdate = {
  flows: [0, 1, 2].map(
    () =>
      function* (m: ModelOps) {
        const before: number = yield m.load(counter);
        yield m.store(counter, before + 1);
      },
  ),
  check: (memory: { load(address: number): number }) =>
    memory.load(counter) === 3 ? undefined : 'an update is lost',
};

describe('shrink', () => {
  it('leaves the one preemption that a lost update needs, from random walks (seeds 1..20)', () => {
    const executor = new ModelMachine(lostUpdate);
    for (let seed = 1; seed <= 20; seed++) {
      const { plan, failure } = firstFailure(executor, seed * 100)!;
      const small = shrink(executor, plan, failure, { stay })!;
      expect(small.cost.preemptions, `seed ${seed * 100}`).toBe(1);
      expect(small.cost.switches, `seed ${seed * 100}`).toBeLessThanOrEqual(3);
    }
  });

  it('gives a schedule that fails in the same way when it is run', () => {
    const executor = new ModelMachine(lostUpdate);
    const { plan, failure } = firstFailure(executor)!;
    const small = shrink(executor, plan, failure, { stay })!;
    const again = executor.run({ prefix: small.schedule, policy: stay, seed: 1 });
    expect(failsWith(again, failure)).toBe(true);
    expect(again.steps).toBe(small.cost.steps);
  });

  it('never ends dearer than it began (all SCTBench programs, five random walks each, seeds from 1, 501, ...)', () => {
    for (const { name, program } of sctPrograms) {
      const executor = new ModelMachine({ ...program, stepLimit: 2_000 });
      for (let from = 1; from < 2_500; from += 500) {
        const { plan, failure } = firstFailure(executor, from)!;
        const before = costOf(executor.run(plan).log);
        const small = shrink(executor, plan, failure, { stay })!;
        expect(compareCost(small.cost, before), `${name} from seed ${from}`).toBeLessThanOrEqual(0);
        expect(costOf(executor.run({ prefix: small.schedule, policy: stay, seed: 1 }).log)).toEqual(
          small.cost,
        );
      }
    }
  });

  it('refuses a plan that does not fail so', () => {
    const executor = new ModelMachine(lostUpdate);
    const plan = { prefix: [], policy: stay, seed: 1 };
    expect(shrink(executor, plan, { kind: 'check', title: 'an update is lost' }, { stay })).toBeUndefined();
  });

  it('takes what a search below finds, and believes it that there is nothing', () => {
    const executor = new ModelMachine(lostUpdate);
    const { plan, failure } = firstFailure(executor)!;
    const asked: number[] = [];
    const nothing = (bound: number): { plan: undefined; runs: number; complete: boolean } => {
      asked.push(bound);
      return { plan: undefined, runs: 5, complete: true };
    };
    const small = shrink(executor, plan, failure, { stay, searchBelow: nothing })!;
    expect(small.minimal).toBe(true);
    expect(asked).toEqual([0]);
    const unsure = shrink(executor, plan, failure, {
      stay,
      searchBelow: () => ({ plan: undefined, runs: 5, complete: false }),
    })!;
    expect(unsure.minimal).toBe(false);
  });

  it('keeps within its runs', () => {
    const executor = new ModelMachine(lostUpdate);
    const { plan, failure } = firstFailure(executor)!;
    let runs = 0;
    const counted: Executor = {
      actors: executor.actors,
      run: (each) => {
        runs++;
        return executor.run(each);
      },
    };
    const small = shrink(counted, plan, failure, { stay, runsMax: 7 })!;
    // A change that has to be mended may take some more than were left.
    expect(runs).toBeLessThanOrEqual(7 + 8);
    expect(small.runs).toBe(runs);
  });

  it('shrinks a walk of hundreds of switches to the few that matter', () => {
    const rounds = 60;
    const flag = 0x2000;
    const executor = new ModelMachine({
      flows: [0, 1].map(
        () =>
          function* (m: ModelOps) {
            for (let round = 0; round < rounds; round++) {
              const before: number = yield m.load(counter);
              yield m.store(counter, before + 1);
              yield m.load(flag);
            }
          },
      ),
      check: (memory: { load(address: number): number }) =>
        memory.load(counter) === 2 * rounds ? undefined : 'updates are lost',
    });
    const { plan, failure } = firstFailure(executor)!;
    expect(plan.prefix.length).toBeGreaterThan(50);
    const small = shrink(executor, plan, failure, { stay })!;
    expect(small.cost).toMatchObject({ preemptions: 1, switches: 2 });
  });

  it('stops where it is small enough', () => {
    const executor = new ModelMachine(lostUpdate);
    const { plan, failure } = firstFailure(executor)!;
    const small = shrink(executor, plan, failure, { stay, enough: 1 })!;
    expect(small.cost.preemptions).toBe(1);
    expect(small.runs).toBeLessThan(shrink(executor, plan, failure, { stay })!.runs);
  });
});

/** Too many orders without any preemption to try them all; but in each of them a flow runs as one, and none of those fails. */
const ONE_BY_ARGUMENT: ReadonlySet<string> = new Set(['reorder_10', 'wronglock']);

describe('shrink, on the programs of SCTBench', () => {
  it.each(sctPrograms.map(({ name, program }) => ({ name, program })))(
    '$name: reaches the fewest preemptions that bounded search knows (first failing random walk)',
    ({ name, program }) => {
      const executor = new ModelMachine({ ...program, stepLimit: 2_000 });
      const { plan, failure } = firstFailure(executor)!;
      const isArgued = ONE_BY_ARGUMENT.has(name);
      const searchBelow = boundedBelow(executor, failure);
      const small = shrink(executor, plan, failure, {
        stay,
        searchBelow,
        searchRunsMax: isArgued ? 50 : 3_000,
      })!;
      expect(small.minimal).toBe(!isArgued);
      expect(small.cost.preemptions).toBe(isArgued ? 1 : fewestOf(program, failure));
    },
  );
});

/** As a fresh machine says, which knows nothing of what was run before. */
function fewestOf(program: ModelProgram, failure: Failure): number | undefined {
  const executor = new ModelMachine({ ...program, stepLimit: 2_000 });
  return minimalPreemptions(executor, (result) => failsWith(result, failure), { runs: 3_000 })?.preemptions;
}
