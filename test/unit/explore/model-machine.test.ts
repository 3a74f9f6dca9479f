/** The model machine does what its contract says: scheduling, memory models, interrupts, and what stands in the log. */
import { describe, expect, it } from 'vitest';
import { type Actor, NOBODY, type Policy, bufferActor, cpuOf, interruptActor } from '#base/strategy';
import { type Plan, type RunResult, RunStop, type Segment } from '#explore/executor';
import { policyNumber } from '#scheduler/policies';
import { AccessKind } from '#trace/events';
import { OpFlag, OpType } from '#trace/operations';
import { type Step, couldGo, decodeSteps } from '#trace/steps';
import { type FlowBody, ModelMachine, type ModelOptions } from '../../support/model-machine.ts';

const X = 0x1000;
const Y = 0x1004;
const LOCK = 0x1008;
const RANDOM = policyNumber('random');
const STAY = policyNumber('stay');

const typeName = new Map(Object.entries(OpType).map(([name, type]) => [type as number, name]));

function plan(policy: number, seed = 1, prefix: readonly Segment[] = []): Plan {
  return { prefix, policy, seed };
}

/** Each record as `actor TYPE`, those that continue a step behind a plus sign. */
function told(result: RunResult): string[] {
  return decodeSteps(result.log).map(
    ({ actor, operations }) => `${actor} ${operations.map(({ type }) => typeName.get(type)).join('+')}`,
  );
}

function prefixOf(steps: readonly Step[]): Segment[] {
  return steps.map(({ actor }) => ({ actor, steps: 1 }));
}

function follow(...actors: Actor[]): Plan {
  return plan(
    STAY,
    1,
    actors.map((actor) => ({ actor, steps: 1 })),
  );
}

/** Final states and findings that random schedules reach; the first runs only teach the machine what is shared. */
function reached(options: ModelOptions, runs: number, see: (result: RunResult) => string): Set<string> {
  const machine = new ModelMachine(options);
  const seen = new Set<string>();
  for (let seed = 1; seed <= runs; seed++) seen.add(see(machine.run(plan(RANDOM, seed))));
  return seen;
}

const finalState = (result: RunResult): string => result.finalState;

/** A policy made of one function; the machine takes it under every number. */
function under(options: ModelOptions, policy: Omit<Policy, 'name'>): ModelMachine {
  return new ModelMachine({ ...options, policies: () => ({ name: 'planted', ...policy }) });
}

const increment: FlowBody = function* (m) {
  yield m.store(X, (yield m.load(X)) + 1);
};

/** Store buffering (Dekker): 0 and 0 can be loaded only where a store may wait in front of memory. */
function storeBuffering(between?: 'fence' | 'rmw'): FlowBody[] {
  const side = (mine: number, other: number): FlowBody =>
    function* (m) {
      yield m.store(mine, 1);
      if (between === 'fence') yield m.fence();
      if (between === 'rmw') yield m.rmw(0x2000 + mine, (before) => before);
      yield m.load(other);
    };
  return [side(X, Y), side(Y, X)];
}

/** A bit of everything, for what has to hold of every run. */
const medley: ModelOptions = {
  flows: [
    function* (m) {
      yield m.store(X, 1);
      yield m.irqs(false);
      yield m.acquire(LOCK);
      yield m.store(Y, (yield m.load(Y)) + 1);
      yield m.release(LOCK);
      yield m.irqs(true);
      yield m.load(Y);
    },
    function* (m) {
      yield m.ipi(0, 1);
      yield m.await([X], ([x]) => x === 1);
      yield m.acquire(LOCK);
      yield m.store(Y, 5);
      yield m.release(LOCK);
      yield m.rmw(X, (before) => before + 1);
      yield m.store(0x1010, 1);
      yield m.fence();
    },
  ],
  interrupts: [
    {
      cpu: 0,
      handler: function* (m) {
        yield m.irqs(true);
        yield m.store(Y, (yield m.load(X)) + 10);
      },
    },
    {
      cpu: 0,
      pending: false,
      handler: function* (m) {
        yield m.store(0x100c, yield m.load(Y));
      },
    },
  ],
};

