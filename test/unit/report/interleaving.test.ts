import { describe, expect, it } from 'vitest';
import { interruptActor, mainActor } from '#base/strategy';
import { EventType, type TraceEvent } from '#trace/events';
import { OpType } from '#trace/operations';
import type { Operation } from '#trace/steps';
import { interleaving } from '#report/interleaving';
import { ansi } from '#report/paint';
import { Run } from './run.ts';

function start(run: Run, ...cpus: readonly number[]): void {
  for (const cpu of cpus) run.step(mainActor(cpu), OpType.START);
}

/** Two CPUs add one: both read before either writes. Steps 2..5. */
function lostUpdate(): Run {
  const run = new Run();
  start(run, 0, 1);
  run.load(0, 'counter');
  run.load(1, 'counter');
  run.store(0, 'counter', 1);
  run.store(1, 'counter', 1);
  return run;
}

const text = (lines: readonly string[]): string => `\n${lines.join('\n')}\n`;

describe('interleaving', () => {
  it('lost update: shows bare variables directly, marks what decides, ends in the finding', () => {
    const run = lostUpdate();
    const decisive = [
      { first: 2, second: 5 },
      { first: 3, second: 4 },
    ];
    const finding = { title: 'counter is 1, expected 2' };
    expect(text(interleaving(run, { decisive, finding }))).toBe(`
CPU 0                              CPU 1
-----                              -----
reads counter: 0  <-a
                                   reads counter: 0  <-b
counter = 1 (was 0)  <-b
                                   counter = 1 (was 1)  <-a

<- decides: turn one pair round, and the failure goes
  a  CPU 0 reads counter: 0, before CPU 1 counter = 1 (was 1)
  b  CPU 1 reads counter: 0, before CPU 0 counter = 1 (was 0)

BUG: counter is 1, expected 2
`);
  });

  it('a task that goes on on the CPU of another is still another party: what they fight over is drawn', () => {
    const run = new Run();
    start(run, 0, 1);
    run.store(0, 'hits', 1);
    run.step(mainActor(0), OpType.TAKE);
    (run.steps.at(-1)!.operations as Operation[]).push({
      ...run.steps.at(-1)!.operations[0]!,
      type: OpType.GIVEN,
      read: 1,
    });
    // Of the task that began on CPU 1.
    run.load(0, 'hits');
    expect(text(interleaving(run))).toBe(`
CPU 0
-----
hits = 1 (was 0)
[the task of CPU 1 goes on here]
reads hits: 1
`);
  });

  it('AB-BA deadlock: says what each CPU holds and waits for, by the lock function', () => {
    const run = new Run();
    start(run, 0, 1);
    run.site(mainActor(0), 'spin_lock');
    run.site(mainActor(1), 'spin_lock');
    run.acquire(0, 'A');
    run.acquire(1, 'B');
    const waiting = [run.blocked(0, OpType.ACQUIRE, 'B'), run.blocked(1, OpType.ACQUIRE, 'A')];
    const decisive = [{ first: 3, second: waiting[0]!.index }];
    const finding = { title: 'deadlock: CPU 0 and CPU 1 wait for each other' };
    expect(text(interleaving({ ...run.input, waiting }, { decisive, finding }))).toBe(`
CPU 0                              CPU 1
-----                              -----
spin_lock(&A)
                                   spin_lock(&B)  <-a
waits for B, held by CPU 1  <-a
                                   waits for A, held by CPU 0

<- decides: turn one pair round, and the failure goes
  a  CPU 1 spin_lock(&B), before CPU 0 waits for B, held by CPU 1

BUG: deadlock: CPU 0 and CPU 1 wait for each other
`);
  });

  it('message passing under tso: a store shows where it is made and where it reaches memory', () => {
    const run = new Run();
    start(run, 0, 1);
    run.site(mainActor(0), 'send');
    run.site(mainActor(1), 'receive');
    run.buffer(0, 'data', 42);
    run.buffer(0, 'ready', 1);
    run.flush(0, 'data', 42);
    run.flush(0, 'ready', 1);
    run.load(1, 'ready');
    run.load(1, 'data');
    expect(text(interleaving(run))).toBe(`
CPU 0                              CPU 1
-----                              -----
send()
  data = 42 (in its store buffer)
  ready = 1 (in its store buffer)
[store of data reaches memory]
[store of ready reaches memory]
                                   receive()
                                     reads ready: 1
                                     reads data: 42
`);
  });

  it('an interrupt between two operations: stands between them, with the calls it makes', () => {
    const run = new Run();
    start(run, 0, 1);
    run.site(mainActor(1), 'count');
    run.site(interruptActor(1), 'count_interrupt');
    run.load(1, 'events');
    run.step(mainActor(0), OpType.IPI, { address: run.address('pending1'), read: 1, written: 2 });
    run.interrupt(1, () => {
      run.load(1, 'events', interruptActor(1));
      run.store(1, 'events', 1, interruptActor(1));
    });
    run.store(1, 'events', 1);
    const finding = { title: 'BUG: KCSAN: data-race in count / count_interrupt' };
    expect(text(interleaving(run, { finding }))).toBe(`
CPU 0                              CPU 1
-----                              -----
                                   count()
                                     reads events: 0
[interrupts CPU 1]
                                   <interrupt>
                                     count_interrupt()
                                       reads events: 0
                                       events = 1 (was 0)
                                   </interrupt>
                                     events = 1 (was 1)

BUG: KCSAN: data-race in count / count_interrupt
`);
  });

  it('kvm_init against cpu_up: the calls stand around the operations that matter, and printk where it was said', () => {
    const run = new Run();
    start(run, 0);
    run.enter('kvm_init');
    run.step(mainActor(0), OpType.LOAD, { address: run.address('private'), read: 0 });
    run.enter('kvm_arch_hardware_setup');
    run.step(mainActor(0), OpType.LOAD, { address: run.address('private'), read: 0 });
    run.leave('kvm_arch_hardware_setup');
    start(run, 1);
    run.enter('cpu_up', 1);
    run.load(1, 'cpu_chain');
    run.enter('raise');
    run.store(1, 'cpu_online_map', 3);
    run.fact(EventType.HOTPLUG, { a: 1, b: 1 });
    run.load(0, 'cpu_online_map');
    run.store(0, 'cpu_chain', 0x12345678);
    run.fact(EventType.PRINTK, { a: 9 });
    const log = [{ record: 9, cpu: 0, level: 3, text: 'kvm: ready' }];
    expect(text(interleaving({ ...run.input, log }))).toBe(`
CPU 0                              CPU 1
-----                              -----
                                   cpu_up(cpu 1)
                                     reads cpu_chain: 0
                                     raise()
                                       cpu_online_map = 3 (was 0)
                                       [CPU 1 is in the online map]
kvm_init()
  reads cpu_online_map: 3
  cpu_chain = 0x12345678 (was 0)
  printk: "kvm: ready"
`);
  });

  it('takes calls from a trace as well, each before the step its number says', () => {
    const run = lostUpdate();
    const entry = (sequence: number, cpu: number, name: string): TraceEvent => ({
      sequence,
      type: EventType.FUNCTION_ENTRY,
      cpu,
      context: 0,
      depth: 0,
      pid: 0,
      a: run.symbol(name),
      b: 0,
      c: 0,
      d: 0,
    });
    const events = [entry(2, 0, 'bump'), entry(3, 1, 'bump')];
    expect(text(interleaving({ ...run.input, events }))).toBe(
      `
CPU 0                              CPU 1
-----                              -----
bump()
  reads counter: 0
                                   bump()
                                     reads counter: 0
  counter = 1 (was 0)
                                     counter = 1 (was 1)
`,
    );
  });

  it('leaves out CPUs that have no part in it, and gives every other one a column (three of four)', () => {
    const run = lostUpdate();
    start(run, 2, 3);
    run.load(2, 'own');
    run.load(3, 'counter');
    expect(text(interleaving(run))).toBe(`
CPU 0                             CPU 1                             CPU 3
-----                             -----                             -----
reads counter: 0
                                  reads counter: 0
counter = 1 (was 0)
                                  counter = 1 (was 1)
                                                                    reads counter: 1
`);
  });

  it('draws everything of a run in which nobody met anybody', () => {
    const run = new Run();
    start(run, 0);
    run.store(0, 'own', 1);
    expect(interleaving(run)).toEqual(['CPU 0', '-----', 'own = 1 (was 0)']);
  });

  it('folds the rounds of a spinning CPU when the lines run out', () => {
    const run = new Run();
    start(run, 0, 1);
    for (let round = 0; round < 50; round++) {
      run.load(1, 'flag');
      run.load(1, 'other');
    }
    run.store(0, 'flag', 1);
    run.store(0, 'other', 1);
    expect(text(interleaving(run))).toBe(`
CPU 0                              CPU 1
-----                              -----
                                   reads flag: 0
                                   reads other: 0
                                   ... 49 times more
flag = 1 (was 0)
other = 1 (was 0)
`);
  });

  it.each([10, 20, 40])(
    'never has more than the lines asked for, and keeps what decides (linesMax=%i)',
    (linesMax) => {
      const run = new Run();
      start(run, 0, 1);
      for (let round = 0; round < 40; round++) {
        run.store(0, `word${round % 7}`, round);
        run.load(1, `word${(round * 3) % 7}`);
      }
      const decisive = [{ first: 20, second: 40 }];
      const lines = interleaving(run, { decisive, linesMax, finding: { title: 'all is lost' } });
      expect(lines.length).toBeLessThanOrEqual(linesMax);
      expect(lines.filter((line) => line.includes(' <-a'))).toHaveLength(2);
      expect(lines.at(-1)).toBe('BUG: all is lost');
    },
  );

  it('breaks lines at a space and stays within the width (two CPUs, 60 columns)', () => {
    const run = new Run();
    start(run, 0, 1);
    run.site(mainActor(0), 'a_function_with_a_rather_long_name');
    run.store(0, 'a_variable_with_a_rather_long_name', 1);
    run.load(1, 'a_variable_with_a_rather_long_name');
    const lines = interleaving(run, { width: 60 });
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(60);
    expect(lines.join('').replaceAll(/\s+/g, '')).toContain('a_variable_with_a_rather_long_name=1(was0)');
  });

  it('in colour reads the same', () => {
    const decisive = [{ first: 2, second: 5 }];
    const finding = { title: 'counter is 1, expected 2' };
    const coloured = interleaving(lostUpdate(), { decisive, finding, paint: ansi });
    // oxlint-disable-next-line no-control-regex
    const bare = coloured.map((line) => line.replaceAll(/\u001B\[\d*m/g, ''));
    expect(bare).toEqual(interleaving(lostUpdate(), { decisive, finding }));
    expect(coloured).not.toEqual(bare);
  });
});
