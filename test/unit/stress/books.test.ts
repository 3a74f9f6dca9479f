import { describe, expect, it } from 'vitest';
import { addBooks, booksOf } from '#stress/books';
import {
  type Ledger,
  type Tallies,
  type Tally,
  noTallies,
  summaryOf,
  tallyDifference,
} from '#stress/counters';
import {
  CPU_DEAD,
  CPU_DOWN_PREPARE,
  CPU_DYING,
  CPU_LOCK_ACQUIRE,
  CPU_LOCK_RELEASE,
  CPU_ONLINE,
} from '#smp/cpu';
import { LATENCY_BUCKETS, latency_above, latency_bucket } from '#kernel/torture/smptorture';

const NO_CPU = {
  ops: 0,
  offlined: 0,
  onlined: 0,
  callsExecuted: 0,
  callInterrupts: 0,
  rescheduleInterrupts: 0,
  virtOn: 1,
  virtOff: 0,
};

function received(counts: Readonly<Record<number, number>>): number[] {
  return Array.from({ length: 0x20 }, (_, action) => counts[action] ?? 0);
}

/** Two CPUs went down, and every notifier heard of it. */
const HEARD = {
  [CPU_DOWN_PREPARE]: 2,
  [CPU_DYING]: 2,
  [CPU_DEAD]: 2,
  [CPU_LOCK_ACQUIRE]: 2,
  [CPU_LOCK_RELEASE]: 2,
};
const LEDGER: Ledger = {
  first: received(HEARD),
  last: received(HEARD),
  executed: 10,
  expected: 10,
  missed: 0,
  repeated: 0,
  vmsMade: 3,
  vmsClosed: 3,
  cpus: [NO_CPU],
};

function downs(count: number): Tallies {
  const tallies = noTallies();
  tallies.set('cpu_down', {
    ops: count,
    outcomes: new Map([[0, count]]),
    longest: 9,
    latency: new Map([[3, count]]),
  });
  return tallies;
}

/** Names of the accounts that do not balance. */
function open(ledger: Partial<Ledger>, tallies = downs(2), killed = 0, on = true): string[] {
  return booksOf(tallies, { ...LEDGER, ...ledger }, { killed, virtOn: [on] })
    .filter(({ difference }) => difference !== 0)
    .map(({ name }) => name);
}

describe('the books of a stress run', () => {
  it('balance when everything that was sent has arrived', () => {
    expect(open({})).toEqual([]);
  });

  it.each<[string, Partial<Ledger>, readonly string[]]>([
    [
      'a CPU that died unheard',
      { first: received({ ...HEARD, [CPU_DEAD]: 1 }) },
      [
        'cpu_down answered 0, CPU_DEAD',
        'CPU_DOWN_PREPARE, CPU_DEAD or CPU_DOWN_FAILED',
        'CPU_DEAD: first notifier, last',
      ],
    ],
    [
      'a notifier that was left out',
      { last: received({ ...HEARD, [CPU_DYING]: 1 }) },
      ['CPU_DYING: first notifier, last'],
    ],
    [
      'a CPU_ONLINE nobody asked for',
      { first: received({ ...HEARD, [CPU_ONLINE]: 1 }), last: received({ ...HEARD, [CPU_ONLINE]: 1 }) },
      ['cpu_up answered 0, CPU_ONLINE', 'CPU_UP_PREPARE, CPU_ONLINE or CPU_UP_CANCELED'],
    ],
    [
      'a lock that was not released',
      {
        first: received({ ...HEARD, [CPU_LOCK_RELEASE]: 1 }),
        last: received({ ...HEARD, [CPU_LOCK_RELEASE]: 1 }),
      },
      ['CPU_LOCK_ACQUIRE, CPU_LOCK_RELEASE'],
    ],
    [
      'a death without CPU_DYING',
      { first: received({ ...HEARD, [CPU_DYING]: 1 }), last: received({ ...HEARD, [CPU_DYING]: 1 }) },
      ['CPU_DEAD, CPU_DYING before it'],
    ],
    ['a cross call that nobody executed', { executed: 9 }, ['cross calls: expected, executed']],
    ['a cross call that a CPU missed', { missed: 1 }, ['cross calls: missed by a CPU that was online']],
    ['a cross call that ran twice', { repeated: 1 }, ['cross calls: executed twice']],
    ['a VM that was not closed', { vmsClosed: 2 }, ['VMs: made, closed']],
    [
      'virtualisation that was switched on twice',
      { cpus: [{ ...NO_CPU, virtOn: 2 }] },
      ['CPU 0: virtualisation on, off or still on'],
    ],
  ])('show %s', (_what, ledger, names) => {
    expect(open(ledger)).toEqual(names);
  });

  it('blame a task that an oops ended for the VM it had, and not for a second one', () => {
    expect(open({ vmsClosed: 2 }, downs(2), 1)).toEqual([]);
    expect(open({ vmsClosed: 1 }, downs(2), 1)).toEqual(['VMs: made, closed']);
  });

  it('of two machines are one, and errors in opposite directions do not cancel', () => {
    const book = { name: 'CPU 0: x', sent: 3, received: 2, difference: 1, explained: 0 };
    expect(addBooks([book], [{ ...book, name: 'CPU 1: x', sent: 2, received: 3, difference: -1 }])).toEqual([
      { name: 'x', sent: 5, received: 5, difference: 2, explained: 0 },
    ]);
  });
});

describe('latencies', () => {
  it('fall into the bucket whose upper bound is next above them, at most an eighth away', () => {
    for (let latency = 1 / 16; latency < 1e8; latency *= 1.07) {
      const bucket = latency_bucket(latency);
      const above = latency_above(bucket);
      expect(bucket).toBeLessThan(LATENCY_BUCKETS);
      expect(above).toBeGreaterThan(latency);
      expect(above - latency).toBeLessThanOrEqual(latency / 8 + 1 / 16);
    }
  });

  it('of an interval are those since the one before, also where a counter went round', () => {
    const tally = (ops: number, bucket: number): Tally => ({
      ops,
      outcomes: new Map([[0, ops]]),
      longest: 99,
      latency: new Map([[bucket, ops]]),
    });
    const before = noTallies().set('each', tally(2 ** 32 - 5, 40));
    const now = noTallies().set('each', tally(95, 40));
    const { kinds } = summaryOf(tallyDifference(now, before), 2, () => 0);
    const above = Math.round(latency_above(40) * 10) / 10;
    expect(kinds).toEqual({
      each: { ops: 100, opsPerSecond: 50, failures: 0, latency: { p50: above, p99: above, max: above } },
    });
  });
});
