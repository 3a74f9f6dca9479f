import { describe, expect, it } from 'vitest';
import { bufferActor, interruptActor, mainActor } from '#base/strategy';
import { type NamedOperation, type Order, orderedParameters } from '#scheduler/ordered';
import { policyByNumber, policyNames, policyNumber } from '#scheduler/policies';
import { OpType } from '#trace/operations';
import { type Flows, countsOf, orders, play, store } from './toy-flows.ts';

const policy = (name: string): ReturnType<typeof policyByNumber> => policyByNumber(policyNumber(name));
const [X, Y] = [0x1000, 0x2000];
const [A, B, C] = [mainActor(0), mainActor(1), mainActor(2)];

/** 4,000 draws of a probability p stay within 5 standard deviations: 5 * sqrt(p (1 - p) / 4000) <= 0.04. */
const RUNS = 4_000;
function share(counts: ReadonlyMap<string, number>, key: string): number {
  return (counts.get(key) ?? 0) / RUNS;
}

describe('policies', () => {
  it('have the numbers that tokens name them by', () => {
    expect(policyNames.slice(0, 11)).toEqual([
      'round-robin',
      'random',
      'pct',
      'pos',
      'urw',
      'surw',
      'stay',
      'follow',
      'delay-bounded',
      'in-order',
      'ordered',
    ]);
    expect(policyNumber('dice')).toBe(-1);
    expect(() => policyByNumber(99)).toThrow('no policy 99');
  });

  const flows: Flows = {
    [A]: [store(X), store(Y), store(X)],
    [bufferActor(0)]: [store(Y)],
    [interruptActor(1)]: [store(X), store(Y)],
    [mainActor(63)]: [store(X), store(X)],
  };
  it.each(policyNames.filter((name) => name !== 'follow'))(
    '%s: the same seed gives the same order, and every step is made',
    (name) => {
      for (let seed = 1; seed <= 20; seed++) {
        const parameters = ['urw', 'surw'].includes(name) ? countsOf(flows) : [3, 8];
        const first = play(policy(name), flows, seed, parameters);
        expect(play(policy(name), flows, seed, parameters), `seed ${seed}`).toEqual(first);
        expect(first.order.length).toBe(8);
      }
    },
  );

  it('round-robin takes every actor in turn, around', () => {
    expect(
      play(policy('round-robin'), { [A]: [store(X), store(X)], [B]: [store(X), store(X)] }, 1).order,
    ).toEqual([A, B, A, B]);
  });

  it('stay goes on until it cannot, then takes the next in turn', () => {
    const waits = {
      type: OpType.ACQUIRE,
      address: Y,
      when: (played: readonly number[]) => played.includes(C),
    };
    const order = play(
      policy('stay'),
      { [A]: [store(X), waits], [B]: [store(X)], [C]: [store(X), store(X)] },
      1,
    ).order;
    expect(order).toEqual([A, B, C, C, A]);
  });

  it('random: each choice is fair, so a flow of one step comes first half of the time', () => {
    const counts = orders(policy('random'), { [A]: [store(X), store(X), store(X)], [B]: [store(X)] }, RUNS);
    expect(share(counts, `${B} ${A} ${A} ${A}`)).toBeCloseTo(1 / 2, 1);
    expect(share(counts, `${A} ${A} ${A} ${B}`)).toBeCloseTo(1 / 8, 1);
  });
});

