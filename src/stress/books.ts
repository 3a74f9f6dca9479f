/** The accounts of a stress run: what must be equal when the machine stands still, and what explains a difference. */
import {
  CPU_DEAD,
  CPU_DOWN_FAILED,
  CPU_DOWN_PREPARE,
  CPU_DYING,
  CPU_LOCK_ACQUIRE,
  CPU_LOCK_RELEASE,
  CPU_ONLINE,
  CPU_UP_CANCELED,
  CPU_UP_PREPARE,
} from '#smp/cpu';
import type { StressBook } from '#report/stress-report';
import type { Ledger, Tallies } from './counters.ts';

const ACTIONS: Readonly<Record<string, number>> = {
  CPU_ONLINE,
  CPU_UP_PREPARE,
  CPU_UP_CANCELED,
  CPU_DOWN_PREPARE,
  CPU_DOWN_FAILED,
  CPU_DEAD,
  CPU_LOCK_ACQUIRE,
  CPU_LOCK_RELEASE,
  CPU_DYING,
};

function book(name: string, sent: number, received: number, explained = 0): StressBook {
  const open = sent - received;
  const known = Math.sign(open) * Math.min(Math.abs(open), explained);
  return { name, sent, received, difference: open - known, explained: Math.abs(known) };
}

/** What else is known of a machine when its books are closed. */
export interface Circumstances {
  /** Tasks with a VM that an oops ended: they will not close it. */
  readonly killed: number;
  /** By CPU: its virtualisation is on, as its registers say. */
  readonly virtOn: readonly boolean[];
}

/** One machine's books. At rest, and since its callers have begun. */
export function booksOf(tallies: Tallies, ledger: Ledger, { killed, virtOn }: Circumstances): StressBook[] {
  const done = (kind: 'cpu_down' | 'cpu_up'): number => tallies.get(kind)!.outcomes.get(0) ?? 0;
  const { first, last } = ledger;
  const books = [
    // Whoever asked and was answered 0, against what the first of all notifiers heard.
    book('cpu_down answered 0, CPU_DEAD', done('cpu_down'), first[CPU_DEAD]!),
    book('cpu_up answered 0, CPU_ONLINE', done('cpu_up'), first[CPU_ONLINE]!),
    book(
      'CPU_DOWN_PREPARE, CPU_DEAD or CPU_DOWN_FAILED',
      first[CPU_DOWN_PREPARE]!,
      first[CPU_DEAD]! + first[CPU_DOWN_FAILED]!,
    ),
    book(
      'CPU_UP_PREPARE, CPU_ONLINE or CPU_UP_CANCELED',
      first[CPU_UP_PREPARE]!,
      first[CPU_ONLINE]! + first[CPU_UP_CANCELED]!,
    ),
    book('CPU_LOCK_ACQUIRE, CPU_LOCK_RELEASE', first[CPU_LOCK_ACQUIRE]!, first[CPU_LOCK_RELEASE]!),
    // A CPU that is told to die may refuse: then it is told CPU_DOWN_FAILED.
    book('CPU_DEAD, CPU_DYING before it', first[CPU_DEAD]!, Math.min(first[CPU_DEAD]!, first[CPU_DYING]!)),
    ...Object.entries(ACTIONS).map(([name, action]) =>
      book(`${name}: first notifier, last`, first[action]!, last[action]!),
    ),
    book('cross calls: expected, executed', ledger.expected, ledger.executed),
    book('cross calls: missed by a CPU that was online', ledger.missed, 0),
    book('cross calls: executed twice', ledger.repeated, 0),
    book('VMs: made, closed', ledger.vmsMade, ledger.vmsClosed, killed),
  ];
  for (const [cpu, { virtOn: on, virtOff: off }] of ledger.cpus.entries()) {
    books.push(
      book(`CPU ${cpu}: virtualisation on, off or still on`, on, off + (virtOn[cpu] === true ? 1 : 0)),
    );
  }
  return books;
}

/** The same accounts of several machines as one; those of single CPUs together. */
export function addBooks(a: readonly StressBook[], b: readonly StressBook[]): StressBook[] {
  const sums = new Map<string, StressBook>();
  for (const one of [...a, ...b]) {
    const name = one.name.replace(/^CPU \d+: /, '');
    const before = sums.get(name) ?? { name, sent: 0, received: 0, difference: 0, explained: 0 };
    sums.set(name, {
      name,
      sent: before.sent + one.sent,
      received: before.received + one.received,
      // Two CPUs that are wrong in opposite ways are two errors.
      difference: Math.abs(before.difference) + Math.abs(one.difference),
      explained: before.explained + one.explained,
    });
  }
  return [...sums.values()];
}
