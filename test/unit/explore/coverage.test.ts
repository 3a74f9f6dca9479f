import { describe, expect, it } from 'vitest';
import { interruptActor, mainActor } from '#base/strategy';
import { TraceCoverage } from '#explore/coverage';
import { ModelMachine } from '../../support/model-machine.ts';
import { policyNumber } from '#scheduler/policies';
import { OP_WORDS, OpWord } from '#trace/operations';
import { storesBy } from './campaign-log.ts';

describe('TraceCoverage', () => {
  it('tells orders of conflicting steps apart, and estimates the unseen by the share of traces seen once', () => {
    const coverage = new TraceCoverage();
    expect(coverage.unseenShare()).toBe(1);
    expect(
      [
        [0, 4],
        [0, 4],
        [4, 0],
      ].map((actors) => coverage.add(storesBy(actors).log)),
    ).toEqual([true, false, true]);
    expect(coverage.traces).toBe(2);
    expect(coverage.unseenShare()).toBe(1 / 3);
  });

  it('counts orders of steps that do not conflict as one trace', () => {
    const machine = new ModelMachine({
      flows: [0x100, 0x200, 0x300].map(
        (word) =>
          function* (m) {
            yield m.store(word, 1);
            yield m.load(0x400);
          },
      ),
    });
    const coverage = new TraceCoverage();
    const orders = new Set<number>();
    for (let seed = 1; seed <= 60; seed++) {
      const { log, switches } = machine.run({ prefix: [], policy: policyNumber('random'), seed });
      orders.add(switches);
      coverage.add(log);
    }
    expect(orders.size).toBeGreaterThan(1);
    expect(coverage.traces).toBe(1);
  });

  it('orders a CPU and its interrupts even where their memory is different, and no two CPUs', () => {
    const tracesOf = (other: number): number => {
      const coverage = new TraceCoverage();
      for (const actors of [
        [0, other],
        [other, 0],
      ]) {
        const { log } = storesBy(actors);
        for (const [index, actor] of actors.entries())
          log.words[index * OP_WORDS + OpWord.ADDRESS] = 64 * (actor + 1);
        coverage.add(log);
      }
      return coverage.traces;
    };
    expect([tracesOf(interruptActor(0)), tracesOf(mainActor(1))]).toEqual([2, 1]);
  });

  it('merged parts are the same as the whole', () => {
    const [whole, first, second] = [new TraceCoverage(), new TraceCoverage(), new TraceCoverage()];
    const runs = [
      [0, 4],
      [4, 0],
      [0, 4, 0],
      [4, 0],
      [0, 0, 4],
      [0, 4],
    ];
    for (const [index, actors] of runs.entries()) {
      whole.add(storesBy(actors).log);
      (index < 3 ? first : second).add(storesBy(actors).log);
    }
    first.merge(structuredClone(second.record()));
    expect([first.executions, first.traces, first.unseenShare()]).toEqual([
      whole.executions,
      whole.traces,
      whole.unseenShare(),
    ]);
  });
});
