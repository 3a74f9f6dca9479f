/** What is wrong, each thing once, with how often it was seen; and the trace that goes with what is new. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Machine } from '#machine/machine';
import type { StressFinding } from '#report/stress-report';
import { round } from './series.ts';

export type FindingInput = Omit<StressFinding, 'time' | 'count' | 'trace'>;

/** Files of traces that a run writes at most. */
const TRACES_MAX = 4;

export class Findings {
  readonly #found = new Map<string, StressFinding>();
  readonly #begin: number;
  readonly #folder: string;
  readonly #seed: number;
  #traces = 0;

  /** @param folder where traces go @param begin performance.now() of the run's start */
  constructor(folder: string, seed: number, begin: number) {
    this.#folder = folder;
    this.#seed = seed;
    this.#begin = begin;
  }

  /** @param machine whose trace rings tell more, if it is something new */
  tell(finding: FindingInput, machine: Machine | undefined, count = 1): void {
    const key = `${finding.kind} ${finding.title.replaceAll(/\d+/g, 'N')} ${finding.known ?? ''}`;
    const before = this.#found.get(key);
    if (before !== undefined) {
      this.#found.set(key, { ...before, count: before.count + count });
      return;
    }
    const trace = finding.known === undefined && machine !== undefined ? this.#dump(machine) : undefined;
    this.#found.set(key, {
      ...finding,
      time: round((performance.now() - this.#begin) / 1_000),
      count,
      ...(trace === undefined ? {} : { trace }),
    });
  }

  /** All CPUs' rings, into a file. Undefined if there were enough, or it cannot be written. */
  #dump(machine: Machine): string | undefined {
    if (this.#traces >= TRACES_MAX || machine.layout.ringCapacity === 0) return undefined;
    const file = path.join(this.#folder, `smplab-stress-${this.#seed}-${this.#traces}.smp-trace`);
    try {
      writeFileSync(file, machine.traceBytes());
      this.#traces += 1;
      return file;
    } catch {
      return undefined;
    }
  }

  /** New first, then what is known; each in the order it was seen. */
  all(): StressFinding[] {
    const found = [...this.#found.values()];
    return [
      ...found.filter(({ known }) => known === undefined),
      ...found.filter(({ known }) => known !== undefined),
    ];
  }

  get isClean(): boolean {
    return [...this.#found.values()].every(({ known }) => known !== undefined);
  }
}
