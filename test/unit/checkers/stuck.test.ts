import { describe, expect, it } from 'vitest';
import { interruptActor, mainActor } from '#base/strategy';
import { OpType } from '#trace/operations';
import { type Waiting, deadlockFinding, describeDeadlock } from '#checkers/deadlock';
import { describeLivelock, livelockFinding } from '#checkers/livelock';
import { LogBuilder } from '../../support/log-builder.ts';

function waiting(
  log: LogBuilder,
  actor: number,
  variable: string,
  code: string,
  type: OpType = OpType.ACQUIRE,
): Waiting {
  return { actor, type, address: log.at(variable), site: log.code(code) };
}

describe('deadlock', () => {
  it('AB-BA: each CPU with its stack, what it waits for and who took that', () => {
    const log = new LogBuilder();
    log.cpu(0).in('forward').lock('A');
    log.cpu(1).in('backward').lock('B');
    const stuck = [
      { ...waiting(log, mainActor(0), 'B', 'forward'), stack: ['spin_lock', 'forward'] },
      waiting(log, mainActor(1), 'A', 'backward'),
    ];
    const finding = deadlockFinding(log.build(), stuck, { names: log.names });
    expect(finding.title).toBe('BUG: deadlock, 2 flows waiting for each other: A, B');
    expect(finding.detail!.split('\n').slice(2, -1)).toEqual([
      '',
      'task on cpu 0 waits for B (0x00002040), held by task on cpu 1 since step 1:',
      ' spin_lock',
      ' forward',
      'taken at:',
      ' backward',
      '',
      'task on cpu 1 waits for A (0x00002000), held by task on cpu 0 since step 0:',
      ' backward',
      'taken at:',
      ' forward',
      '',
      'No flow can go on, and simulated time brings nothing.',
    ]);
  });

  it('a lock that was let go has no holder, and who waits for it is in no ring', () => {
    const log = new LogBuilder();
    log.cpu(0).lock('A').unlock('A').lock('B');
    const stuck = [waiting(log, mainActor(1), 'A', 'f'), waiting(log, mainActor(2), 'B', 'f')];
    const { ring, blocked } = describeDeadlock(log.build(), stuck, { names: log.names });
    expect(ring).toEqual([]);
    expect(blocked.map((flow) => flow.isLock)).toEqual([false, true]);
  });

  it('a bare lock word: the ACQUIRE that took it holds it until a store of 0', () => {
    const log = new LogBuilder();
    log.cpu(0).acquire('A').acquire('B').write('B', 0);
    const stuck = [waiting(log, mainActor(1), 'A', 'f'), waiting(log, mainActor(2), 'B', 'f')];
    const { blocked } = describeDeadlock(log.build(), stuck, { names: log.names });
    expect(blocked.map((flow) => flow.isLock)).toEqual([true, false]);
  });

  it('an interrupt that wants the lock of the code it interrupted closes a ring with it', () => {
    const log = new LogBuilder();
    log.cpu(0).in('update').lock('A');
    log.irq(0).in('handler').enter();
    // The main flow is not blocked by itself, but it does not run before its interrupt ends.
    const stuck = [waiting(log, interruptActor(0), 'A', 'handler')];
    const { blocked, title } = describeDeadlock(log.build(), stuck, { names: log.names });
    expect(blocked[0]!.holder!.actor).toBe(mainActor(0));
    expect(title).toBe('BUG: deadlock, 1 flow waiting for what it interrupted: A');
  });

  it('a flow that takes a lock twice waits for itself, though others wait as well', () => {
    const log = new LogBuilder();
    log.cpu(1).in('twice').lock('A');
    const stuck = [waiting(log, mainActor(0), 'A', 'once'), waiting(log, mainActor(1), 'A', 'twice')];
    const { ring, title } = describeDeadlock(log.build(), stuck, { names: log.names });
    expect(ring).toEqual([mainActor(1)]);
    expect(title).toBe('BUG: deadlock, 1 flow waiting for itself: A');
  });

  it('a wait for a word that nobody writes any more names who wrote it last', () => {
    const log = new LogBuilder();
    log.cpu(0).in('early').write('done', 0);
    const stuck = [waiting(log, mainActor(1), 'done', 'wait_event', OpType.AWAIT)];
    const finding = deadlockFinding(log.build(), stuck, { names: log.names });
    expect(finding.title).toBe('BUG: deadlock, 1 flow waiting for what nobody will do: done');
    expect(finding.detail).toContain(
      'waits for done (0x00002000), last written by task on cpu 0 since step 0:',
    );
  });
});

describe('livelock', () => {
  function spinning(turns: number): LogBuilder {
    const log = new LogBuilder();
    log.cpu(0).in('setup').write('x', 1).write('y', 1);
    for (let turn = 0; turn < turns; turn++) {
      log.cpu(0).in('retry').read('owner').in('back_off').write('tries', turn);
      // The other CPU goes at its own pace.
      if (turn % 3 === 0) log.cpu(1).in('poll').read('flag');
    }
    return log;
  }

  it('tells for each CPU the cycle its last steps repeat, however they are interleaved', () => {
    const log = spinning(30);
    const { cycles, title } = describeLivelock(log.build(), { names: log.names });
    expect(
      cycles.map(({ actor, steps }) => [actor, ...steps.map((step) => `${step.symbol} ${step.variable}`)]),
    ).toEqual([
      [0, 'back_off tries', 'retry owner'],
      [4, 'poll flag'],
    ]);
    expect(cycles.map((cycle) => cycle.turns)).toEqual([30, 10]);
    expect(title).toBe('BUG: livelock, the step limit was reached in back_off, poll, retry');
  });

  it('two turns are no cycle', () => {
    const log = spinning(2);
    expect(describeLivelock(log.build(), { names: log.names }).cycles).toEqual([]);
  });

  it('the finding has the same title wherever in the cycle the limit fell', () => {
    const one = spinning(20);
    const other = spinning(20);
    other.cpu(0).in('retry').read('owner');
    const names = [one, other].map((log) => livelockFinding(log.build(), { names: log.names }).title);
    expect(names[0]).toBe(names[1]);
  });

  it('a flow that never repeats itself is in no cycle', () => {
    const log = new LogBuilder();
    for (let step = 0; step < 50; step++) log.cpu(0).write(`v${step * step}`, step);
    expect(describeLivelock(log.build(), { names: log.names }).cycles).toEqual([]);
  });
});
