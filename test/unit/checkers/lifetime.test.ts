import { describe, expect, it } from 'vitest';
import { EventType } from '#trace/events';
import { LifetimeChecker } from '#checkers/lifetime';
import { lifetimeFinding } from '#checkers/lifetime-report';
import { LogBuilder } from '../../support/log-builder.ts';

type Script = (log: LogBuilder) => unknown;

function titles(script: Script, leaksFrom?: number): string[] {
  const log = new LogBuilder();
  script(log);
  const built = log.build();
  const defects = new LifetimeChecker().scan(built, leaksFrom);
  return defects.map((defect) => lifetimeFinding(built, defect, { names: log.names }).title);
}

const inside = (log: LogBuilder, offset: number): number => log.at('object') + offset;

const cases: readonly (readonly [string, Script, Script])[] = [
  [
    'BUG: KASAN: slab-use-after-free in late',
    (log) =>
      log.cpu(0).allocate('object', 32, 'cache').free('object', 32, 'cache').in('late').read(inside(log, 28)),
    // Behind the object lie the allocator's own words.
    (log) =>
      log.cpu(0).allocate('object', 32, 'cache').free('object', 32, 'cache').in('late').read(inside(log, 32)),
  ],
  [
    'BUG: KASAN: slab-use-after-free in late',
    (log) => [log.cpu(0).free('object', 32, 'cache'), log.cpu(1).in('late').write('object', 1)],
    (log) => [log.cpu(1).in('late').write('object', 1), log.cpu(0).free('object', 32, 'cache')],
  ],
  [
    'BUG: KASAN: use-after-free in late',
    (log) => log.cpu(0).free('object', 64).in('late').rmw(inside(log, 16), 1),
    (log) => log.cpu(0).free('object', 64).allocate('object', 64).in('late').rmw(inside(log, 16), 1),
  ],
  [
    // Only the first half is somebody's again.
    'BUG: KASAN: use-after-free in late',
    (log) =>
      log.cpu(0).free('object', 64).allocate('object', 32).in('late').read(inside(log, 30), { size: 4 }),
    (log) =>
      log.cpu(0).free('object', 64).allocate('object', 32).in('late').read(inside(log, 28), { size: 4 }),
  ],
  [
    // The middle is somebody's again, both ends are not.
    'BUG: KASAN: use-after-free in late',
    (log) => log.cpu(0).free('object', 64).allocate(inside(log, 16), 16).in('late').read(inside(log, 12)),
    (log) => log.cpu(0).free('object', 64).allocate(inside(log, 16), 16).in('late').read(inside(log, 16)),
  ],
  [
    // tso: the store was made in time and reaches memory too late.
    'BUG: KASAN: slab-use-after-free in late',
    (log) => [
      log.cpu(1).in('late').buffer('object', 1),
      log.cpu(0).free('object', 32, 'cache'),
      log.flush(1),
    ],
    (log) => [
      log.cpu(1).in('late').buffer('object', 1),
      log.flush(1),
      log.cpu(0).free('object', 32, 'cache'),
    ],
  ],
  [
    'BUG: KASAN: double-free in again',
    (log) => log.cpu(0).free('object', 32, 'cache').in('again').free('object', 32, 'cache'),
    (log) =>
      log
        .cpu(0)
        .free('object', 32, 'cache')
        .allocate('object', 32, 'cache')
        .in('again')
        .free('object', 32, 'cache'),
  ],
  [
    'kmemleak: unreferenced object of 32 bytes allocated by make',
    (log) => log.cpu(0).in('make').allocate('object', 32, 'cache'),
    (log) => log.cpu(0).in('make').allocate('object', 32, 'cache').free('object', 32, 'cache'),
  ],
  [
    // Pages of a slab stay with the cache when their objects are gone.
    'kmemleak: unreferenced object of 4096 bytes allocated by grow',
    (log) => log.cpu(0).in('grow').allocate('object', 4096),
    (log) =>
      log
        .cpu(0)
        .in('grow')
        .allocate('object', 4096)
        .event(EventType.ALLOCATION, log.at('object'), 4096, 1, 2),
  ],
];

describe('lifetime of memory', () => {
  it.each(cases)('says "%s", and not of the twin', (title, wrong, twin) => {
    expect(titles(wrong, 0)).toContain(title);
    expect(titles(twin, 0)).not.toContain(title);
  });

  it('what was allocated before the mark is no leak, and nothing is one unless it is asked for', () => {
    const script: Script = (log) => log.cpu(0).allocate('object', 32);
    expect([titles(script, 0).length, titles(script, 1).length, titles(script).length]).toEqual([1, 0, 0]);
  });

  it('a checker forgets one run before the next', () => {
    const checker = new LifetimeChecker();
    const free = new LogBuilder();
    free.cpu(0).free('object', 32);
    const use = new LogBuilder();
    use.cpu(0).read('object');
    expect([free, use].map((log) => checker.scan(log.build()).length)).toEqual([0, 0]);
  });

  it('the report names who allocated, who freed, and where in the object the access lies', () => {
    const log = new LogBuilder();
    log
      .cpu(0)
      .in('make')
      .allocate('object', 32, 'cache')
      .in('drop')
      .write('x', 1)
      .free('object', 32, 'cache');
    log.cpu(1).in('late').write(inside(log, 8), 1);
    const built = log.build();
    const [defect] = new LifetimeChecker().scan(built);
    const { detail, cpu } = lifetimeFinding(built, defect!, { names: log.names });
    expect(cpu).toBe(1);
    expect(detail!.split('\n').slice(1, -1)).toEqual([
      'BUG: KASAN: slab-use-after-free in late',
      'Write of size 4 at addr 0x00002008',
      '',
      'Accessed by task on cpu 1 at step 1:',
      ' late',
      '',
      'Allocated by task on cpu 0 at step 0:',
      ' make',
      '',
      'Freed by task on cpu 0 at step 0:',
      ' drop',
      '',
      'The object at 0x00002000 of 32 bytes belongs to cache cache.',
      'The bad address is 8 bytes inside of the freed region [0x00002000, 0x00002020).',
    ]);
  });
});
