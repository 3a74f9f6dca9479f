/** What a campaign has seen so far: traces, and how many more there may be. */
import type { OperationLog } from '#trace/operations';
import { FingerprintSet } from './fingerprint-set.ts';
import { fingerprintOf } from './fingerprint.ts';

/** Traces a campaign counts before it stops telling new ones from old: nine bytes each, in tables that are half full. */
const TRACES_MAX = 4_000_000;

/** Coverage as plain data, to be sent between processes. */
export interface CoverageRecord {
  readonly executions: number;
  /** Fingerprints seen exactly once, and more than once. */
  readonly once: readonly number[];
  readonly often: readonly number[];
}

/** The distinct Mazurkiewicz traces of a campaign. */
export class TraceCoverage {
  private readonly seen = new FingerprintSet(TRACES_MAX);
  private once = 0;
  executions = 0;

  get traces(): number {
    return this.seen.size;
  }

  /** @returns whether the trace is new */
  add(log: OperationLog): boolean {
    this.executions++;
    return this.count(fingerprintOf(log), false);
  }

  private count(fingerprint: number, often: boolean): boolean {
    const known = this.seen.size;
    const before = this.seen.add(fingerprint, often);
    if (before === 1) this.once--;
    const isNew = this.seen.size > known;
    if (isNew && !often) this.once++;
    return isNew;
  }

  /**
   * The chance that one more run, drawn like these, shows a new trace: the share of runs whose trace was seen exactly
   * once (Good, "The population frequencies of species", Biometrika 1953, after Turing). 1 before the first run.
   */
  unseenShare(): number {
    return this.executions === 0 ? 1 : this.once / this.executions;
  }

  record(): CoverageRecord {
    return { executions: this.executions, once: this.seen.list(false), often: this.seen.list(true) };
  }

  /** Takes in what another part of the same campaign has seen. */
  merge({ executions, once, often }: CoverageRecord): void {
    this.executions += executions;
    for (const fingerprint of once) this.count(fingerprint, false);
    for (const fingerprint of often) this.count(fingerprint, true);
  }
}
