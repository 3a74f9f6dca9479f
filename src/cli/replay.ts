/** `smplab replay`: the same failure, every time, on any machine. */
import { compileScenario } from '#explore/compile';
import { diagram } from '#explore/failure-text';
import { type ReplayReport, readToken, replayToken } from '#explore/replay-token';
import type { ExecutorKind } from '#machine/runner';
import { plain } from '#report/paint';
import type { Context } from './boot.ts';
import { ExitCode, UsageError } from './exit-code.ts';
import { scenarioFile } from './explore.ts';
import { type RunView, viewOf } from './run-views.ts';
import { writeOut } from './trace.ts';

export interface ReplayOptions {
  readonly view: RunView;
  readonly out?: string;
  readonly tolerant?: boolean;
  readonly scenario?: string;
  readonly executor: ExecutorKind;
  readonly json?: boolean;
}

export async function replay(text: string, options: ReplayOptions, context: Context): Promise<ExitCode> {
  const { output } = context;
  if (options.view === 'raw' && options.out === undefined)
    throw new UsageError('--view raw: needs --out FILE, a trace file is no text');
  const { token } = readToken(text);
  const { executor } = options;
  const source = await compileScenario(scenarioFile(options.scenario ?? token.scenario), executor);
  const report = await replayToken(text, source, { tolerant: options.tolerant === true, executor });
  const run = { ...report, command: `smplab replay ${text}` };
  const view = viewOf(options.view, run, options.out === undefined ? output.paint : plain);
  if (options.out !== undefined) writeOut(options.out, view);
  if (options.json === true) output.raw(`${JSON.stringify(document(report))}\n`);
  else {
    if (typeof view === 'string' && options.out === undefined) output.raw(view);
    if (report.diverged !== undefined) output.line(report.diverged);
    for (const { kind, title } of report.findings) output.line(output.paint.bad(`${kind}: ${title}`));
    if (report.findings.length === 0) output.line('nothing went wrong in this run');
  }
  if (report.findings.length > 0) return ExitCode.MACHINE_FAILED;
  return report.diverged === undefined ? ExitCode.GOOD : ExitCode.UNUSABLE;
}

function document(report: ReplayReport): object {
  const { findings, shown } = report;
  return {
    schema: 'smplab.replay/1',
    scenario: report.scenario,
    memoryModel: report.memoryModel,
    ok: findings.length === 0,
    steps: shown.result.steps,
    switches: shown.result.switches,
    failures: findings.map(({ kind, title, cpu, stack, detail }) => ({
      kind,
      title,
      ...(cpu === undefined ? {} : { cpu }),
      stack: stack ?? [],
      detail: detail ?? '',
    })),
    diverged: report.diverged ?? null,
    diagram: diagram({ shown, explanation: report.explanation, finding: findings[0] }, plain),
  };
}