describe.each(['sc', 'tso'] as const)('model machine: every run of a medley (%s)', (memoryModel) => {
  const SEEDS = 300;
  function* runs(): Generator<readonly [number, RunResult, readonly Step[]]> {
    const machine = new ModelMachine({ ...medley, memoryModel });
    for (let seed = 1; seed <= SEEDS; seed++) {
      const result = machine.run(plan(RANDOM, seed));
      yield [seed, result, decodeSteps(result.log)];
    }
  }

  it('is made again by its own steps, record for record', () => {
    const again = new ModelMachine({ ...medley, memoryModel });
    for (let seed = 1; seed <= 5; seed++) again.run(plan(RANDOM, seed));
    const machine = new ModelMachine({ ...medley, memoryModel });
    for (let seed = 1; seed <= 5; seed++) machine.run(plan(RANDOM, seed));
    for (let seed = 6; seed <= SEEDS; seed++) {
      const first = machine.run(plan(RANDOM, seed));
      const second = again.run(plan(STAY, 1, prefixOf(decodeSteps(first.log))));
      const text = ({ log }: RunResult): string => log.words.subarray(0, log.records * 8).join(' ');
      expect(second.stop, `seed ${seed}`).toBe(first.stop);
      expect(text(second), `seed ${seed}`).toBe(text(first));
      expect(second.finalState, `seed ${seed}`).toBe(first.finalState);
    }
  });

  it('counts its steps and hand-overs as the log shows them', () => {
    for (const [seed, result, steps] of runs()) {
      const switches = steps.filter(({ actor }, index) => index > 0 && steps[index - 1]!.actor !== actor);
      expect([result.steps, result.switches], `seed ${seed}`).toEqual([steps.length, switches.length]);
    }
  });

  it('names the actor of each step among those that could go', () => {
    for (const [seed, , steps] of runs())
      for (const step of steps)
        expect(couldGo(step, step.actor), `seed ${seed} step ${step.index}`).toBe(true);
  });

  it('lets the main flow wait while its handler runs, and takes no interrupt with interrupts off', () => {
    let handlers = 0;
    for (const [seed, result, steps] of runs()) {
      expect(result.stop, `seed ${seed}`).toBe(RunStop.COMPLETE);
      const stack = [0];
      let irqs = true;
      for (const step of steps.filter(({ actor }) => cpuOf(actor) === 0 && actor !== bufferActor(0))) {
        for (const { type } of step.operations) {
          if (type === OpType.IRQ_ENTRY) {
            expect(irqs || stack.at(-1) !== 0, `seed ${seed} step ${step.index}`).toBe(true);
            stack.push(step.actor);
            handlers++;
          }
          if (type === OpType.IRQ_FLAG) irqs = false;
          // The lock is let go by a RELEASE; interrupts come on behind it.
          expect(step.actor, `seed ${seed} step ${step.index}`).toBe(stack.at(-1));
          if (type === OpType.IRQ_EXIT) stack.pop();
        }
        const released = step.operations.some(({ kind }) => kind === AccessKind.RELEASE);
        if (released && step.actor === 0) irqs = true;
      }
    }
    expect(handlers).toBe(2 * SEEDS);
  });

  it('has buffers exactly under tso, and drains them before what is ordered after every store', () => {
    const draining = new Set<number>([
      OpType.FENCE,
      OpType.RMW,
      OpType.ACQUIRE,
      OpType.IPI,
      OpType.IRQ_ENTRY,
    ]);
    let buffered = 0;
    for (const [seed, , steps] of runs()) {
      const depth = [0, 0];
      for (const { actor, operations, index } of steps) {
        const { type } = operations[0]!;
        if (type === OpType.BUFFER) depth[cpuOf(actor)]!++;
        if (type === OpType.FLUSH) depth[cpuOf(actor)]!--;
        if (type === OpType.BUFFER) buffered++;
        if (draining.has(type)) expect(depth[cpuOf(actor)], `seed ${seed} step ${index}`).toBe(0);
      }
      expect(depth, `seed ${seed}`).toEqual([0, 0]);
    }
    expect(buffered > 0).toBe(memoryModel === 'tso');
  });
});

