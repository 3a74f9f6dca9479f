/** The torture module's counters, read from memory while the machine runs: cumulative, and as differences. */
import { CpuWord } from '#memory/layout';
import { per_cpu } from '#memory/percpu';
import { torture_executed, torture_expected, torture_missed, torture_repeated } from '#kernel/torture/ipi';
import {
  LATENCY_BUCKETS,
  TORTURE_ERRORS,
  TORTURE_KINDS,
  type TortureKind,
  latency_above,
  torture_cpu_ops,
  torture_first,
  torture_hotplugged,
  torture_kinds,
  torture_last,
} from '#kernel/torture/smptorture';
import { torture_vms_closed, torture_vms_made } from '#kernel/torture/vm';
import type { Machine } from '#machine/machine';
import type { StressCpu, StressKind, StressLatency } from '#report/stress-report';

/** One kind's counters. */
export interface Tally {
  ops: number;
  /** By errno; null: another one. */
  readonly outcomes: Map<number | null, number>;
  longest: number;
  /** By bucket. */
  readonly latency: Map<number, number>;
}

export type Tallies = ReadonlyMap<TortureKind, Tally>;

export function noTallies(): Map<TortureKind, Tally> {
  return new Map(
    TORTURE_KINDS.map((kind) => [kind, { ops: 0, outcomes: new Map(), longest: 0, latency: new Map() }]),
  );
}

/** A counter that wraps at 2^32, since it was `before`. */
const since = (now: number, before: number): number => (now - before) >>> 0;

function combine<K>(
  a: ReadonlyMap<K, number>,
  b: ReadonlyMap<K, number>,
  how: (x: number, y: number) => number,
): Map<K, number> {
  const result = new Map<K, number>();
  for (const key of new Set([...a.keys(), ...b.keys()])) {
    const value = how(a.get(key) ?? 0, b.get(key) ?? 0);
    if (value !== 0) result.set(key, value);
  }
  return result;
}

/** What the module has counted since it was loaded. @param withLatency else only how many there were, and what they came to */
export function readTallies(machine: Machine, withLatency = true): Map<TortureKind, Tally> {
  return machine.look(() => {
    const tallies = new Map<TortureKind, Tally>();
    for (const [index, kind] of TORTURE_KINDS.entries()) {
      const counted = torture_kinds.at(index);
      const outcomes = new Map<number | null, number>();
      for (let place = 0; place <= TORTURE_ERRORS.length; place++) {
        const count = counted.outcomes.get(place);
        if (count !== 0) outcomes.set(TORTURE_ERRORS[place] ?? null, count);
      }
      const latency = new Map<number, number>();
      if (withLatency && counted.ops !== 0) {
        for (let bucket = 0; bucket < LATENCY_BUCKETS; bucket++) {
          const count = counted.latency.get(bucket);
          if (count !== 0) latency.set(bucket, count);
        }
      }
      tallies.set(kind, { ops: counted.ops, outcomes, longest: counted.longest_us, latency });
    }
    return tallies;
  });
}

/** Operations since the module was loaded; cheap. @param counts which kinds. Default: all */
export function countOps(machine: Machine, counts: (kind: TortureKind) => boolean = () => true): number {
  return machine.look(() => {
    let ops = 0;
    for (const [index, kind] of TORTURE_KINDS.entries()) if (counts(kind)) ops += torture_kinds.at(index).ops;
    return ops;
  });
}

export function tallyDifference(now: Tallies, before: Tallies): Map<TortureKind, Tally> {
  return new Map(
    [...now].map(([kind, tally]) => {
      const old = before.get(kind)!;
      const latency = combine(tally.latency, old.latency, since);
      return [
        kind,
        {
          ops: since(tally.ops, old.ops),
          outcomes: combine(tally.outcomes, old.outcomes, since),
          longest:
            latency.size === 0 ? 0 : Math.min(tally.longest, latency_above(Math.max(...latency.keys()))),
          latency,
        },
      ];
    }),
  );
}

export function addTallies(a: Tallies, b: Tallies): Map<TortureKind, Tally> {
  return new Map(
    [...a].map(([kind, tally]) => {
      const other = b.get(kind)!;
      const add = (x: number, y: number): number => x + y;
      return [
        kind,
        {
          ops: tally.ops + other.ops,
          outcomes: combine(tally.outcomes, other.outcomes, add),
          longest: Math.max(tally.longest, other.longest),
          latency: combine(tally.latency, other.latency, add),
        },
      ];
    }),
  );
}

