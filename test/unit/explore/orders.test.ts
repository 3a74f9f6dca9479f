import { describe, expect, it } from 'vitest';
import { fewestOf } from '#explore/delta';
import { missingFrom, orderedPlan, ordersOf } from '#explore/orders';
import { costOf } from '#explore/schedule';
import { policyNumber } from '#scheduler/policies';
import { OpType } from '#trace/operations';
import { ModelMachine, type ModelOps } from '../../support/model-machine.ts';

const [random, stay] = [policyNumber('random'), policyNumber('stay')];
const [A, B] = [0, 4];
const [counter, lock] = [0x1000, 0x2000];

function increment(rounds: number): (m: ModelOps) => Generator<never, void, number> {
  return function* (m: ModelOps) {
    for (let round = 0; round < rounds; round++) {
      yield m.acquire(lock);
      const before: number = yield m.load(counter);
      yield m.store(counter, before + 1);
      yield m.release(lock);
    }
  } as never;
}

describe('orders of a run', () => {
  it('are those between neighbours in its happens-before: what follows from others is left out', () => {
    const machine = new ModelMachine({ flows: [increment(1), increment(1)] });
    // The first run finds out what is shared.
    machine.run({ prefix: [], policy: stay, seed: 1 });
    const { log } = machine.run({ prefix: [], policy: stay, seed: 1 });
    const orders = ordersOf(log);
    expect(orders).toEqual([
      {
        first: { actor: A, type: OpType.STORE, address: lock, nth: 0 },
        second: { actor: B, type: OpType.ACQUIRE, address: lock, nth: 0 },
      },
    ]);
  });

  it('bring about the conflicts of any run again, with fewer preemptions (seeds 1..50)', () => {
    const flow = function* (m: ModelOps) {
      for (let round = 0; round < 4; round++) {
        const before: number = yield m.load(counter);
        yield m.store(counter, before + 1);
        yield m.store(0x3000 + round * 4, round);
      }
    };
    const machine = new ModelMachine({ flows: [flow, flow, flow] });
    machine.run({ prefix: [], policy: random, seed: 99 });
    let [before, after] = [0, 0];
    for (let seed = 1; seed <= 50; seed++) {
      const met = machine.run({ prefix: [], policy: random, seed });
      const orders = ordersOf(met.log);
      before += costOf(met.log).preemptions;
      const { finalState: wanted } = met;
      const again = machine.run(orderedPlan(A, orders)!);
      expect(missingFrom(again.log, orders), `seed ${seed}`).toEqual([]);
      expect(again.finalState, `seed ${seed}`).toBe(wanted);
      after += costOf(again.log).preemptions;
    }
    expect(after).toBeLessThan(before);
  });
});

describe('delta debugging', () => {
  it.each([[[]], [[7]], [[3, 90]], [[0, 1, 99]], [[10, 40, 41, 42, 77]]])(
    'finds %j of a hundred, and asks far less often than there are pairs',
    (needed) => {
      const items = Array.from({ length: 100 }, (_, index) => index);
      let asked = 0;
      const left = fewestOf(items, (some) => {
        asked++;
        return needed.every((one) => some.includes(one));
      });
      if (needed.length > 0) expect(left).toEqual(needed);
      else expect(left.length).toBe(1);
      expect(asked).toBeLessThan(150);
    },
  );

  it('leaves all there is where none can be spared', () => {
    expect(fewestOf([1, 2, 3], (some) => some.length === 3)).toEqual([1, 2, 3]);
  });
});