describe('model machine: the log', () => {
  it('begins each flow with START, ends it with END inside its last step, and says what was read and written', () => {
    const machine = new ModelMachine({ flows: [increment, increment] });
    const result = machine.run(follow(0, 4, 0, 4, 0, 4));
    expect(told(result)).toEqual(['0 START', '4 START', '0 LOAD', '4 LOAD', '0 STORE+END', '4 STORE+END']);
    const [, , , , first, second] = decodeSteps(result.log);
    expect(first!.operations[0]).toMatchObject({
      address: X,
      size: 4,
      read: 0,
      written: 1,
      flags: OpFlag.VISIBLE,
    });
    expect(second!.operations[0]).toMatchObject({ read: 1, written: 1 });
    expect(second!.operations[1]!.flags).toBe(OpFlag.CONTINUES);
  });

  it('an await leaves one record for each word of its condition, and answers the first', () => {
    const machine = new ModelMachine({
      flows: [
        function* (m) {
          yield m.store(0x1010, yield m.await([Y, X], ([y, x]) => (y ?? 0) + (x ?? 0) === 3));
        },
        function* (m) {
          yield m.store(Y, 1);
          yield m.store(X, 2);
        },
      ],
    });
    const result = machine.run(plan(STAY));
    expect(told(result)).toEqual([
      '0 START',
      '4 START',
      '4 STORE',
      '4 STORE+END',
      '0 AWAIT+AWAIT',
      '0 STORE+END',
    ]);
    expect(decodeSteps(result.log)[4]!.operations.map(({ address, read }) => [address, read])).toEqual([
      [Y, 1],
      [X, 2],
    ]);
    expect(JSON.parse(result.finalState)).toMatchObject({ memory: { [0x1010]: 1 } });
  });

  it('the actors that could have gone stand at each step, a taken lock and a false condition left out', () => {
    const machine = new ModelMachine({
      flows: [
        function* (m) {
          yield m.acquire(LOCK);
          yield m.release(LOCK);
        },
        function* (m) {
          yield m.acquire(LOCK);
        },
        function* (m) {
          yield m.await(LOCK, ([lock]) => lock === 1);
        },
      ],
    });
    machine.run(plan(STAY));
    const steps = decodeSteps(machine.run(follow(0, 4, 8, 0, 8, 0, 4)).log);
    const could = steps.map((step) => [0, 4, 8].filter((actor) => couldGo(step, actor)));
    expect(could).toEqual([[0, 4, 8], [0, 4, 8], [0, 4, 8], [0, 4], [0, 8], [0], [4]]);
  });

  it('masks reach to the 64th actor', () => {
    const machine = new ModelMachine({ flows: Array.from({ length: 16 }, () => increment) });
    const [first] = decodeSteps(machine.run(plan(STAY)).log);
    expect(machine.actors).toBe(64);
    expect([first!.enabledLow, first!.enabledHigh]).toEqual([0x11111111, 0x11111111]);
  });
});

