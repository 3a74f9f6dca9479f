/** What a campaign has seen so far: traces, and how many more there may be. */
import type { OperationLog } from '#trace/operations';
import { RunSteps } from './run-steps.ts';
import { StateHash } from './state-hash.ts';

/** Traces a campaign counts before it stops telling new ones from old: 16 bytes each, and the map has a limit. */
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
  private readonly steps = new RunSteps();
  private readonly hash = new StateHash('trace');
  /** By fingerprint: seen more than once. */
  private readonly seen = new Map<number, boolean>();
  private once = 0;
  executions = 0;

  get traces(): number {
    return this.seen.size;
  }

  /** @returns whether the trace is new */
  add(log: OperationLog): boolean {
    this.steps.read(log);
    this.hash.reset();
    for (let step = 0; step < this.steps.count; step++) this.hash.step(this.steps, step);
    this.executions++;
    return this.count(this.hash.key(), false);
  }

  private count(fingerprint: number, often: boolean): boolean {
    const before = this.seen.get(fingerprint);
    if (before === undefined && this.seen.size >= TRACES_MAX) return false;
    if (before === undefined) this.seen.set(fingerprint, often);
    else if (!before) this.seen.set(fingerprint, true);
    if (before === undefined && !often) this.once++;
    if (before === false) this.once--;
    return before === undefined;
  }

  /**
   * The chance that one more run, drawn like these, shows a new trace: the share of runs whose trace was seen exactly
   * once (Good, "The population frequencies of species", Biometrika 1953, after Turing). 1 before the first run.
   */
  unseenShare(): number {
    return this.executions === 0 ? 1 : this.once / this.executions;
  }

  record(): CoverageRecord {
    const of = (often: boolean): number[] =>
      [...this.seen].filter(([, more]) => more === often).map(([fingerprint]) => fingerprint);
    return { executions: this.executions, once: of(false), often: of(true) };
  }

  /** Takes in what another part of the same campaign has seen. */
  merge({ executions, once, often }: CoverageRecord): void {
    this.executions += executions;
    for (const fingerprint of once) this.count(fingerprint, false);
    for (const fingerprint of often) this.count(fingerprint, true);
  }
}
