/** The document `smplab.boot/1` (schemas/smplab.boot.1.schema.json). */
import type { MachineConfig } from '#machine/config';
import type { KvmCpuState } from '#machine/kvm-state';
import { type WalkReport, type WalkStage, outcomeText } from '#machine/walk-report';
import { placeLog } from '#report/dmesg';
import { type TraceModel, symbolAt } from '#report/model';
import { EventType } from '#trace/events';
import type { BootOptions } from './boot-options.ts';
import { ExitCode } from './exit-code.ts';
import { faultText } from '#machine/fault-text';

export interface BootInput {
  readonly machine: MachineConfig;
  readonly options: BootOptions;
  readonly report: WalkReport;
  readonly model: TraceModel;
  readonly code: ExitCode;
  /** The trace as text, if it goes into the document. */
  readonly trace: string;
}

/** Key order is the reader's: what it is, how it went, then the parts. Only `timings` differs between runs of one seed. */
export function bootDocument({
  machine,
  options,
  report,
  model,
  code,
  trace,
}: BootInput): Record<string, unknown> {
  const isDeterministic = machine.mode === 'deterministic';
  return {
    schema: 'smplab.boot/1',
    ok: code === ExitCode.GOOD,
    vendor: machine.vendor,
    cpus: machine.cpus,
    possible: machine.possible ?? machine.cpus,
    arch: machine.arch ?? 'x86_64',
    allocator: machine.allocator ?? 'slab',
    mode: machine.mode ?? 'parallel',
    seed: isDeterministic ? (machine.seed ?? 0) : null,
    strategy: isDeterministic ? (machine.strategy ?? 'random') : null,
    stopped: report.stopped ?? null,
    problems: report.problems,
    outcomes: outcomes(report),
    faults: report.faults.map(({ fault, hits }) => ({ fault: faultText(fault), hits })),
    state: {
      afterBoot: stateAfter(report, 'boot'),
      afterLoad: stateAfter(report, 'load'),
      afterOffline: stateAfter(report, 'offline'),
      afterOnline: stateAfter(report, 'online'),
      afterUnload: stateAfter(report, 'unload'),
    },
    dmesg: placeLog(model).map(({ seq, record, cpu, level, text }) => ({ seq, record, cpu, level, text })),
    leaks: report.leaks,
    oops: report.findings,
    calls: calls(model),
    trace: {
      format: options.trace ?? null,
      file: options.traceOut ?? null,
      events: model.events.length,
      text: trace === '' ? null : trace,
    },
    lost: model.lost,
    timings: Object.fromEntries(
      Object.entries(report.milliseconds).map(([name, value]) => [
        `${name}Ms`,
        Math.round(value * 1000) / 1000,
      ]),
    ),
  };
}

function outcomes(report: WalkReport): Record<string, unknown>[] {
  return report.stages.flatMap(({ stage, skipped, calls: made }): Record<string, unknown>[] =>
    skipped === undefined
      ? made.map(({ symbol, cpu, argument, outcome }) => ({
          stage,
          symbol,
          argument,
          cpu,
          kind: outcome.kind,
          value: outcome.kind === 'returned' ? outcome.value : null,
          text: outcomeText(outcome),
        }))
      : [{ stage, symbol: null, argument: null, cpu: null, kind: 'skipped', value: null, text: skipped }],
  );
}

/** Null for a stage that the walk did not get to, or after which nobody could look. */
function stateAfter(report: WalkReport, stage: WalkStage): readonly KvmCpuState[] | null {
  const state = report.stages.find((one) => one.stage === stage)?.state ?? [];
  return state.length === 0 ? null : state;
}

function calls(model: TraceModel): Record<string, unknown>[] {
  return model.events
    .filter(({ type }) => type === EventType.FUNCTION_ENTRY)
    .map(({ sequence, cpu, depth, a }) => ({ seq: sequence, cpu, depth, symbol: symbolAt(model, a) }));
}
