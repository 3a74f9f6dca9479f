import { describe, expect, it } from 'vitest';
import type { Executor, Plan, RunResult } from '#explore/executor';
import { recordingOf, replay, selfCheck } from '#explore/replay';
import { failuresOf, logDigest } from '#explore/schedule';
import { decodeToken, encodeToken } from '#explore/token';
import { policyNumber } from '#scheduler/policies';
import { decodeSteps, encodeSteps } from '#trace/steps';
import {
  ModelMachine,
  type ModelMemory,
  type ModelOps,
  type ModelRequest,
} from '../../support/model-machine.ts';
import { sctPrograms } from '../../support/sct-programs.ts';

const stay = policyNumber('stay');
const random = policyNumber('random');
const [X, Y] = [0x1000, 0x1004];

type Body = (m: ModelOps) => Generator<ModelRequest, void, number>;

/** Adds `by()` to X, so often. */
const adding = (times: number, by = (): number => 1): Body =>
  function* (m) {
    for (let time = 0; time < times; time++) {
      const before = yield m.load(X);
      yield m.store(X, before + by());
    }
  };

const here = {
  version: '0.1.0',
  imageHash: 1,
  scenario: 'test',
  scenarioHash: 2,
  cpus: 2,
  vendor: 'amd',
  memoryModel: 'sc',
} as const;

function words({ log }: RunResult): readonly number[] {
  return [...log.words.subarray(0, log.records * 8)];
}

describe('replay', () => {
  it('gives failures again from their printed tokens alone, on a fresh machine, the same words (all SCTBench programs)', () => {
    let failures = 0;
    for (const { name, program } of sctPrograms) {
      const executor = new ModelMachine({ ...program, stepLimit: 2_000 });
      for (let seed = 1; seed <= 150; seed++) {
        const result = executor.run({ prefix: [], policy: random, seed });
        if (failuresOf(result).length === 0) continue;
        const said = failuresOf(result).map(({ title }) => title);
        const digest = logDigest(result.log);
        const text = encodeToken({ ...here, ...recordingOf(result.log) });
        const fresh = new ModelMachine({ ...program, stepLimit: 2_000 });
        const again = replay(fresh, decodeToken(text, here), { policy: stay });
        expect(again.divergence, `${name} seed ${seed}`).toBeUndefined();
        expect(failuresOf(again.result).map(({ title }) => title)).toEqual(said);
        expect(logDigest(again.result.log)).toBe(digest);
        failures++;
      }
    }
    expect(failures).toBeGreaterThan(300);
  });

  it('two machines that replay one token have logs of the same words', () => {
    const result = new ModelMachine({ flows: [adding(3), adding(3)] }).run({
      prefix: [],
      policy: random,
      seed: 7,
    });
    const recording = recordingOf(result.log);
    const [first, second] = [1, 2].map(() =>
      words(replay(new ModelMachine({ flows: [adding(3), adding(3)] }), recording, { policy: stay }).result),
    );
    expect(first).toEqual(second);
  });

  it('says the segment in which another value was written', () => {
    const result = new ModelMachine({ flows: [adding(4), adding(4)] }).run({
      prefix: [],
      policy: random,
      seed: 9,
    });
    const recording = recordingOf(result.log);
    let calls = 0;
    const edited = new ModelMachine({ flows: [adding(4, () => (++calls === 3 ? 2 : 1)), adding(4)] });
    const { divergence } = replay(edited, recording, { policy: stay });
    const stores = decodeSteps(result.log).filter(
      ({ actor, operations }) => actor === 0 && operations[0]!.type === 2,
    );
    const changed = stores[2]!.index;
    expect(divergence!.step).toBeLessThanOrEqual(changed);
    // A half byte misses one change in sixteen: then the next checkpoint has it.
    expect(divergence!.stepMax).toBeGreaterThanOrEqual(changed);
    expect(divergence!.message).toMatch(/^the run leaves the recorded one (at step|between steps) /);
  });

  it('says at which step an actor cannot go on as recorded', () => {
    const recording = recordingOf(
      new ModelMachine({ flows: [adding(1), adding(2)] }).run({ prefix: [], policy: stay, seed: 1 }).log,
    );
    const { divergence } = replay(new ModelMachine({ flows: [adding(1), adding(1)] }), recording, {
      policy: stay,
    });
    expect(divergence).toMatchObject({ step: 6, stepMax: 6, expected: 'CPU 1' });
    expect(divergence!.message).toContain('it waits or has ended');
  });

  it('notices a run that goes on where the recorded one ended', () => {
    const recording = recordingOf(
      new ModelMachine({ flows: [adding(1), adding(1)] }).run({ prefix: [], policy: stay, seed: 1 }).log,
    );
    const { divergence } = replay(new ModelMachine({ flows: [adding(1), adding(2)] }), recording, {
      policy: stay,
    });
    expect(divergence).toMatchObject({ step: 6, expected: 'the end of the run' });
    expect(divergence!.found).toMatch(/^CPU 1: load/);
  });
});

