/** What `smplab boot` says to people. */
import type { MachineConfig } from '#machine/config';
import { type StageReport, type WalkReport, callName, outcomeText } from '#machine/walk-report';
import { dmesgLines, placeLog } from '#report/dmesg';
import { findingLines } from '#report/finding';
import type { TraceModel } from '#report/model';
import type { Paint } from '#report/paint';
import { type Stage, stateLegend, stateMatrix, stateSummary } from '#report/state-table';
import { ExitCode } from './exit-code.ts';

/** Everything that was chosen or drawn, before the run. */
export function bootHeader(machine: MachineConfig, faults: readonly string[], paint: Paint): string[] {
  const possible = machine.possible ?? machine.cpus;
  const cpus = possible === machine.cpus ? `${machine.cpus}` : `${machine.cpus} of ${possible} possible`;
  const mode =
    machine.mode === 'deterministic'
      ? `deterministic, strategy ${machine.strategy ?? 'random'}, seed ${machine.seed ?? 0}`
      : 'parallel';
  return [
    paint.strong(
      `smplab boot: ${cpus} ${cpus === '1' ? 'CPU' : 'CPUs'}, ${machine.vendor}, ${machine.arch ?? 'x86_64'}, ${machine.allocator ?? 'slab'}, ${mode}`,
    ),
    ...faults.map((fault) => `  fault: ${fault}`),
  ];
}

export interface BootTextInput {
  readonly machine: MachineConfig;
  readonly report: WalkReport;
  readonly model: TraceModel;
  readonly code: ExitCode;
  readonly paint: Paint;
  readonly isTraceWanted: boolean;
}

/** CPUs whose state still fits a table. */
const MATRIX_CPUS_MAX = 8;
const LOG_LINES_MAX = 40;

const TITLES: Readonly<Record<StageReport['stage'], string>> = {
  boot: 'boot',
  load: 'after load',
  offline: 'after offline',
  online: 'after online',
  unload: 'after unload',
};

export function bootText(input: BootTextInput): string[] {
  const { report, paint } = input;
  return [
    ...report.stages.flatMap((stage) => stageLines(stage, report, paint)),
    '',
    ...stateLines(input),
    '',
    ...logLines(input),
    ...report.findings.flatMap((finding) => ['', ...findingLines(finding, paint)]),
    '',
    ...verdictLines(input),
  ];
}

function stageLines({ stage, calls, skipped }: StageReport, report: WalkReport, paint: Paint): string[] {
  const name = stage.padEnd(8);
  if (skipped !== undefined) return [`${name} skipped: ${skipped}`];
  if (calls.length === 0) return [`${name} nothing to do`];
  const took = report.milliseconds[stage];
  return calls.map((call, at) => {
    const { outcome, cpu } = call;
    const isGood = outcome.kind === 'returned' && outcome.value === 0;
    const text = `${callName(call)} on CPU ${cpu} = ${outcomeText(outcome)}`;
    const time = at === calls.length - 1 && took !== undefined ? `  ${took.toFixed(1)} ms` : '';
    return `${at === 0 ? name : ' '.repeat(name.length)} ${isGood ? text : paint.bad(text)}${paint.faint(time)}`;
  });
}

function stateLines({ machine, report, paint }: BootTextInput): string[] {
  const stages: Stage[] = report.stages
    .filter(({ stage }) => stage !== 'boot')
    .map(({ stage, state }) => ({ title: TITLES[stage], cpus: state }));
  if (stages.length === 0) return [];
  if ((machine.possible ?? machine.cpus) <= MATRIX_CPUS_MAX) {
    return [
      ...stateMatrix(stages, paint),
      ...stateLegend(machine.vendor === 'amd').map((line) => paint.faint(line)),
    ];
  }
  return stages.flatMap(({ title, cpus }) => [
    paint.strong(title),
    ...stateSummary(cpus).map((line) => `  ${line}`),
  ]);
}

function logLines({ model, paint }: BootTextInput): string[] {
  const lines = placeLog(model);
  const shown = lines.slice(-LOG_LINES_MAX);
  const hidden = lines.length - shown.length;
  return [
    ...(hidden === 0 ? [] : [paint.faint(`(${hidden} earlier log lines are in --json)`)]),
    ...dmesgLines(shown, paint),
  ];
}

function verdictLines({ report, code, paint, model }: BootTextInput): string[] {
  const problems = report.problems.map((problem) => paint.bad(`FAILED ${problem}`));
  if (code === ExitCode.GOOD) return [paint.good('ok: loaded and unloaded; nothing is left behind')];
  if (code === ExitCode.INTERRUPTED) return [...problems, 'interrupted: what was found so far is above'];
  if (code === ExitCode.HOST_FAILED) {
    return [paint.bad('the host failed: a CPU thread died; nothing is claimed about the simulated machine')];
  }
  if (code !== ExitCode.INCONCLUSIVE) return problems;
  return report.stopped === 'steps'
    ? ['inconclusive: the step limit was hit; give more with --max-steps']
    : [`inconclusive: ${model.lost} trace events did not fit; keep more with --trace-events`];
}
