/** A run, in the form that was asked for. */
import { diagram } from '#explore/failure-text';
import { type PageRun, pictureInput, runPage } from '#explore/run-page';
import type { ShownRun } from '#explore/shown-run';
import { callTree } from '#report/call-tree';
import { ftraceText } from '#report/ftrace';
import type { TraceModel } from '#report/model';
import type { Paint } from '#report/paint';
import { perfettoTrace } from '#report/perfetto';
import { writeRunFile } from '#report/trace-file';

export const RUN_VIEWS = ['diagram', 'tree', 'ftrace', 'perfetto', 'html', 'raw'] as const;
export type RunView = (typeof RUN_VIEWS)[number];

function modelOf(shown: ShownRun): TraceModel {
  return {
    events: shown.events,
    symbols: shown.symbols,
    cpus: shown.cpus,
    lost: 0,
    log: shown.printed,
    findings: shown.findings.map(({ kind, title, cpu = 0, stack = [] }) => ({ kind, title, cpu, stack })),
  };
}

/** A run in one of the views: text, but for a trace file. */
export function viewOf(view: RunView, run: PageRun, paint: Paint): string | Uint8Array {
  if (view === 'raw') return writeRunFile(pictureInput(run));
  if (view === 'html') return runPage(run);
  const { shown, explanation, findings } = run;
  if (view === 'diagram')
    return `${diagram({ shown, explanation, finding: findings[0] }, paint).join('\n')}\n`;
  const model = modelOf(run.shown);
  if (view === 'tree') return `${callTree(model, { paint }).join('\n')}\n`;
  if (view === 'ftrace') return `${ftraceText(model).join('\n')}\n`;
  return `${JSON.stringify(perfettoTrace(model))}\n`;
}
