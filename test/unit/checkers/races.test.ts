import { describe, expect, it } from 'vitest';
import { Flow } from '#base/strategy';
import { AccessKind } from '#trace/events';
import { OP_WORDS, OpFlag, OpWord } from '#trace/operations';
import { RaceDetector, type RaceOptions } from '#checkers/races';
import { LogBuilder } from '../../support/log-builder.ts';

const { ONCE, ACQUIRE, RELEASE, PLAIN } = AccessKind;
const once = { kind: ONCE };
const forwarded = { kind: ONCE, flags: OpFlag.FORWARDED };

type Script = (log: LogBuilder) => unknown;

function races(script: Script, options?: RaceOptions): number {
  const log = new LogBuilder();
  script(log);
  return new RaceDetector(options).scan(log.build());
}

/** CPU 0 writes `data` and tells CPU 1, which reads it: the two halves of telling are what a case is about. */
function message(tell: Script, hear: Script): Script {
  return (log) => {
    log.cpu(0).write('data', 1);
    tell(log);
    hear(log);
    log.cpu(1).read('data');
  };
}

/** What races, and the twin that does not: a name for the difference, then both; pairs that race, if not one. */
const cases: readonly (readonly [string, Script, Script, number?])[] = [
  [
    'two plain writes; reads do not race',
    (log) => [log.cpu(0).write('x', 1), log.cpu(1).write('x', 2)],
    (log) => [log.cpu(0).read('x'), log.cpu(1).read('x')],
  ],
  [
    'a plain read beside a marked write; two marked accesses do not race',
    (log) => [log.cpu(0).write('x', 1, once), log.cpu(1).read('x')],
    (log) => [log.cpu(0).write('x', 1, once), log.cpu(1).read('x', once)],
  ],
  [
    'a plain write beside a read-modify-write; two read-modify-writes do not race',
    (log) => [log.cpu(0).rmw('x', 1), log.cpu(1).write('x', 2)],
    (log) => [log.cpu(0).rmw('x', 1), log.cpu(1).rmw('x', 2)],
  ],
  [
    'a common byte; neighbours in one word do not race',
    (log) => [log.cpu(0).write('x', 1), log.cpu(1).write(log.at('x') + 2, 2, { size: 2 })],
    (log) => [log.cpu(0).write('x', 1, { size: 2 }), log.cpu(1).write(log.at('x') + 2, 2, { size: 2 })],
  ],
  [
    'a byte in the middle of a copied block; the byte behind it does not race',
    (log) => [log.cpu(0).write('x', 1, { size: 37 }), log.cpu(1).read(log.at('x') + 36, { size: 1 })],
    (log) => [log.cpu(0).write('x', 1, { size: 37 }), log.cpu(1).read(log.at('x') + 37, { size: 1 })],
  ],
  [
    'an early byte that a later, smaller access of the same flow did not replace; ordered by a lock it does not race',
    (log) => [
      log.cpu(0).write('x', 1).write('x', 1, { size: 1 }),
      log.cpu(1).read(log.at('x') + 3, { size: 1 }),
    ],
    (log) => [log.cpu(0).lock('l').write('x', 1).unlock('l'), log.cpu(1).lock('l').read('x', { size: 1 })],
  ],
  [
    'two locks; one lock orders',
    (log) => [log.cpu(0).lock('a').write('x', 1).unlock('a'), log.cpu(1).lock('b').write('x', 2).unlock('b')],
    (log) => [log.cpu(0).lock('a').write('x', 1).unlock('a'), log.cpu(1).lock('a').write('x', 2).unlock('a')],
  ],
  [
    'an access behind the unlock; before it, it is ordered',
    (log) => [log.cpu(0).lock('a').unlock('a').write('x', 1), log.cpu(1).lock('a').write('x', 2)],
    (log) => [log.cpu(0).lock('a').write('x', 1).unlock('a'), log.cpu(1).lock('a').write('x', 2)],
  ],
  [
    'a marked store read by an acquire; a release store orders',
    message(
      (log) => log.cpu(0).write('flag', 1, once),
      (log) => log.cpu(1).read('flag', { kind: ACQUIRE }),
    ),
    message(
      (log) => log.cpu(0).release('flag', 1),
      (log) => log.cpu(1).read('flag', { kind: ACQUIRE }),
    ),
  ],
  [
    'a release read by a marked load; a barrier behind the load orders',
    message(
      (log) => log.cpu(0).release('flag', 1),
      (log) => log.cpu(1).read('flag', once),
    ),
    message(
      (log) => log.cpu(0).release('flag', 1),
      (log) => log.cpu(1).read('flag', once).fence(),
    ),
  ],
  [
    'a barrier on the writing side only; barriers on both sides order',
    message(
      (log) => log.cpu(0).fence().write('flag', 1, once),
      (log) => log.cpu(1).read('flag', once),
    ),
    message(
      (log) => log.cpu(0).fence().write('flag', 1, once),
      (log) => log.cpu(1).read('flag', once).fence(),
    ),
  ],
  [
    'a barrier behind the flag; a barrier before it orders',
    message(
      (log) => log.cpu(0).write('flag', 1, once).fence(),
      (log) => log.cpu(1).read('flag', once).fence(),
    ),
    message(
      (log) => log.cpu(0).fence().write('flag', 1, once),
      (log) => log.cpu(1).read('flag', once).fence(),
    ),
  ],
  [
    'an acquire that read the value before; one that reads the release is ordered',
    (log) => [
      log.cpu(1).read('flag', { kind: ACQUIRE }),
      log.cpu(0).write('data', 1).release('flag', 1),
      log.cpu(1).read('data'),
    ],
    message(
      (log) => log.cpu(0).release('flag', 1),
      (log) => log.cpu(1).read('flag', { kind: ACQUIRE }),
    ),
  ],
  [
    'a release that another store has replaced; through a read-modify-write it reaches the reader',
    message(
      (log) => [log.cpu(0).release('flag', 1), log.cpu(2).write('flag', 2, once)],
      (log) => log.cpu(1).read('flag', { kind: ACQUIRE }),
    ),
    message(
      (log) => [log.cpu(0).release('flag', 1), log.cpu(2).rmw('flag', 2)],
      (log) => log.cpu(1).read('flag', { kind: ACQUIRE }),
    ),
  ],
  [
    'a third CPU that passes it on with a marked store; with a release it is passed on',
    message(
      (log) => [log.cpu(0).release('flag', 1), log.cpu(2).read('flag', once).write('go', 1, once)],
      (log) => log.cpu(1).read('go', { kind: ACQUIRE }),
    ),
    message(
      (log) => [log.cpu(0).release('flag', 1), log.cpu(2).read('flag', once).release('go', 1)],
      (log) => log.cpu(1).read('go', { kind: ACQUIRE }),
    ),
  ],
  [
    'a wait for a plain variable; a wait for a marked one is an acquire',
    message(
      (log) => log.cpu(0).release('flag', 1),
      (log) => log.cpu(1).await('flag', PLAIN),
    ),
    message(
      (log) => log.cpu(0).release('flag', 1),
      (log) => log.cpu(1).await('flag', ONCE),
    ),
    2,
  ],
  [
    'two initial accesses and a late lock; the lock word itself initialised with a plain store is ordered by the lock',
    (log) => [log.cpu(0).write('l', 0), log.cpu(1).lock('l')],
    (log) => [log.cpu(0).write('l', 0).lock('l').unlock('l'), log.cpu(1).lock('l').unlock('l')],
  ],
  [
    'what the sender does behind the IPI; before it, it is ordered with the handler',
    (log) => [log.cpu(0).ipi(1).write('data', 1), log.irq(1).enter().read('data').exit()],
    (log) => [log.cpu(0).write('data', 1).ipi(1), log.irq(1).enter().read('data').exit()],
  ],
  [
    'an IPI to another vector that has not been taken; the one that was taken orders',
    (log) => [
      log.cpu(0).write('data', 1).ipi(1, 4),
      log.cpu(2).ipi(1),
      log.irq(1).enter().read('data').exit(),
    ],
    (log) => [log.cpu(0).write('data', 1).ipi(1), log.cpu(2).ipi(1), log.irq(1).enter().read('data').exit()],
  ],
  [
    'what a third CPU told nobody; what the sender of an IPI has seen of it, the handler knows',
    (log) => [
      log.cpu(2).write('data', 1).release('flag', 1),
      log.cpu(0).ipi(1),
      log.irq(1).enter().read('data').exit(),
    ],
    (log) => [
      log.cpu(2).write('data', 1).release('flag', 1),
      log.cpu(0).read('flag', once).ipi(1),
      log.irq(1).enter().read('data').exit(),
    ],
  ],
  [
    'a CPU that runs by itself; one started by SIPI is behind who started it',
    (log) => [log.cpu(0).write('data', 1), log.cpu(1).start().read('data')],
    (log) => [log.cpu(0).write('data', 1).ipi(1, 0x400), log.cpu(1).start().read('data')],
  ],
  [
    'an interrupt inside a plain update of its own CPU; with interrupts off around the update it is ordered',
    (log) => [log.cpu(0).read('n'), log.irq(0).enter().write('n', 1).exit(), log.cpu(0).write('n', 1)],
    (log) => [
      log.cpu(0).irqsOff().read('n').write('n', 1).irqsOn(),
      log.irq(0).enter().write('n', 2).exit(),
      log.cpu(0).irqsOff().read('n').write('n', 3),
    ],
    2,
  ],
  [
    'the next access with interrupts on again; with interrupts off it is behind the interrupt',
    (log) => [log.irq(0).enter().write('n', 1).exit(), log.cpu(0).read('n')],
    (log) => [log.irq(0).enter().write('n', 1).exit(), log.cpu(0).irqsOff().read('n')],
  ],
  [
    'a nested interrupt inside a handler with interrupts on; with them off the handler is not interrupted',
    (log) => [
      log.irq(0).enter().irqsOn().write('n', 1),
      log.flow(Flow.NESTED).enter().write('n', 2).exit(),
      log.irq(0).irqsOff().exit(),
    ],
    (log) => [
      log.irq(0).enter().write('n', 1).irqsOn(),
      log.flow(Flow.NESTED).enter().write('n', 2).exit(),
      log.irq(0).irqsOff().exit(),
    ],
  ],
  [
    'the handler of another CPU, interrupts off or not; of the same CPU interrupts off order',
    (log) => [log.cpu(0).irqsOff().write('n', 1).irqsOn(), log.irq(1).enter().write('n', 2).exit()],
    (log) => [log.cpu(0).irqsOff().write('n', 1).irqsOn(), log.irq(0).enter().write('n', 2).exit()],
  ],
  [
    'a plain flag from handler to task; a marked one orders on one CPU, whatever its kind',
    (log) => [
      log.irq(0).enter().write('data', 1).write('done', 1).exit(),
      log.cpu(0).read('done').read('data'),
    ],
    (log) => [
      log.irq(0).enter().write('data', 1).write('done', 1, once).exit(),
      log.cpu(0).read('done', once).read('data'),
    ],
    2,
  ],
  [
    'two tasks on two CPUs; one task that moves is in order with itself',
    (log) => [log.cpu(0).taskArrives('t', 5).write('x', 1), log.cpu(1).taskArrives('u', 6).write('x', 2)],
    (log) => [
      log.cpu(0).taskArrives('t', 5).write('x', 1).taskLeaves('t', 5),
      log.cpu(1).taskArrives('t', 5).write('x', 2),
    ],
  ],
  [
    'tso: buffered plain writes; ordered by the lock that the buffer was drained for',
    (log) => [log.cpu(0).buffer('x', 1), log.cpu(1).buffer('x', 2), log.flush(0), log.flush(1)],
    (log) => [
      log.cpu(0).lock('l').buffer('x', 1).buffer('l', 0, { kind: RELEASE }),
      log.flush(0),
      log.flush(0),
      log.cpu(1).lock('l').read('x'),
    ],
  ],
  [
    'tso: a handler whose stores wait, and a task that looks elsewhere; reading them from the buffer orders',
    (log) => [
      log.irq(0).enter().buffer('data', 1).buffer('done', 1, once).exit(),
      log.cpu(0).read('other', forwarded).read('data', { flags: OpFlag.FORWARDED }),
    ],
    (log) => [
      log.irq(0).enter().buffer('data', 1).buffer('done', 1, once).exit(),
      log.cpu(0).read('done', forwarded).read('data', { flags: OpFlag.FORWARDED }),
    ],
  ],
  [
    'tso: a release still in the buffer; once it has reached memory it orders',
    (log) => [
      log.cpu(0).buffer('data', 1).buffer('flag', 1, { kind: RELEASE }),
      log.flush(0),
      log.cpu(1).read('flag', { kind: ACQUIRE }).read('data'),
    ],
    (log) => [
      log.cpu(0).buffer('data', 1).buffer('flag', 1, { kind: RELEASE }),
      log.flush(0),
      log.flush(0),
      log.cpu(1).read('flag', { kind: ACQUIRE }).read('data'),
    ],
  ],
];

