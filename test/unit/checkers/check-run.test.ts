import { describe, expect, it } from 'vitest';
import { AccessKind } from '#trace/events';
import { RunCheckers } from '#checkers/check-run';
import { NO_FINDINGS } from '#checkers/finding';
import { LogBuilder } from '../../support/log-builder.ts';

const COMPLETE = { complete: true };

/** Two CPUs that count without a lock: CPU 1 in between. */
function lostUpdate(): LogBuilder {
  const log = new LogBuilder();
  const [a, b] = [log.cpu(0).in('sys_count').taskArrives(0x9000, 11), log.cpu(1).in('irq_count')];
  a.read('counter');
  b.read('counter').write('counter', 1);
  a.write('counter', 1);
  return log;
}

describe('checking a run', () => {
  it('a clean run answers the one empty list', () => {
    const log = new LogBuilder();
    log.cpu(0).lock('A').write('x', 1).unlock('A');
    log.cpu(1).lock('A').write('x', 2).unlock('A');
    const checkers = new RunCheckers({ names: log.names });
    for (let run = 0; run < 3; run++) expect(checkers.onRun(log.build(), COMPLETE)).toBe(NO_FINDINGS);
  });

  it('a race in KCSAN anatomy: both accesses, both CPUs, both stacks, what became of the value', () => {
    const log = lostUpdate();
    const stackAt = (step: number, cpu: number): string[] => [
      cpu === 0 ? 'sys_count' : 'irq_count',
      `caller${step}`,
    ];
    const [race] = new RunCheckers({ names: log.names }).onRun(log.build(), { ...COMPLETE, stackAt });
    expect(race).toMatchObject({
      kind: 'data-race',
      title: 'BUG: KCSAN: data-race in irq_count / sys_count',
    });
    expect(race!.detail!.split('\n').slice(1, -1)).toEqual([
      'BUG: KCSAN: data-race in irq_count / sys_count',
      '',
      'read to 0x00002000 of 4 bytes by task 11 on cpu 0:',
      ' sys_count',
      ' caller0',
      '',
      'write to 0x00002000 of 4 bytes by task on cpu 1:',
      ' irq_count',
      ' caller2',
      '',
      'value changed: 0x00000000 -> 0x00000001',
      '',
      'Reported by smplab on:',
      'CPU: 1 step 2, after CPU 0 step 0; variable: counter',
      'Neither lock nor barrier nor interrupt puts one of them before the other.',
    ]);
  });

  it('a buffered store tells the value it replaced when it reached memory', () => {
    const log = new LogBuilder();
    log.cpu(0).in('a').buffer('x', 7).buffer('y', 1);
    log.cpu(1).in('b').buffer('x', 5);
    log.flush(1).flush(0);
    const races = new RunCheckers({ names: log.names }).explainRaces(log.build());
    expect(races).toHaveLength(1);
    expect([races[0]!.a.valueBefore, races[0]!.a.valueAfter]).toEqual([5, 7]);
    expect([races[0]!.b.valueBefore, races[0]!.b.valueAfter]).toEqual([0, 5]);
  });

  it('a race has one title and identity whichever side came first, and is counted once in a campaign', () => {
    const checkers = new RunCheckers({ names: new LogBuilder().names });
    const identities = [0, 1].map((first) => {
      const log = new LogBuilder();
      const flows = [log.cpu(0).in('reader'), log.cpu(1).in('writer')];
      if (first === 0) flows[0]!.read('x');
      flows[1]!.write('x', 1);
      if (first === 1) flows[0]!.read('x');
      const mine = new RunCheckers({ names: log.names });
      checkers.onRun(log.build(), COMPLETE);
      return mine.explainRaces(log.build()).map(({ identity, title }) => [identity, title]);
    });
    expect(identities[0]).toHaveLength(1);
    expect(identities[0]).toEqual(identities[1]);
    expect(checkers.racesSeen).toBe(1);
  });

  it('a known race is told again for every run that has it, and not for the run that has not', () => {
    const racing = lostUpdate().build();
    const clean = new LogBuilder();
    clean.cpu(0).read('counter');
    const checkers = new RunCheckers({ names: lostUpdate().names });
    const runs = [racing, clean.build(), racing].map((log) => checkers.onRun(log, COMPLETE).length);
    expect(runs[0]).toBeGreaterThan(0);
    expect(runs).toEqual([runs[0], 0, runs[0]]);
  });

  it('code outside all functions is told apart by its variables', () => {
    const log = new LogBuilder();
    log.cpu(0).write('x', 1).write('y', 1);
    log.cpu(1).write('x', 2).write('y', 2);
    const titles = new RunCheckers({ names: log.names })
      .onRun(log.build(), COMPLETE)
      .map(({ title }) => title);
    expect(titles).toEqual([
      'BUG: KCSAN: data-race in scenario / scenario (x)',
      'BUG: KCSAN: data-race in scenario / scenario (y)',
    ]);
  });

  it('a race that is meant is asked about once and never told; the other stays', () => {
    const asked: string[] = [];
    const log = new LogBuilder();
    log.cpu(0).in('f').write('statistics', 1).write('x', 1);
    log.cpu(1).in('g').write('statistics', 2).write('x', 1);
    const isMeant = ({ variable }: { variable: string }): boolean => {
      asked.push(variable);
      return variable === 'statistics';
    };
    const checkers = new RunCheckers({ names: log.names, isMeant });
    for (let run = 0; run < 3; run++) expect(checkers.onRun(log.build(), COMPLETE)).toHaveLength(1);
    expect(asked).toEqual(['statistics', 'x']);
  });

  it('each check can be left out', () => {
    const log = lostUpdate();
    log.cpu(0).lock('A').free('object', 32).read('object').end();
    const kinds = (options: object): string[] =>
      new RunCheckers({ names: log.names, ...options }).onRun(log.build(), COMPLETE).map(({ kind }) => kind);
    expect(new Set(kinds({}))).toEqual(new Set(['data-race', 'lock-held', 'use-after-free']));
    expect(new Set(kinds({ races: false }))).toEqual(new Set(['lock-held', 'use-after-free']));
    expect(new Set(kinds({ races: false, locks: false }))).toEqual(new Set(['use-after-free']));
    expect(kinds({ races: false, locks: false, lifetime: false })).toEqual([]);
  });

  it('many distinct races: none is lost when the memo grows', () => {
    const log = new LogBuilder();
    const logs = Array.from({ length: 200 }, (_, index) => {
      const one = new LogBuilder();
      one.cpu(0).write(0x8000 + index * 8, 1, { kind: AccessKind.ONCE });
      one.cpu(1).write(0x8000 + index * 8, 2);
      return one.build();
    });
    const checkers = new RunCheckers({ names: log.names });
    const titles = logs.map((one) => checkers.onRun(one, COMPLETE)[0]!.title);
    expect(new Set(titles).size).toBe(200);
    expect(logs.map((one) => checkers.onRun(one, COMPLETE)[0]!.title)).toEqual(titles);
    expect(checkers.racesSeen).toBe(200);
  });
});
