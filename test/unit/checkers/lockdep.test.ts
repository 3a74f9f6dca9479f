import { describe, expect, it } from 'vitest';
import { EventType, LockKind, LockOperation } from '#trace/events';
import { type LockFinding, Lockdep } from '#checkers/lockdep';
import { LogBuilder } from '../../support/log-builder.ts';

type Script = (log: LogBuilder) => unknown;

/** Titles of what each run of one campaign says. All runs see the same variables at the same places. */
function campaign(scripts: readonly Script[], complete = true): LockFinding[][] {
  const places = new LogBuilder();
  for (const name of ['A', 'B', 'C', 'x']) places.at(name);
  const lockdep = new Lockdep({ names: places.names, classOf: (lock) => places.names.variable(lock) });
  return scripts.map((script) => {
    const log = new LogBuilder();
    for (const name of ['A', 'B', 'C', 'x']) log.at(name);
    script(log);
    return [...lockdep.onRun(log.build(), complete)];
  });
}

function titles(script: Script, complete = true): string[] {
  return campaign([script], complete)[0]!.map((finding) => finding.title);
}

function nested(cpu: number, ...locks: string[]): Script {
  return (log) => {
    for (const lock of locks) log.cpu(cpu).lock(lock);
    for (const lock of locks.toReversed()) log.cpu(cpu).unlock(lock);
  };
}

function both(...scripts: Script[]): Script {
  return (log) => scripts.map((script) => script(log));
}

const CIRCULAR = 'WARNING: possible circular locking dependency detected:';

