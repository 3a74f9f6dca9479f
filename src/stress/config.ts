/** What a stress run is asked to do. */
import type { Fault } from '#machine/config';
import type { CpuPool } from '#machine/pool';
import type { ScenarioSource } from '#scenario/program';
import type { Counted, Workload } from './workloads.ts';

export interface StressConfig {
  readonly cpus: number;
  readonly vendor: 'amd' | 'intel';
  readonly workload: Workload;
  readonly seed: number;
  /** Operations after which it ends. */
  readonly ops?: number;
  /** Which of them are counted for that. Default: all. */
  readonly of?: Counted;
  /** Host seconds after which it ends. */
  readonly seconds?: number;
  readonly callers?: number;
  readonly faults?: readonly Fault[];
  /** How the faults were given, for reports. */
  readonly faultTexts?: readonly string[];
  /** Livepatches: a compiled scenario whose patches are put on every CPU, and their names. */
  readonly patches?: { readonly names: readonly string[]; readonly source: ScenarioSource };
  readonly signal?: AbortSignal;
  /** Events that each CPU's ring keeps: a power of two. 0 = no trace. */
  readonly traceEvents?: number;
  /** Where traces of findings go. Default: the working directory. */
  readonly traceFolder?: string;
  readonly pool?: CpuPool;
  readonly onProgress?: (progress: StressProgress) => void;
}

export interface StressProgress {
  readonly seconds: number;
  readonly ops: number;
  readonly opsPerSecond: number;
  readonly failures: number;
  readonly online: number;
  readonly findings: number;
  /** Machines so far: what a documented defect has ruined is replaced. */
  readonly machines: number;
}
