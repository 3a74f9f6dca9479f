/** What the machine does beside what flows ask for: it starts CPUs, drops interrupts, preempts, and lets time pass. */
import { describe, expect, it } from 'vitest';
import { type FlowBody, ModelMachine } from '../../support/model-machine.ts';
import { byDpor } from './dpor-programs.ts';
import { provedAsByForce } from './dpor-proof.ts';

const X = 0x100;
const Y = 0x104;

const put: FlowBody = function* (m) {
  yield m.store(X, 1);
};

describe('dpor: what the machine does on its own', () => {
  it('what starts a CPU that has started stays pending, and is no interrupt to be taken', () => {
    const { search } = provedAsByForce({
      flows: [
        function* (m) {
          yield m.startup(1);
          yield m.load(X);
        },
        put,
      ],
      interrupts: [{ cpu: 1, handler: put, pending: false }],
    });
    expect(search.redundant).toBe(0);
  });

  it('a CPU that is off is started by the SIPI behind an INIT, and what else comes changes nothing', () => {
    const { states } = provedAsByForce({
      off: [1],
      flows: [
        function* (m) {
          yield m.startup(1, 'sipi');
          yield m.startup(1, 'init');
          yield m.load(X);
          yield m.startup(1, 'sipi');
          yield m.startup(1, 'sipi');
          yield m.load(X);
        },
        put,
        function* (m) {
          yield m.startup(1, 'sipi');
        },
      ],
    });
    // Seen never, by the second look alone (twice: by whom it was started), by both if the other's SIPI comes in between.
    expect(states.size).toBe(3);
  });

  it('says that it proves nothing where a CPU may begin before or after a second INIT', () => {
    const { search, states } = byDpor(
      new ModelMachine({
        off: [1],
        flows: [
          function* (m) {
            yield m.startup(1);
            yield m.startup(1);
          },
          function* (m) {
            yield m.rmw(X, (before) => before + 1);
          },
          function* (m) {
            yield m.load(X);
          },
        ],
      }),
    );
    expect(states.size).toBeGreaterThan(1);
    expect(search.statement()).toMatchObject({
      complete: false,
      unproved: expect.stringMatching(/INIT twice/),
    });
  });

  it('an interrupt that a CPU has sent to itself may come before it drops them', () => {
    const { states } = provedAsByForce({
      flows: [
        function* (m) {
          yield m.ipi(0);
          yield m.drop();
        },
        function* (m) {
          yield m.load(X);
        },
      ],
      interrupts: [{ cpu: 0, handler: put, pending: false }],
    });
    expect(states.size).toBe(3);
  });

  it('who was let in waits on what others write meanwhile: that the flow could have gone on there is a guess', () => {
    const look: FlowBody = function* (m) {
      yield m.load(0x110);
    };
    provedAsByForce({
      onlyShared: true,
      flows: [
        function* (m) {
          yield m.store(X, 2);
        },
        function* (m) {
          yield m.await([Y, X], ([y, x]) => y === x);
        },
      ],
      interrupts: [
        {
          cpu: 0,
          handler: look,
          preempts: function* (m) {
            yield m.load(0x110);
            yield m.store(Y, 1);
          },
        },
        { cpu: 1, handler: look },
      ],
    });
  });

  it('under tso a few bytes that are read at once wait for the store buffer, as many do', () => {
    const { states } = provedAsByForce({
      memoryModel: 'tso',
      flows: [
        function* (m) {
          yield m.store(X, 1);
          yield m.loadBytes(Y, 4);
        },
        function* (m) {
          yield m.store(Y, 1);
          yield m.loadBytes(X, 4);
        },
      ],
    });
    // Not both may miss the other's store.
    expect(states.size).toBe(3);
  });

  it('a load that its own buffered store serves has no order with a copy to that memory', () => {
    const { traces } = provedAsByForce({
      memoryModel: 'tso',
      flows: [
        function* (m) {
          yield m.store(X, 2);
          yield m.load(X);
        },
        function* (m) {
          yield m.copy(X, Y, 8);
        },
      ],
    });
    expect(traces.size).toBe(5);
  });

  it('a load of part of a word sees its own buffered store of the whole, and one of the whole waits for that of a part', () => {
    const { states } = provedAsByForce({
      memoryModel: 'tso',
      flows: [
        function* (m) {
          yield m.store(X, 0x0102);
          yield m.loadPart(X, 1);
          yield m.storePart(X, 1, 7);
          yield m.load(X);
        },
        function* (m) {
          yield m.storePart(X + 2, 2, 1);
        },
      ],
    });
    // The other's half is overwritten, seen, or comes after the look.
    expect(states.size).toBe(3);
  });

  it('a CPU drops its interrupts: one that was raised before is not taken after', () => {
    const { states } = provedAsByForce({
      flows: [
        function* (m) {
          yield m.ipi(1);
        },
        function* (m) {
          yield m.irqs(false);
          yield m.drop();
          yield m.irqs(true);
        },
      ],
      interrupts: [{ cpu: 1, handler: put, pending: false }],
    });
    expect(states.size).toBe(2);
  });

  it('an interrupt ends in a preemption: without it, nobody knows what the flow would have done', () => {
    provedAsByForce({
      flows: [
        function* (m) {
          yield m.await(Y, ([seen]) => seen === 1);
        },
        function* (m) {
          yield m.ipi(0);
          yield m.load(X);
          yield m.store(Y, 1);
        },
      ],
      interrupts: [{ cpu: 0, handler: function* () {}, preempts: put, pending: false }],
    });
  });

  it('what preempts a flow begins with a step that nobody sees: the flow could still have gone on instead', () => {
    const { traces } = provedAsByForce({
      flows: [
        function* (m) {
          yield m.rmw(X, (before) => before + 1);
          yield m.load(X);
        },
        put,
      ],
      interrupts: [
        {
          cpu: 0,
          handler: function* (m) {
            yield m.rmw(X, (before) => before + 1);
          },
          preempts: function* (m) {
            yield m.store(Y, 1);
          },
        },
      ],
    });
    expect(traces.size).toBe(12);
  });

  it('a thread that an interrupt let in waits for ever before its first step: the flow could still have gone on instead', () => {
    const { traces } = provedAsByForce({
      flows: [
        function* (m) {
          yield m.rmw(X, () => 2);
          yield m.ipi(0);
        },
        function* (m) {
          yield m.rmw(X, (before) => before + 1);
        },
      ],
      interrupts: [
        { cpu: 0, handler: function* () {} },
        {
          cpu: 1,
          handler: function* (m) {
            yield m.load(Y);
          },
          preempts: function* (m) {
            yield m.await([X, Y], ([x, y]) => x === y);
          },
        },
      ],
    });
    expect(traces.size).toBe(15);
  });

  it('an interrupt that was taken after a handler could have come on top of it, where the handler lets others in', () => {
    const { traces } = provedAsByForce({
      flows: [
        function* (m) {
          yield m.store(X, 2);
          yield m.ipi(1);
        },
        function* () {},
      ],
      interrupts: [
        {
          cpu: 1,
          handler: function* (m) {
            yield m.load(Y);
            yield m.irqs(true);
            yield m.rmw(X, (before) => before + 1);
          },
        },
      ],
    });
    expect(traces.size).toBeGreaterThan(3);
  });

  it('a timed wait gives up only when nobody can go on, and may have been served before', () => {
    const { states, search } = provedAsByForce({
      flows: [
        function* (m) {
          yield m.store(X, (yield m.awaitFor(5, Y, ([seen]) => seen === 1)) + 1);
        },
        function* (m) {
          yield m.store(Y, 1);
          yield m.store(Y, 0);
        },
      ],
    });
    expect(search.timeouts).toBeGreaterThan(0);
    expect(states.size).toBe(2);
  });
});