/** What it says, the log that must raise it, and the near twin that must not. */
const cases: readonly (readonly [string, Script, Script])[] = [
  [
    `${CIRCULAR} A -> B -> A`,
    both(nested(0, 'A', 'B'), nested(1, 'B', 'A')),
    both(nested(0, 'A', 'B'), nested(1, 'A', 'B')),
  ],
  [
    `${CIRCULAR} A -> B -> C -> A`,
    both(nested(0, 'A', 'B'), nested(1, 'B', 'C'), nested(2, 'C', 'A')),
    both(nested(0, 'A', 'B'), nested(1, 'B', 'C'), nested(2, 'A', 'C')),
  ],
  [
    `${CIRCULAR} A -> B -> A`,
    // Waited for and never got: the run ends there, and the order has been shown all the same.
    both(nested(0, 'A', 'B'), (log) => log.cpu(1).lock('B').contended('A').unlock('B')),
    both(nested(0, 'A', 'B'), (log) => log.cpu(1).lock('B').lock('A', 1).unlock('A').unlock('B')),
  ],
  [
    'WARNING: possible recursive locking detected: A',
    (log) => log.cpu(0).lock('A').contended('A').unlock('A'),
    (log) => log.cpu(0).lock('A').unlock('A').lock('A').unlock('A'),
  ],
  [
    'WARNING: inconsistent lock state: A',
    both(nested(0, 'A'), (log) => log.irq(1).enter().lock('A').unlock('A').exit()),
    both(
      (log) => log.cpu(0).irqsOff().lock('A').unlock('A').irqsOn(),
      (log) => log.irq(1).enter().lock('A').unlock('A').exit(),
    ),
  ],
  [
    // Taken with interrupts off, but they come on while it is held: the release shows it.
    'WARNING: inconsistent lock state: A',
    (log) => [
      log.cpu(0).irqsOff().lock('A').irqsOn().unlock('A'),
      log.irq(1).enter().lock('A').unlock('A').exit(),
    ],
    (log) => [
      log.cpu(0).irqsOff().lock('A').unlock('A').irqsOn(),
      log.irq(1).enter().lock('A').unlock('A').exit(),
    ],
  ],
  [
    // On in the middle only: the cli that ends it is a step.
    'WARNING: inconsistent lock state: A',
    (log) => [
      log.cpu(0).irqsOff().lock('A').irqsOn().cli().unlock('A'),
      log.irq(1).enter().lock('A').unlock('A').exit(),
    ],
    (log) => [
      log.cpu(0).cli().lock('A').unlock('A').irqsOn(),
      log.irq(1).enter().lock('A').unlock('A').exit(),
    ],
  ],
  [
    'WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected: A -> C',
    (log) => [
      log.irq(1).enter().lock('A').unlock('A').exit(),
      log.cpu(0).irqsOff().lock('A').lock('B').unlock('B').unlock('A'),
      log.cpu(0).lock('B').lock('C').unlock('C').unlock('B').irqsOn(),
      nested(2, 'C')(log),
    ],
    (log) => [
      log.irq(1).enter().lock('A').unlock('A').exit(),
      log.cpu(0).irqsOff().lock('A').lock('B').unlock('B').unlock('A'),
      log.cpu(0).lock('B').lock('C').unlock('C').unlock('B').irqsOn(),
      log.cpu(2).irqsOff().lock('C').unlock('C'),
    ],
  ],
  [
    'WARNING: bad unlock balance detected: A',
    (log) => log.cpu(0).unlock('A'),
    (log) => log.cpu(0).lock('A').unlock('A'),
  ],
  [
    'WARNING: bad unlock balance detected: A',
    (log) => [
      log.cpu(0).lock('A'),
      log.cpu(1).unlock('A'),
      log.cpu(1).lock('A'),
      log.cpu(0).unlock('A'),
      log.cpu(1).unlock('A'),
    ],
    (log) => [log.cpu(0).lock('A').unlock('A'), log.cpu(1).lock('A').unlock('A')],
  ],
  [
    'BUG: flow ended with a lock still held: A',
    (log) => log.cpu(0).lock('A').end(),
    (log) => log.cpu(0).lock('A').unlock('A').end(),
  ],
  [
    'BUG: flow ended with a lock still held: A',
    // A warning does not end the flow; what does has been reported, and the lock is lost with the flow.
    (log) => log.cpu(0).lock('A').event(EventType.FINDING, 0, 0).end(),
    (log) => log.cpu(0).lock('A').event(EventType.FINDING, 0, 1).end(),
  ],
  [
    'BUG: interrupt returned with a lock still held: A',
    (log) => log.irq(0).enter().lock('A').exit(),
    (log) => log.irq(0).enter().lock('A').unlock('A').exit(),
  ],
  [
    'BUG: task ended with a lock still held: A',
    (log) => log.cpu(0).taskArrives('x', 7).lock('A').taskLeaves('x', 7, true),
    (log) => log.cpu(0).taskArrives('x', 7).lock('A').unlock('A').taskLeaves('x', 7, true),
  ],
  [
    'BUG: task ended with a lock still held: A',
    (log) => log.cpu(0).taskArrives('x', 7).lock('A').taskLeaves('x', 7),
    // It moves with the lock, and lets it go where it goes on.
    (log) => [
      log.cpu(0).taskArrives('x', 7).lock('A').taskLeaves('x', 7),
      log.cpu(1).taskArrives('x', 7).unlock('A').taskLeaves('x', 7, true),
    ],
  ],
];