describe('logDigest', () => {
  const log = new ModelMachine({ flows: [adding(2), adding(2)] }).run({
    prefix: [],
    policy: random,
    seed: 3,
  }).log;
  const steps = decodeSteps(log);

  it('does not depend on what other runs had known as shared', () => {
    const blind = steps.map((step) => ({
      ...step,
      operations: step.operations.map((operation) => ({ ...operation, flags: operation.flags & ~2 })),
    }));
    expect(logDigest(encodeSteps(blind))).toBe(logDigest(encodeSteps(steps)));
  });

  it('depends on every value that was read or written', () => {
    for (const { index } of steps) {
      const other = steps.map((step) =>
        step.index === index
          ? {
              ...step,
              operations: step.operations.map((op, at) => (at === 0 ? { ...op, read: op.read + 1 } : op)),
            }
          : step,
      );
      expect(logDigest(encodeSteps(other)), `step ${index}`).not.toBe(logDigest(encodeSteps(steps)));
    }
  });
});

describe('selfCheck', () => {
  const plans: readonly Plan[] = [1, 2, 3].map((seed) => ({ prefix: [], policy: random, seed }));

  it('has nothing to say of programs that keep their state in memory, though memory becomes known as shared', () => {
    for (const { program } of sctPrograms) {
      const executor = new ModelMachine({ ...program, stepLimit: 2_000 });
      for (const plan of plans) expect(selfCheck(executor, plan)).toBeUndefined();
    }
  });

  it('names the step at which a variable outside memory decided the value', () => {
    let kept = 0;
    const executor = new ModelMachine({ flows: [adding(1, () => ++kept), adding(1)] });
    const found = selfCheck(executor, { prefix: [], policy: stay, seed: 1 })!;
    expect(found.step).toBe(2);
    expect(found.first).toBe('CPU 0: store 0x1000 (reads 0, writes 1)');
    expect(found.second).toBe('CPU 0: store 0x1000 (reads 0, writes 2)');
    expect(found.message).toMatch(/changes between two runs of one schedule.*outside simulated memory/);
  });

  it('says that the code took another way', () => {
    let runs = 0;
    const moody: Body = function* (m) {
      yield runs++ === 0 ? m.load(X) : m.load(Y);
    };
    const found = selfCheck(new ModelMachine({ flows: [moody] }), { prefix: [], policy: stay, seed: 1 })!;
    expect(found.message).toContain('the code took another way');
  });

  it('says that only a check was of two minds', () => {
    let checks = 0;
    const check = (_memory: ModelMemory): string | undefined => (checks++ === 0 ? 'sometimes' : undefined);
    const executor: Executor = new ModelMachine({ flows: [adding(1)], check });
    const found = selfCheck(executor, { prefix: [], policy: stay, seed: 1 })!;
    expect(found.message).toContain('every step was the same, but what its checks said was not');
    expect(found.message).toContain('first check: sometimes, then nothing found');
  });
});