describe('pct', () => {
  const three: Flows = { [A]: [store(X), store(X)], [B]: [store(X), store(X)], [C]: [store(X), store(X)] };

  it('depth 1: flows run whole, in each of the 6 orders alike', () => {
    const counts = orders(policy('pct'), three, RUNS, [1, 6]);
    expect(counts.size).toBe(6);
    for (const [order, count] of counts) expect(Math.abs(count / RUNS - 1 / 6), order).toBeLessThan(0.03);
  });

  it('depth d: a run leaves an actor that could go on at most d - 1 times', () => {
    for (const depth of [1, 2, 3, 4])
      for (let seed = 1; seed <= 300; seed++) {
        const { order } = play(policy('pct'), three, seed, [depth, 6]);
        const left = order.filter(
          (actor, at) => at > 0 && order[at - 1] !== actor && order.indexOf(order[at - 1]!, at) >= 0,
        );
        expect(left.length, `depth ${depth} seed ${seed}: ${order.join(' ')}`).toBeLessThan(depth);
      }
  });

  // The promise itself, where it is exact: this flow stopped at that place by the other has a chance of 1 / (n k).
  it('depth 2: every order with one preemption comes once in n k runs', () => {
    const flows: Flows = { [A]: [store(X), store(X), store(X), store(X)], [B]: [store(X), store(X)] };
    const counts = orders(policy('pct'), flows, RUNS, [2, 6]);
    for (let before = 1; before < 4; before++) {
      const order = [...Array<number>(before).fill(A), B, B, ...Array<number>(4 - before).fill(A)].join(' ');
      expect(Math.abs(share(counts, order) - 1 / (2 * 6)), order).toBeLessThan(0.022);
    }
  });

  it('a store buffer may hold what its CPU stored until both main flows are through: the order tso is about', () => {
    const after = (actor: number): { when: (played: readonly number[]) => boolean } => ({
      when: (played) => played.includes(actor),
    });
    const flush = (actor: number): Flows => ({
      [actor + 2]: [{ type: OpType.FLUSH, address: X, ...after(actor) }],
    });
    const flows: Flows = { [A]: [store(X), store(Y)], [B]: [store(X), store(Y)], ...flush(A), ...flush(B) };
    const counts = orders(policy('pct'), flows, RUNS, [1, 6], ({ order }) =>
      String(order.lastIndexOf(A) < order.indexOf(A + 2) && order.lastIndexOf(B) < order.indexOf(B + 2)),
    );
    expect(share(counts, 'true')).toBeGreaterThan(1 / (4 * 6));
  });

  it('the highest priority never starves the flow it waits for', () => {
    const waits = { type: OpType.AWAIT, address: X, when: (played: readonly number[]) => played.includes(B) };
    for (let seed = 1; seed <= 50; seed++)
      expect(play(policy('pct'), { [A]: [waits, store(Y)], [B]: [store(X)] }, seed, [3, 3]).order).toEqual([
        B,
        A,
        A,
      ]);
  });
});

describe('pos', () => {
  it('an operation that lost a race draws again: the short flow is in the middle 1/4 of the time', () => {
    const counts = orders(policy('pos'), { [A]: [store(X), store(X)], [B]: [store(X)] }, RUNS);
    expect(Math.abs(share(counts, `${B} ${A} ${A}`) - 1 / 2)).toBeLessThan(0.04);
    expect(Math.abs(share(counts, `${A} ${B} ${A}`) - 1 / 4)).toBeLessThan(0.035);
  });

  it('an operation that did not race keeps its priority, known to be low: in the middle only 1/6 of the time', () => {
    const counts = orders(policy('pos'), { [A]: [store(Y), store(X)], [B]: [store(X)] }, RUNS);
    expect(Math.abs(share(counts, `${B} ${A} ${A}`) - 1 / 2)).toBeLessThan(0.04);
    expect(Math.abs(share(counts, `${A} ${B} ${A}`) - 1 / 6)).toBeLessThan(0.03);
  });

  it('every flow is brought in front of its first visible operation before any order is drawn', () => {
    const start = { type: OpType.START, address: 0, visible: false };
    for (let seed = 1; seed <= 50; seed++) {
      const { order } = play(policy('pos'), { [A]: [start, store(X)], [B]: [start, store(X)] }, seed);
      expect(order.slice(0, 2), `seed ${seed}`).toEqual([A, B]);
    }
  });
});

describe('urw', () => {
  it.each([
    ['4 orders of 3 and 1 steps', { [A]: [store(X), store(X), store(X)], [B]: [store(X)] }, 4],
    ['12 orders of 2, 1 and 1 steps', { [A]: [store(X), store(X)], [B]: [store(X)], [C]: [store(X)] }, 12],
  ] as [string, Flows, number][])(
    'every interleaving is equally likely: %s',
    (_title, flows, interleavings) => {
      const counts = orders(policy('urw'), flows, RUNS, countsOf(flows));
      expect(counts.size).toBe(interleavings);
      for (const [order, count] of counts)
        expect(Math.abs(count / RUNS - 1 / interleavings), order).toBeLessThan(0.035);
    },
  );

  it('what a store buffer will do weighs on its CPU while there is nothing in it', () => {
    const flush = { type: OpType.FLUSH, address: X, when: (played: readonly number[]) => played.includes(A) };
    const flows: Flows = { [A]: [store(X)], [bufferActor(0)]: [flush], [B]: [store(X)] };
    const counts = orders(policy('urw'), flows, RUNS, countsOf(flows));
    for (const [order, count] of counts) expect(Math.abs(count / RUNS - 1 / 3), order).toBeLessThan(0.04);
  });
});