describe('lockdep', () => {
  it.each(cases)('says "%s", and not of the twin', (title, wrong, twin) => {
    expect(titles(wrong)).toContain(title);
    expect(titles(twin)).toEqual([]);
  });

  it('two runs with opposite orders are a cycle, said to rest on more than one run; a run with both has it by itself', () => {
    const found = campaign([
      nested(0, 'A', 'B'),
      nested(1, 'B', 'A'),
      nested(0, 'A', 'B'),
      both(nested(0, 'A', 'B'), nested(0, 'B', 'A')),
    ]);
    expect(found.map((run) => run.map((finding) => finding.acrossRuns))).toEqual([[], [true], [], [false]]);
    expect(found[1]![0]!.title).toBe(found[3]![0]!.title);
  });

  it('an inconsistent state is told for every run that shows both sides of it, and for no other', () => {
    const inIrq: Script = (log) => log.irq(1).enter().lock('A').unlock('A').exit();
    const found = campaign([nested(0, 'A'), inIrq, both(nested(0, 'A'), inIrq), nested(0, 'A'), inIrq]);
    expect(found.map((run) => run.map((finding) => finding.acrossRuns))).toEqual([
      [],
      [true],
      [false],
      [],
      [],
    ]);
  });

  it('the report of a cycle shows both chains and two CPUs that meet', () => {
    const [run] = campaign([
      (log) => {
        log.cpu(0).in('forward').lock('A').lock('B').unlock('B').unlock('A');
        log.cpu(1).in('backward').lock('B').lock('A').unlock('A').unlock('B');
      },
    ]);
    const { detail = '', kind } = run![0]!;
    expect(kind).toBe('lock-order');
    const diagram = ['lock(B);', 'lock(A);', 'lock(B);', 'lock(A);'];
    expect(
      detail
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line.startsWith('lock(')),
    ).toEqual(diagram);
    expect(detail).toMatch(/-> #1 \(B\), taken on cpu 0 under \(A\):/);
    expect(detail).toMatch(/-> #0 \(A\), taken on cpu 1 under \(B\):/);
  });

  it('locks of interrupted code say nothing about the order of the handler, and the other way round', () => {
    const script: Script = (log) => {
      log.cpu(0).irqsOff().lock('A');
      log.irq(0).enter().lock('B').unlock('B').exit();
      log.cpu(0).unlock('A').lock('B').lock('A').unlock('A').unlock('B');
    };
    expect(titles(script)).toEqual([]);
  });

  it('a kernel thread on top of a sleeping task does not hold what the task holds', () => {
    const script: Script = (log) => {
      log.cpu(0).taskArrives('x', 1).lock('A').taskArrives(0x9000, 2).lock('B').unlock('B');
      log.cpu(0).taskLeaves(0x9000, 2, true).unlock('A').lock('B').lock('A').unlock('A').unlock('B');
      log.cpu(0).taskLeaves('x', 1, true);
    };
    expect(titles(script)).toEqual([]);
  });

  it('readers of a semaphore count as writers: a writer that queues between them blocks the second', () => {
    const down = (log: LogBuilder, cpu: number, sem: string): unknown =>
      log.cpu(cpu).event(EventType.LOCK, log.at(sem), LockOperation.ACQUIRED, LockKind.RWSEM_READ);
    const up = (log: LogBuilder, cpu: number, sem: string): unknown =>
      log.cpu(cpu).event(EventType.LOCK, log.at(sem), LockOperation.RELEASED, LockKind.RWSEM_READ);
    const opposite: Script = (log) => [
      [down(log, 0, 'A'), down(log, 0, 'B'), up(log, 0, 'B'), up(log, 0, 'A')],
      [down(log, 1, 'B'), down(log, 1, 'A'), up(log, 1, 'A'), up(log, 1, 'B')],
    ];
    expect(titles(opposite)).toEqual([`${CIRCULAR} A -> B -> A`]);
  });

  it('memory that was freed may hold a lock of another class afterwards', () => {
    const classes = ['first', 'second'];
    const log = new LogBuilder();
    const lockdep = new Lockdep({ names: log.names, classOf: () => classes.shift() ?? 'asked too often' });
    log
      .cpu(0)
      .lock('A')
      .unlock('A')
      .lock('A')
      .unlock('A')
      .free('A', 64)
      .lock('A')
      .unlock('A')
      .lock('A')
      .unlock('A');
    lockdep.onRun(log.build(), true);
    expect(lockdep.graph.names).toEqual(['first', 'second']);
  });

  it('a run that was cut off is not asked for the locks its flows still hold', () => {
    const cut: Script = (log) => log.cpu(0).taskArrives('x', 7).lock('A').taskLeaves('x', 7);
    expect(titles(cut, false)).toEqual([]);
  });
});
