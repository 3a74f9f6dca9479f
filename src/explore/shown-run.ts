/** One run with everything views need: every step as an object, the calls around it, what the kernel printed. */
import { decodeSteps, type LogNames, type Step } from '#trace/steps';
import type { TraceEvent } from '#trace/events';
import type { RunFinding, RunResult, Segment } from './executor.ts';
import type { Laboratory } from './laboratory.ts';
import { policyNumber } from '#scheduler/policies';

export interface ShownRun {
  readonly steps: readonly Step[];
  readonly names: LogNames;
  /** Name of a function, if the address is one. */
  readonly symbols: (address: number) => string | undefined;
  readonly cpus: number;
  /** For call trees and timelines. */
  readonly events: readonly TraceEvent[];
  readonly printed: readonly {
    readonly record: number;
    readonly cpu: number;
    readonly level: number;
    readonly text: string;
  }[];
  readonly findings: readonly RunFinding[];
  readonly result: Pick<RunResult, 'stop' | 'steps' | 'switches'>;
}

/** Runs a schedule once more with everything recorded. */
export function showRun(lab: Laboratory, schedule: readonly Segment[]): ShownRun {
  const { result, events } = lab.trace({ prefix: schedule, policy: policyNumber('stay'), seed: 1 });
  // By name: a result has its figures from its class, and spreading would leave them behind.
  const { stop, steps: made, switches } = result;
  const { inner } = lab;
  const steps = decodeSteps(result.log);
  return {
    steps,
    names: inner.names,
    symbols: inner.names.known,
    cpus: inner.machine.layout.nrPossible,
    events,
    printed: inner.dmesg().map(({ seq, cpu, level, text }) => ({ record: seq, cpu, level, text })),
    findings: result.findings,
    result: { stop, steps: made, switches },
  };
}
