/** The time series of a run: what each interval saw. Its length is bounded: when there are many, neighbours become one. */
import type { StressInterval } from '#report/stress-report';
import { type Tallies, type Tally, addTallies, noTallies, summaryOf, tallyDifference } from './counters.ts';
import type { TortureKind } from '#kernel/torture/smptorture';

/** Intervals at most, when they are halved. */
const INTERVALS_MAX = 600;

/** A kind's counters as a run of hours keeps them: what is 0 is not there, and buckets and counts lie side by side. */
interface Kept {
  readonly kind: TortureKind;
  readonly ops: number;
  readonly longest: number;
  readonly outcomes: readonly (readonly [number | null, number])[];
  readonly latency: readonly number[];
}

function keep(tallies: Tallies): Kept[] {
  return [...tallies].flatMap(([kind, { ops, longest, outcomes, latency }]) =>
    ops === 0 ? [] : [{ kind, ops, longest, outcomes: [...outcomes], latency: [...latency].flat() }],
  );
}

function unfold(kept: readonly Kept[]): Tallies {
  const tallies = noTallies();
  for (const { kind, ops, longest, outcomes, latency } of kept) {
    const buckets = new Map<number, number>();
    for (let at = 0; at < latency.length; at += 2) buckets.set(latency[at]!, latency[at + 1]!);
    tallies.set(kind, { ops, longest, outcomes: new Map(outcomes), latency: buckets });
  }
  return tallies;
}

interface Interval {
  readonly end: number;
  readonly seconds: number;
  readonly kept: readonly Kept[];
  readonly online: number;
  readonly slowSeconds: number;
  readonly memory: number;
}

export interface Moment {
  /** Seconds from the start of the run. */
  readonly time: number;
  readonly online: number;
  /** Seconds from the start of the run in which the host kept the machine's threads from running. */
  readonly slowSeconds: number;
  readonly memory: number;
}

export class Series {
  #intervals: Interval[] = [];
  #before: Tallies = noTallies();
  #time = 0;
  #slow = 0;
  /** Seconds an interval takes. */
  seconds: number;

  constructor(seconds: number) {
    this.seconds = seconds;
  }

  /** Seconds since the last interval ended. */
  since(time: number): number {
    return time - this.#time;
  }

  /** Another machine counts from 0. */
  restart(): void {
    this.#before = noTallies();
  }

  /** An interval ends. @param now cumulative counters of the machine that runs */
  add(now: Tallies, { time, online, slowSeconds, memory }: Moment): void {
    this.#intervals.push({
      end: time,
      seconds: time - this.#time,
      kept: keep(tallyDifference(now, this.#before)),
      online,
      slowSeconds: slowSeconds - this.#slow,
      memory,
    });
    this.#before = now;
    this.#time = time;
    this.#slow = slowSeconds;
    if (this.#intervals.length >= INTERVALS_MAX) this.#halve();
  }

  #halve(): void {
    const halved: Interval[] = [];
    for (let at = 0; at < this.#intervals.length; at += 2) {
      const first = this.#intervals[at]!;
      const second = this.#intervals[at + 1];
      halved.push(
        second === undefined
          ? first
          : {
              end: second.end,
              seconds: first.seconds + second.seconds,
              kept: keep(addTallies(unfold(first.kept), unfold(second.kept))),
              online: second.online,
              slowSeconds: first.slowSeconds + second.slowSeconds,
              memory: second.memory,
            },
      );
    }
    this.#intervals = halved;
    this.seconds *= 2;
  }

  intervals(failuresOf: (kind: TortureKind, tally: Tally) => number): StressInterval[] {
    return this.#intervals.map(({ end, seconds, kept, online, slowSeconds, memory }) => {
      const { kinds, all } = summaryOf(unfold(kept), seconds, failuresOf);
      return {
        time: round(end),
        seconds: round(seconds),
        ...all,
        kinds,
        online,
        hostSlow: seconds === 0 ? 0 : round(Math.min(1, slowSeconds / seconds)),
        memory,
      };
    });
  }
}

export function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}