describe('model machine: choice points', () => {
  const own = (address: number): FlowBody =>
    function* (m) {
      yield m.store(address, 1);
      yield m.store(address, 2);
    };

  it('the policy is asked in front of memory that two actors use, and never in front of what only one uses', () => {
    let asked = 0;
    const machine = under(
      { flows: [own(X), own(Y)] },
      { choose: (_words, { enabled }) => (asked++, enabled[0]!) },
    );
    const result = machine.run(plan(0));
    // START of the one against START of the other; then each goes on alone.
    expect(asked).toBe(1);
    expect(told(result).slice(0, 3)).toEqual(['0 START', '0 STORE', '0 STORE+END']);
    expect(result.sharedGrew).toBe(false);
  });

  it('memory gets shared by its second user, once, and is so in all later runs', () => {
    const machine = new ModelMachine({ flows: [own(X), own(X)] });
    const visible = ({ log }: RunResult): number => decodeSteps(log).filter((step) => step.visible).length;
    const first = machine.run(plan(STAY));
    expect([first.sharedGrew, visible(first)]).toEqual([true, 2 + 2]);
    const second = machine.run(plan(STAY));
    expect([second.sharedGrew, visible(second)]).toEqual([false, 2 + 4]);
  });

  it('a word that is only ever waited for is shared with who writes it: a short-lived value can be seen', () => {
    const options: ModelOptions = {
      flows: [
        own(X),
        function* (m) {
          yield m.await(X, ([x]) => x === 1);
        },
      ],
    };
    const stops = reached(options, 50, ({ stop }) => String(stop));
    expect(stops).toEqual(new Set([String(RunStop.COMPLETE), String(RunStop.DEADLOCK)]));
  });

  it('a wait is a choice point in the run in which its word gets its writer', () => {
    const waits: FlowBody = function* (m) {
      yield m.await(X, ([x]) => x !== 0);
    };
    const result = new ModelMachine({ flows: [own(X), waits] }).run(follow(4, 0, 0, 4));
    expect([result.sharedGrew, decodeSteps(result.log)[3]!.visible]).toEqual([true, true]);
  });

  it('a prefix counts steps and may switch where no policy is asked', () => {
    const machine = new ModelMachine({ flows: [own(X), own(Y)] });
    const result = machine.run(
      plan(STAY, 1, [
        { actor: 0, steps: 2 },
        { actor: 4, steps: 2 },
      ]),
    );
    expect(told(result)).toEqual(['0 START', '0 STORE', '4 START', '4 STORE', '4 STORE+END', '0 STORE+END']);
    expect(result.switches).toBe(2);
  });

  it('a prefix that cannot be followed ends the run there', () => {
    const lock: FlowBody = function* (m) {
      yield m.acquire(LOCK);
    };
    const machine = new ModelMachine({ flows: [lock, lock] });
    const result = machine.run(follow(0, 4, 0, 4));
    expect([result.stop, result.divergedAt, result.steps]).toEqual([RunStop.DIVERGED, 3, 3]);
  });

  it('a policy that is always asked may answer nobody where only one is enabled', () => {
    const choose = (): Actor => NOBODY;
    const flows = [increment];
    expect(under({ flows }, { choose, always: true }).run(plan(0))).toMatchObject({
      stop: RunStop.COVERED,
      steps: 0,
    });
    expect(under({ flows }, { choose }).run(plan(0)).stop).toBe(RunStop.COMPLETE);
  });

  it('a policy begins once with its seed and parameters, and hears of each visible step before it is made', () => {
    const heard: string[] = [];
    let begun = 0;
    const machine = under(
      { flows: [increment, increment] },
      {
        begin: (words) => void (begun += words[0]! * 100 + words[1]! * 10 + words[2]!),
        choose: (_words, { enabled }) => enabled[0]!,
        executed: (_words, { step }, actor, head, address, size) =>
          void heard.push([step, actor, typeName.get(head & 0xff), address, size].join(' ')),
      },
    );
    machine.run(plan(0));
    heard.length = 0;
    begun = 0;
    const prefix = [{ actor: 4, steps: 1 }];
    machine.run({ prefix, policy: 0, seed: 0, parameters: [2, 3] });
    expect(begun).toBe(123);
    const [load, store] = [`LOAD ${X} 4`, `STORE ${X} 4`];
    expect(heard).toEqual([
      '0 4 START 0 0',
      '1 0 START 0 0',
      `2 0 ${load}`,
      `3 0 ${store}`,
      `4 4 ${load}`,
      `5 4 ${store}`,
    ]);
  });
});