describe('surw', () => {
  // B has one operation on X behind a long way: a random walk nearly always gets there last.
  const flows: Flows = {
    [A]: [store(X), store(X), store(X)],
    [B]: [...Array.from({ length: 12 }, () => store(Y)), store(X)],
  };
  const onX = ({ order }: { order: readonly number[] }): string =>
    order
      .filter((actor, at) => actor === A || order.slice(0, at).filter((other) => other === B).length === 12)
      .join(' ');

  it('the chosen operations come in every order alike, however far the way to them', () => {
    const counts = orders(policy('surw'), flows, RUNS, [X, X + 4, ...countsOf(flows, X)], onX);
    expect(counts.size).toBe(4);
    for (const [order, count] of counts) expect(Math.abs(count / RUNS - 1 / 4), order).toBeLessThan(0.035);
    const walk = orders(policy('random'), flows, RUNS, [], onX);
    expect(share(walk, `${A} ${A} ${A} ${B}`)).toBeGreaterThan(0.9);
  });

  it('goes on when the one whose turn it is waits for one that must not go: counts are only estimates', () => {
    const waits = {
      type: OpType.ACQUIRE,
      address: X,
      when: (played: readonly number[]) => played.includes(B),
    };
    const blocked: Flows = { [A]: [waits], [B]: [store(X)] };
    for (let seed = 1; seed <= 50; seed++)
      expect(play(policy('surw'), blocked, seed, [X, X + 4, ...countsOf(blocked, X)]).order).toEqual([B, A]);
  });
});

describe('ordered', () => {
  const named = (actor: number, nth: number, address = X): NamedOperation => ({
    actor,
    type: OpType.STORE,
    address,
    nth,
  });
  const inOrders = (flows: Flows, begins: number, ...wanted: readonly Order[]): readonly number[] =>
    play(policy('ordered'), flows, 1, orderedParameters(begins, wanted)).order;
  const two: Flows = { [A]: [store(X), store(Y), store(X)], [B]: [store(Y), store(X)] };

  it('without an order it is stay, from whoever is to begin', () => {
    expect(inOrders(two, A)).toEqual([A, A, A, B, B]);
    expect(inOrders(two, B)).toEqual([B, B, A, A, A]);
  });

  it('leaves a flow in front of what has to come later, and goes on with the other one as far as it can', () => {
    expect(inOrders(two, A, { first: named(B, 0), second: named(A, 1) })).toEqual([A, A, B, B, A]);
    expect(inOrders(two, A, { first: named(B, 0, Y), second: named(A, 0, Y) })).toEqual([A, B, B, A, A]);
  });

  it('goes there and back for two orders, by one preemption each', () => {
    const there = { first: named(B, 0, Y), second: named(A, 0, Y) };
    const back = { first: named(A, 1), second: named(B, 0) };
    expect(inOrders(two, A, there, back)).toEqual([A, B, A, A, B]);
  });

  it('prefers who has to come first to who is next in turn', () => {
    const three: Flows = { ...two, [C]: [store(X)] };
    expect(inOrders(three, A, { first: named(C, 0), second: named(A, 1) })).toEqual([A, A, C, A, B, B]);
  });

  it('gives up orders that cannot be kept: they go round, or their first operation never comes', () => {
    const circle = [
      { first: named(B, 0), second: named(A, 0) },
      { first: named(A, 0), second: named(B, 0, Y) },
    ];
    expect(inOrders(two, A, ...circle)).toEqual([A, A, A, B, B]);
    expect(inOrders(two, A, { first: named(B, 7), second: named(A, 0) })).toEqual([B, B, A, A, A]);
  });

  it('refuses more orders than it has words for', () => {
    const many = Array.from({ length: 400 }, (_, nth) => ({ first: named(A, nth), second: named(B, nth) }));
    expect(orderedParameters(A, many)).toHaveLength(3 + 2 * 3 + 400 * 2);
    expect(orderedParameters(A, [...many, ...many])).toBeUndefined();
  });
});

describe('delay-bounded', () => {
  const three: Flows = { [A]: [store(X), store(X)], [B]: [store(X), store(X)], [C]: [store(X), store(X)] };

  it('without a delay it is stay', () => {
    expect(play(policy('delay-bounded'), three, 5, [0, 6]).order).toEqual(
      play(policy('stay'), three, 5).order,
    );
  });

  it('one delay passes over one actor once: an order for each place it may fall, and no others', () => {
    const counts = orders(policy('delay-bounded'), three, 600, [1, 6]);
    // In front of steps 0 to 4; in front of the last there is nobody else.
    expect([...counts.keys()]).toEqual([
      [A, A, B, B, C, C].join(' '),
      [A, A, B, C, C, B].join(' '),
      [A, A, C, C, B, B].join(' '),
      [A, B, B, C, C, A].join(' '),
      [B, B, C, C, A, A].join(' '),
    ]);
  });
});
