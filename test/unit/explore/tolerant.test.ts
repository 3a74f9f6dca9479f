import { describe, expect, it } from 'vitest';
import { type Failure, failsWith, failuresOf, segmentsOf } from '#explore/schedule';
import { shrink } from '#explore/shrink';
import { followTolerant, tolerantSchedule } from '#explore/tolerant';
import { policyNumber } from '#scheduler/policies';
import type { LogNames } from '#trace/steps';
import {
  ModelMachine,
  type ModelMemory,
  type ModelOps,
  type ModelRequest,
} from '../../support/model-machine.ts';

const stay = policyNumber('stay');
const random = policyNumber('random');

type Body = (m: ModelOps) => Generator<ModelRequest, void, number>;

const LOCK = 0x1100;

/** Where variables are is the linker's business: an edit may move them. */
function program(
  counter: number,
  edit: { readonly extra?: boolean; readonly locked?: boolean; readonly atomic?: boolean },
) {
  const NAMES = new Map([
    [counter, 'counter'],
    [LOCK, 'lock'],
    [0x1200, 'statistics'],
  ]);
  const names: LogNames = {
    variable: (address) => NAMES.get(address) ?? `0x${address.toString(16)}`,
    symbol: () => '',
  };
  const body: Body = function* (m) {
    if (edit.extra === true) yield m.load(0x1200);
    if (edit.locked === true) yield m.acquire(LOCK);
    if (edit.atomic === true) yield m.rmw(counter, (before) => before + 1);
    else {
      const before = yield m.load(counter);
      if (edit.extra === true) yield m.store(0x1200, before);
      yield m.store(counter, before + 1);
    }
    if (edit.locked === true) yield m.release(LOCK);
  };
  const check = (memory: ModelMemory): string | undefined =>
    memory.load(counter) === 2 ? undefined : 'an update is lost';
  return { names, machine: new ModelMachine({ flows: [body, body], check }) };
}

const failure: Failure = { kind: 'check', title: 'an update is lost' };

/** By names, the smallest failing schedule of the program as it was. */
function recorded(): ReturnType<typeof tolerantSchedule> {
  const { machine, names } = program(0x1000, {});
  for (let seed = 1; ; seed++) {
    const result = machine.run({ prefix: [], policy: random, seed });
    if (failuresOf(result).length === 0) continue;
    const plan = { prefix: segmentsOf(result.log), policy: stay, seed: 1 };
    const { schedule } = shrink(machine, plan, failure, { stay })!;
    return tolerantSchedule(machine.run({ prefix: schedule, policy: stay, seed: 1 }).log, names);
  }
}

describe('followTolerant', () => {
  it('follows the program that it was made from, to the same failure', () => {
    const { machine, names } = program(0x1000, {});
    const followed = followTolerant(machine, recorded(), names, stay);
    expect(followed.lost).toBeUndefined();
    expect(failsWith(followed.result, failure)).toBe(true);
  });

  it('follows through operations that were added, and to where variables have moved', () => {
    const { machine, names } = program(0x2000, { extra: true });
    const followed = followTolerant(machine, recorded(), names, stay);
    expect(followed.lost).toBeUndefined();
    expect(failsWith(followed.result, failure)).toBe(true);
    const again = machine.run({ prefix: followed.prefix, policy: stay, seed: 1 });
    expect(failsWith(again, failure)).toBe(true);
  });

  it('follows to where memory without a name has moved, by what is done with it', () => {
    const nameless = {
      ...program(0x1000, {}).names,
      variable: (address: number) => `0x${address.toString(16)}`,
    };
    const [before, after] = [program(0x1000, {}), program(0x2000, {})];
    const schedule = tolerantSchedule(
      before.machine.run({ prefix: [], policy: stay, seed: 1 }).log,
      nameless,
    );
    const { lost, prefix } = followTolerant(after.machine, schedule, nameless, stay);
    expect(lost).toBeUndefined();
    expect(prefix).toEqual([
      { actor: 0, steps: 3 },
      { actor: 4, steps: 3 },
    ]);
  });

  it('is lost where a lock now keeps the other out, and says who could not do what', () => {
    const { machine, names } = program(0x1000, { locked: true });
    const { lost, result } = followTolerant(machine, recorded(), names, stay);
    expect(lost!.segment).toBe(1);
    expect(lost!.message).toMatch(
      /^at step 3 the schedule is lost: expected CPU [01] to do store counter, but it did not before it waited or ended, after CPU [01]: start$/,
    );
    expect(failuresOf(result)).toEqual([]);
  });

  it('is lost where the operation is no more', () => {
    const { machine, names } = program(0x1000, { atomic: true });
    const { lost } = followTolerant(machine, recorded(), names, stay);
    expect(lost).toMatchObject({ segment: 0, step: 0 });
    expect(lost!.message).toMatch(/expected CPU [01] to do load counter/);
  });
});