describe('model machine: memory', () => {
  it('two unlocked increments end in 1 or 2, two locked ones in 2', () => {
    const locked: FlowBody = function* (m) {
      yield m.acquire(LOCK);
      yield* increment(m);
      yield m.release(LOCK);
    };
    const sum = (flow: FlowBody): Set<string> =>
      reached({ flows: [flow, flow], observeLoads: false }, 60, finalState);
    expect(sum(increment)).toEqual(new Set([`{"memory":{"${X}":1}}`, `{"memory":{"${X}":2}}`]));
    expect(sum(locked)).toEqual(new Set([`{"memory":{"${X}":2}}`]));
  });

  const bothZero = JSON.stringify({ 0: [0], 4: [0] });
  const loads = (options: ModelOptions): Set<string> =>
    reached(options, 200, (result) =>
      JSON.stringify((JSON.parse(result.finalState) as { loads: unknown }).loads),
    );

  it('store buffering: both sides load 0 under tso and not under sc', () => {
    expect(loads({ flows: storeBuffering(), memoryModel: 'tso' })).toContain(bothZero);
    const sc = loads({ flows: storeBuffering(), memoryModel: 'sc' });
    expect(sc).not.toContain(bothZero);
    expect(sc.size).toBe(3);
  });

  it('store buffering with a fence or a locked operation between: never both 0', () => {
    expect(loads({ flows: storeBuffering('fence'), memoryModel: 'tso' }).size).toBe(3);
    const locked = loads({ flows: storeBuffering('rmw'), memoryModel: 'tso' });
    expect(locked).not.toContain(JSON.stringify({ 0: [0, 0], 4: [0, 0] }));
    expect(locked.size).toBe(3);
  });

  it('message passing under tso: stores reach memory in order', () => {
    const flows: FlowBody[] = [
      function* (m) {
        yield m.store(X, 1);
        yield m.store(Y, 1);
      },
      function* (m) {
        yield m.load(Y);
        yield m.load(X);
      },
    ];
    expect([...loads({ flows, memoryModel: 'tso' })].toSorted()).toEqual([
      '{"4":[0,0]}',
      '{"4":[0,1]}',
      '{"4":[1,1]}',
    ]);
  });

  it('a load under tso sees its own newest buffered store, marked as forwarded', () => {
    const machine = new ModelMachine({
      memoryModel: 'tso',
      flows: [
        function* (m) {
          yield m.store(X, 1);
          yield m.store(X, 2);
          yield m.load(X);
        },
        increment,
      ],
    });
    machine.run(plan(STAY));
    const result = machine.run(follow(0, 0, 0, 0, 2, 2));
    expect(told(result).slice(0, 6)).toEqual([
      '0 START',
      '0 BUFFER',
      '0 BUFFER',
      '0 LOAD+END',
      '2 FLUSH',
      '2 FLUSH',
    ]);
    const load = decodeSteps(result.log)[3]!.operations[0]!;
    expect([load.read, load.flags & OpFlag.FORWARDED]).toEqual([2, OpFlag.FORWARDED]);
    expect(decodeSteps(result.log)[4]!.operations[0]).toMatchObject({ read: 0, written: 1 });
  });

  it('a store with nobody to see it leaves its buffer without a question', () => {
    let asked = 0;
    const flows: FlowBody[] = [increment, function* () {}];
    const machine = under(
      { flows, memoryModel: 'tso' },
      { choose: (_words, { enabled }) => (asked++, enabled[0]!) },
    );
    expect(told(machine.run(plan(0))).slice(0, 4)).toEqual(['0 START', '0 LOAD', '0 BUFFER+END', '2 FLUSH']);
    expect(asked).toBe(1);
  });

  it('a full store buffer makes its CPU wait', () => {
    let most = 0;
    const many: FlowBody = function* (m) {
      for (let value = 1; value <= 40; value++) yield m.store(X, value);
    };
    const flows = [many, increment];
    const machine = new ModelMachine({ flows, memoryModel: 'tso' });
    machine.run(plan(STAY));
    let depth = 0;
    for (const { actor } of decodeSteps(machine.run(plan(STAY)).log)) {
      if (actor === 0) most = Math.max(most, ++depth);
      if (actor === bufferActor(0)) depth--;
    }
    // START counts as one.
    expect(most).toBe(32 + 1);
  });
});