describe('data races', () => {
  for (const [name, racing, twin, count = 1] of cases) {
    it(name, () => {
      expect(races(racing)).toBe(count);
      expect(races(twin)).toBe(0);
    });
  }

  it('aligned plain writes are harmless only if that is asked for, reads never', () => {
    const writes: Script = (log) => [log.cpu(0).write('x', 1), log.cpu(1).write('x', 2)];
    const torn: Script = (log) => [log.cpu(0).write('x', 1, { size: 12 }), log.cpu(1).write('x', 2)];
    const read: Script = (log) => [log.cpu(0).write('x', 1), log.cpu(1).read('x')];
    const counts = [writes, torn, read].map((script) => races(script, { assumePlainWritesAtomic: true }));
    expect(counts).toEqual([0, 1, 1]);
  });

  it('a faulting access and memory of one CPU do not count', () => {
    const local = { kind: AccessKind.LOCAL };
    expect(races((log) => [log.cpu(0).write('x', 1, local), log.cpu(1).write('x', 2, local)])).toBe(0);
    expect(races((log) => [log.cpu(0).write('x', 1), log.cpu(1).write('x', 2, { flags: 64 })])).toBe(0);
  });

  it('a loop that races is one race; two functions that race are two', () => {
    const log = new LogBuilder();
    for (let turn = 0; turn < 5; turn++) {
      log.cpu(0).in('writer').write('x', turn);
      log.cpu(1).in('reader').read('x');
    }
    log.cpu(1).in('other').read('x');
    const detector = new RaceDetector();
    // writer then reader, reader then the next writer, writer then the other reader
    expect(detector.scan(log.build())).toBe(3);
  });

  it('one detector reads run after run, and a run before says nothing about the next', () => {
    const detector = new RaceDetector();
    const wide = new LogBuilder();
    // More threads than there is room for at first.
    for (let cpu = 0; cpu < 40; cpu++) wide.cpu(cpu).lock('l').write('x', cpu).unlock('l');
    const racing = new LogBuilder();
    for (let cpu = 0; cpu < 40; cpu++) racing.cpu(cpu).write(`x${cpu >> 1}`, cpu);
    const logs = [wide.build(), racing.build()];
    for (let turn = 0; turn < 3; turn++) {
      expect(detector.scan(logs[0]!)).toBe(0);
      expect(detector.scan(logs[1]!)).toBe(20);
    }
  });

  /** What a run leaves behind in a detector, and a run that would go wrong if it were still there. */
  const leftovers: readonly (readonly [string, Script, Script, number])[] = [
    [
      'a SIPI to a CPU that never started',
      (log) => log.cpu(0).write('data', 1).ipi(1, 0x400),
      (log) => [log.cpu(2).read('other'), log.cpu(0).write('data', 1), log.cpu(1).start().read('data')],
      1,
    ],
    [
      'an interrupt flag',
      (log) => log.irq(0).enter(),
      (log) => [log.cpu(3).ipi(2), log.cpu(1).write('data', 1), log.irq(0).enter().read('data')],
      1,
    ],
    [
      'a flow with interrupts off',
      (log) => [log.cpu(1).read('other'), log.cpu(0).irqsOff().read('other')],
      (log) => [log.irq(0).enter().write('n', 1).exit(), log.cpu(0).irqsOff().read('n')],
      0,
    ],
    [
      'stores in a buffer',
      (log) => log.cpu(0).buffer('x', 1).buffer('y', 1),
      (log) => [
        log.cpu(1).buffer('x', 1),
        log.cpu(0).write('data', 1).buffer('flag', 1, { kind: RELEASE }),
        log.flush(0),
        log.cpu(2).read('flag', { kind: ACQUIRE }).read('data'),
      ],
      0,
    ],
  ];

  it.each(leftovers)('a run is not told apart by %s of the run before', (_name, before, after, count) => {
    const detector = new RaceDetector();
    const [first, second] = [new LogBuilder(), new LogBuilder()];
    before(first);
    after(second);
    detector.scan(first.build());
    expect(detector.scan(second.build())).toBe(count);
  });

  it('a wait that ended without having looked at memory is no look at all of it', () => {
    const log = new LogBuilder();
    log.cpu(0).write('x', 1).await(0, ONCE).write('x', 2);
    log.cpu(1).read('x');
    const built = log.build();
    for (let record = 0; record < built.records; record++)
      if (built.words[record * OP_WORDS + OpWord.ADDRESS] === 0)
        built.words[record * OP_WORDS + OpWord.SIZE] = 0;
    // As a look at a thousand million words it takes longer than a test may.
    expect(new RaceDetector().scan(built)).toBe(1);
  });

  it('a long run over many words finds the one race in it', () => {
    const log = new LogBuilder();
    for (let index = 0; index < 3000; index++) {
      log
        .cpu(0)
        .lock('l')
        .write(0x100000 + index * 4, 1)
        .unlock('l');
      log
        .cpu(1)
        .lock('l')
        .write(0x100000 + index * 4, 2)
        .unlock('l');
    }
    // CPU 1 was there before CPU 0 took the lock again, but for the last word.
    log
      .cpu(0)
      .write(0x100000 + 4444, 3)
      .write(0x100000 + 2999 * 4, 3);
    const detector = new RaceDetector();
    const built = log.build();
    expect(detector.scan(built)).toBe(1);
    const later = detector.pairs[1]! * OP_WORDS;
    expect(built.words[later + OpWord.ADDRESS]).toBe(0x100000 + 2999 * 4);
  });
});