/** The value that so many of all are below. */
function percentile(latency: ReadonlyMap<number, number>, part: number): number {
  let left = part * [...latency.values()].reduce((sum, count) => sum + count, 0);
  if (left === 0) return 0;
  const buckets = [...latency.keys()].toSorted((a, b) => a - b);
  for (const bucket of buckets) {
    left -= latency.get(bucket)!;
    if (left <= 0) return latency_above(bucket);
  }
  return latency_above(buckets.at(-1)!);
}

function latencyOf(latency: ReadonlyMap<number, number>, longest: number): StressLatency {
  const max = Math.round(longest * 10) / 10;
  const at = (part: number): number =>
    Math.min(Math.round(percentile(latency, part) * 10) / 10, max || Infinity);
  return { p50: at(0.5), p99: at(0.99), max };
}

/** Kinds that were made, and all of them together. @param failuresOf of one kind's tally */
export function summaryOf(
  tallies: Tallies,
  seconds: number,
  failuresOf: (kind: TortureKind, tally: Tally) => number,
): { readonly kinds: Record<string, StressKind>; readonly all: StressKind } {
  const rate = (ops: number): number => (seconds === 0 ? 0 : Math.round((ops / seconds) * 10) / 10);
  const kinds: Record<string, StressKind> = {};
  let latency = new Map<number, number>();
  let longest = 0;
  let ops = 0;
  let failures = 0;
  for (const [kind, tally] of tallies) {
    if (tally.ops === 0) continue;
    const failed = failuresOf(kind, tally);
    kinds[kind] = {
      ops: tally.ops,
      opsPerSecond: rate(tally.ops),
      failures: failed,
      latency: latencyOf(tally.latency, tally.longest),
    };
    latency = combine(latency, tally.latency, (x, y) => x + y);
    longest = Math.max(longest, tally.longest);
    ops += tally.ops;
    failures += failed;
  }
  return { kinds, all: { ops, opsPerSecond: rate(ops), failures, latency: latencyOf(latency, longest) } };
}

/** Everything else that is counted, of one machine, cumulative. At rest. */
export interface Ledger {
  readonly first: readonly number[];
  readonly last: readonly number[];
  readonly executed: number;
  readonly expected: number;
  readonly missed: number;
  readonly repeated: number;
  readonly vmsMade: number;
  readonly vmsClosed: number;
  readonly cpus: readonly CpuLedger[];
}

/** What is counted for a CPU of a stress report. */
export type CpuLedger = Omit<StressCpu, 'cpu' | 'online'>;

const RESCHEDULE = 0;
const CALL_FUNCTION = 1;
const ACTIONS = 0x20;

export function readLedger(machine: Machine): Ledger {
  const { possible } = machine.config;
  return machine.look(() => {
    const cpus = Array.from({ length: possible }, (_, cpu): CpuLedger => {
      const registers = machine.bus.registersOf(cpu);
      const word = (index: number): number => registers.get(index) >>> 0;
      return {
        ops: per_cpu(torture_cpu_ops, cpu).value,
        offlined: torture_hotplugged.at(cpu).dead,
        onlined: torture_hotplugged.at(cpu).online,
        callsExecuted: per_cpu(torture_executed, cpu).value,
        callInterrupts: word(CpuWord.INTERRUPTS + CALL_FUNCTION),
        rescheduleInterrupts: word(CpuWord.INTERRUPTS + RESCHEDULE),
        virtOn: word(CpuWord.VIRT_ON),
        virtOff: word(CpuWord.VIRT_OFF),
      };
    });
    const actions = (received: typeof torture_first): number[] =>
      Array.from({ length: ACTIONS }, (_, action) => received.by_action.get(action));
    return {
      first: actions(torture_first),
      last: actions(torture_last),
      executed: cpus.reduce((sum, { callsExecuted }) => (sum + callsExecuted) >>> 0, 0),
      expected: torture_expected.value,
      missed: torture_missed.value,
      repeated: torture_repeated.value,
      vmsMade: torture_vms_made.value,
      vmsClosed: torture_vms_closed.value,
      cpus,
    };
  });
}