describe('model machine: interrupts', () => {
  const handler: FlowBody = function* (m) {
    yield m.store(X, 1);
    yield m.store(X, 0);
  };
  const looks: FlowBody = function* (m) {
    yield m.load(X);
  };

  it('a raised interrupt comes at any step of its main flow, as a whole, and after it at the latest', () => {
    const options: ModelOptions = { flows: [looks, function* () {}], interrupts: [{ cpu: 0, handler }] };
    const machine = new ModelMachine(options);
    const orders = new Set<string>();
    for (let seed = 1; seed <= 60; seed++) {
      const all = told(machine.run(plan(RANDOM, seed)));
      orders.add(all.filter((step) => !step.startsWith('4')).join(', '));
    }
    const irq = '1 IRQ_ENTRY, 1 STORE, 1 STORE+IRQ_EXIT';
    expect([...orders].toSorted()).toEqual([
      `0 START, 0 LOAD+END, ${irq}`,
      `0 START, ${irq}, 0 LOAD+END`,
      `${irq}, 0 START, 0 LOAD+END`,
    ]);
  });

  it('interrupts off keep it out until they are on again', () => {
    const options: ModelOptions = {
      flows: [
        function* (m) {
          yield m.irqs(false);
          yield m.store(Y, 1);
          yield m.load(X);
          yield m.irqs(true);
          yield m.load(X);
        },
      ],
      interrupts: [
        {
          cpu: 0,
          handler: function* (m) {
            yield m.store(X, (yield m.load(Y)) + 1);
          },
        },
      ],
    };
    const states = reached(options, 80, (result) => {
      const state = JSON.parse(result.finalState) as { loads: Record<string, number[]> };
      return `main ${state.loads['0']!.join()} irq ${state.loads['1']!.join()}`;
    });
    expect([...states].toSorted()).toEqual(['main 0,0 irq 1', 'main 0,2 irq 1', 'main 1,1 irq 0']);
  });

  it('turning interrupts off is a choice point where interrupts come, and none where they do not', () => {
    const flows: FlowBody[] = [
      function* (m) {
        yield m.irqs(false);
      },
    ];
    const isChoice = (options: ModelOptions): boolean =>
      decodeSteps(new ModelMachine(options).run(plan(STAY)).log).some(
        ({ operations, visible }) => visible && operations[0]!.type === OpType.IRQ_FLAG,
      );
    expect(isChoice({ flows, interrupts: [{ cpu: 0, handler }] })).toBe(true);
    expect(isChoice({ flows })).toBe(false);
  });

  it('an IPI raises the interrupt it names, on the CPU it names', () => {
    const noted = (value: number): FlowBody =>
      function* (m) {
        yield m.store(Y, value);
      };
    const machine = new ModelMachine({
      flows: [
        function* (m) {
          yield m.ipi(1, 1);
          yield m.await(Y, ([y]) => y !== 0);
        },
        function* () {},
      ],
      interrupts: [
        { cpu: 0, pending: false, handler: noted(1) },
        { cpu: 1, pending: false, handler: noted(2) },
        { cpu: 1, pending: false, handler: noted(3) },
      ],
    });
    const result = machine.run(plan(STAY));
    expect(told(result)).toEqual([
      '0 START',
      '0 IPI',
      '4 START+END',
      '5 IRQ_ENTRY',
      '5 STORE+IRQ_EXIT',
      '0 AWAIT+END',
    ]);
    expect(JSON.parse(result.finalState)).toEqual({ memory: { [Y]: 3 }, loads: { 0: [3] } });
  });

  it('a handler with interrupts on is interrupted by the nested flow, and by no third one', () => {
    const on: FlowBody = function* (m) {
      yield m.irqs(true);
      yield m.store(X, 1);
    };
    const interrupts = [0, 0, 0].map((cpu) => ({ cpu, handler: on }));
    const machine = new ModelMachine({ flows: [looks], interrupts });
    const step = machine.run(follow(0, interruptActor(0), 3, 3));
    expect(told(step).slice(0, 4)).toEqual(['0 START', '1 IRQ_ENTRY', '3 IRQ_ENTRY', '3 STORE+IRQ_EXIT']);
    expect(machine.run(follow(0, 1, 3, 1)).stop).toBe(RunStop.DIVERGED);
  });

  it('steps of a handler are marked as such', () => {
    const machine = new ModelMachine({ flows: [looks], interrupts: [{ cpu: 0, handler }] });
    const [, entry, store] = decodeSteps(machine.run(follow(0, 1, 1)).log);
    const handles = OpFlag.IRQS_OFF | OpFlag.HARDIRQ;
    expect(entry!.operations[0]).toMatchObject({ type: OpType.IRQ_ENTRY, read: 1, written: 0 });
    expect(store!.operations[0]!.flags & handles).toBe(handles);
  });
});

