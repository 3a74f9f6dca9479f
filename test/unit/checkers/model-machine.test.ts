import { describe, expect, it } from 'vitest';
import { AccessKind } from '#trace/events';
import { policyNumber } from '#scheduler/policies';
import { type Names } from '#checkers/finding';
import { RunCheckers } from '#checkers/check-run';
import { type FlowBody, ModelMachine, type ModelProgram } from '../../support/model-machine.ts';

const X = 0x100;
const FLAG = 0x104;
const LOCK = 0x108;
const RUNS = 60;

const names: Names = {
  symbol: () => 'scenario',
  variable: (address) =>
    ({ [X]: 'x', [FLAG]: 'flag', [LOCK]: 'lock' })[address] ?? `0x${address.toString(16)}`,
};

/** Titles of races over random schedules. */
function races(program: ModelProgram, memoryModel: 'sc' | 'tso'): string[] {
  const machine = new ModelMachine({ ...program, memoryModel });
  const checkers = new RunCheckers({ names });
  const titles = new Set<string>();
  for (let seed = 1; seed <= RUNS; seed++) {
    const { log } = machine.run({ prefix: [], policy: policyNumber('random'), seed });
    for (const finding of checkers.onRun(log, { complete: true })) titles.add(finding.title);
  }
  return [...titles];
}

const add: FlowBody = function* (m) {
  yield m.store(X, (yield m.load(X)) + 1);
};

const addLocked: FlowBody = function* (m) {
  yield m.acquire(LOCK);
  yield m.store(X, (yield m.load(X)) + 1);
  yield m.release(LOCK);
};

const addIrqsOff: FlowBody = function* (m) {
  yield m.irqs(false);
  yield m.store(X, (yield m.load(X)) + 1);
  yield m.irqs(true);
};

function publish(kind: AccessKind): FlowBody {
  return function* (m) {
    yield m.store(X, 1);
    yield m.store(FLAG, 1, kind);
  };
}

const consume: FlowBody = function* (m) {
  yield m.await(FLAG, ([flag]) => flag === 1);
  yield m.load(X);
};

const RACE = ['BUG: KCSAN: data-race in scenario / scenario (x)'];

describe.each(['sc', 'tso'] as const)('races of programs that run, in %s', (memoryModel) => {
  it('two CPUs that add to one counter race; under a lock they do not', () => {
    expect(races({ flows: [add, add] }, memoryModel)).toEqual(RACE);
    expect(races({ flows: [addLocked, addLocked, addLocked] }, memoryModel)).toEqual([]);
  });

  it('a message published with WRITE_ONCE races; with a release it does not', () => {
    expect(races({ flows: [publish(AccessKind.ONCE), consume] }, memoryModel)).toEqual(RACE);
    expect(races({ flows: [publish(AccessKind.RELEASE), consume] }, memoryModel)).toEqual([]);
  });

  it('an interrupt of the CPU that adds races with it; with interrupts off around the addition it does not', () => {
    const interrupts = [{ cpu: 0, handler: add }];
    expect(races({ flows: [add], interrupts }, memoryModel)).toEqual(RACE);
    expect(races({ flows: [addIrqsOff], interrupts }, memoryModel)).toEqual([]);
  });

  it('what the sender of an IPI did before is ordered with the handler; what it does afterwards is not', () => {
    const sender = (before: boolean): FlowBody =>
      function* (m) {
        if (before) yield m.store(X, 1);
        yield m.ipi(1);
        if (!before) yield m.store(X, 1);
      };
    const idle: FlowBody = function* (m) {
      yield m.load(FLAG);
    };
    const interrupts = [{ cpu: 1, handler: add, pending: false }];
    expect(races({ flows: [sender(true), idle], interrupts }, memoryModel)).toEqual([]);
    expect(races({ flows: [sender(false), idle], interrupts }, memoryModel)).toEqual(RACE);
  });
});