describe('model machine: how a run ends', () => {
  const takes = (first: number, second: number): FlowBody =>
    function* (m) {
      yield m.acquire(first);
      yield m.acquire(second);
      yield m.release(second);
      yield m.release(first);
    };

  it('two locks taken in both orders: a deadlock that says who waits for what, in some schedules only', () => {
    const machine = new ModelMachine({ flows: [takes(X, Y), takes(Y, X)] });
    const result = machine.run(follow(0, 4, 0, 4));
    expect(result.stop).toBe(RunStop.DEADLOCK);
    const title = 'BUG: deadlock: cpu0 waits for the lock at 0x1004, cpu1 waits for the lock at 0x1000';
    expect(result.findings).toEqual([{ kind: 'deadlock', title }]);
    expect(machine.run(plan(STAY))).toMatchObject({ stop: RunStop.COMPLETE, findings: [] });
  });

  it('the check looks at memory when all is done', () => {
    const machine = new ModelMachine({
      flows: [increment, increment],
      check: (memory) => (memory.load(X) === 2 ? undefined : 'an increment is lost'),
    });
    expect(machine.run(follow(0, 4, 0, 4)).findings).toEqual([
      { kind: 'check', title: 'an increment is lost' },
    ]);
    expect(machine.run(plan(STAY)).findings).toEqual([]);
  });

  it('fail ends the run at once, with what it was told first', () => {
    const machine = new ModelMachine({
      flows: [
        function* (m) {
          if ((yield m.load(X)) === 0) yield m.fail('X is not set');
          yield m.store(Y, 1);
        },
      ],
    });
    const result = machine.run(plan(STAY));
    expect(result).toMatchObject({ stop: RunStop.DIED, steps: 2 });
    expect(result.findings).toEqual([{ kind: 'check', title: 'X is not set' }]);
    expect(JSON.parse(result.finalState)).toMatchObject({ memory: {} });
  });

  it('a flow without end meets the limit of steps', () => {
    const endless: FlowBody = function* (m) {
      for (;;) yield m.load(X);
    };
    const result = new ModelMachine({ flows: [endless], stepLimit: 300 }).run(plan(STAY));
    expect(result).toMatchObject({ stop: RunStop.STEP_LIMIT, steps: 300, findings: [] });
  });

  it('each run starts from the initial memory', () => {
    const machine = new ModelMachine({ flows: [increment], initial: [[X, 7]] });
    machine.run(plan(STAY));
    expect(machine.run(plan(STAY)).finalState).toBe(
      JSON.stringify({ memory: { [X]: 8 }, loads: { 0: [7] } }),
    );
  });

  it('runs that differ in the order of independent steps end in the same state', () => {
    const two: FlowBody[] = [X, Y].map(
      (address) =>
        function* (m) {
          yield m.store(address, 1);
          yield m.load(address);
        },
    );
    const machine = new ModelMachine({ flows: two });
    const one = machine.run(follow(0, 0, 4, 4)).finalState;
    expect(machine.run(follow(4, 0, 4, 0)).finalState).toBe(one);
  });
});
