/** `smplab boot`: the walk, and what it came to. */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { faultText } from '#machine/fault-text';
import { isKernelFunction, walk, walkSymbols } from '#machine/walk';
import type { MachineConfig } from '#machine/config';
import type { WalkReport, WalkStage } from '#machine/walk-report';
import { callTree } from '#report/call-tree';
import { ftraceText } from '#report/ftrace';
import type { TraceModel } from '#report/model';
import { type Paint, plain } from '#report/paint';
import { perfettoTrace } from '#report/perfetto';
import { type TracePictureInput, tracePicture } from '#report/picture';
import { picturePage } from '#report/picture-page';
import { writeTraceFile } from '#report/trace-file';
import { bootDocument } from './boot-json.ts';
import { type BootOptions, machineOf } from './boot-options.ts';
import { bootHeader, bootText } from './boot-text.ts';
import { ExitCode, UsageError, hostErrorCode } from './exit-code.ts';
import { type Logger, type Output, Progress } from './output.ts';
import { checkFaults } from './parse.ts';

export interface Context {
  readonly output: Output;
  /** For what is said beside a result that has stdout for itself. */
  readonly aside: Output;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** A walk's trace, as views take it. */
export function traceModel(report: WalkReport, cpus: number): TraceModel {
  return {
    events: report.trace.events,
    symbols: walkSymbols,
    variables: report.variables,
    cpus,
    lost: report.trace.lost,
    log: report.log.map(({ seq, cpu, level, text }) => ({ record: seq, cpu, level, text })),
    findings: report.findings,
  };
}

/** What a page and a trace file say of the walk. */
function pictureInput(model: TraceModel, options: BootOptions, machine: MachineConfig): TracePictureInput {
  const { mode, seed, vendor } = options;
  const [finding] = model.findings ?? [];
  return {
    model,
    title: finding?.title ?? `Boot, load kvm, CPU offline and online, unload`,
    facts: [
      ['CPUs', String(machine.cpus)],
      ['vendor', vendor],
      [
        'mode',
        mode === 'parallel'
          ? mode
          : `deterministic, strategy ${machine.strategy ?? 'random'}, seed ${seed ?? 0}`,
      ],
      ['events', String(model.events.length)],
    ],
  };
}

/** The trace in the form that was asked for: text, but for a trace file. */
function traceOf(
  model: TraceModel,
  options: BootOptions,
  machine: MachineConfig,
  paint: Paint,
): string | Uint8Array {
  if (options.trace === 'raw') return writeTraceFile(pictureInput(model, options, machine));
  if (options.trace === 'html')
    return picturePage(tracePicture(pictureInput(model, options, machine)), callTree(model));
  const below = options.traceBelow === undefined ? {} : { below: options.traceBelow };
  if (options.trace === 'tree') return `${callTree(model, { ...below, paint }).join('\n')}\n`;
  if (options.trace === 'ftrace') return `${ftraceText(model, below).join('\n')}\n`;
  return options.trace === 'perfetto' ? `${JSON.stringify(perfettoTrace(model))}\n` : '';
}

/** Opens the file before anything runs: a walk whose trace cannot be kept is not worth its time. */
function openTraceFile(options: BootOptions): number | undefined {
  const { traceOut: file, trace, traceBelow } = options;
  if (traceBelow !== undefined && !isKernelFunction(traceBelow)) {
    throw new UsageError(
      `--trace-below ${traceBelow}: no kernel function is called that; try sys_init_module`,
    );
  }
  if (traceBelow !== undefined && trace !== 'tree' && trace !== 'ftrace') {
    throw new UsageError('--trace-below: needs --trace tree or --trace ftrace');
  }
  if (file === undefined && trace === 'raw')
    throw new UsageError('--trace raw: needs --trace-out FILE, a trace file is no text');
  if (file === undefined) return undefined;
  if (trace === undefined || trace === 'none') {
    throw new UsageError(
      '--trace-out: needs --trace tree, ftrace, perfetto, html or raw to know what to write',
    );
  }
  try {
    return openSync(file, 'w');
  } catch (error) {
    throw new UsageError(
      `--trace-out ${file}: cannot be written (${hostErrorCode(error)}), name a file in a directory that can`,
    );
  }
}

/** How a walk ends as an exit code; a failed machine is one also when a limit was hit besides. */
export function verdictOf(report: WalkReport, isTraceWanted: boolean): ExitCode {
  if (report.stopped === 'machine-check') return ExitCode.HOST_FAILED;
  if (report.problems.length > 0) return ExitCode.MACHINE_FAILED;
  if (report.stopped === 'interrupted') return ExitCode.INTERRUPTED;
  if (report.stopped === 'steps' || (isTraceWanted && report.trace.lost > 0)) return ExitCode.INCONCLUSIVE;
  return ExitCode.GOOD;
}

const STAGE_WORDS: Readonly<Record<WalkStage, string>> = {
  boot: 'boots',
  load: 'loads kvm',
  offline: 'takes a CPU offline',
  online: 'brings it back',
  unload: 'unloads kvm',
};

/** Traces that a program is to read. */
const TRACES_ALONE: ReadonlySet<BootOptions['trace']> = new Set<BootOptions['trace']>([
  'ftrace',
  'perfetto',
  'html',
]);

export async function boot(options: BootOptions, context: Context): Promise<ExitCode> {
  const { output, aside, logger, signal } = context;
  const machine = machineOf(options);
  const faults = options.fault ?? [];
  checkFaults(faults);
  const file = openTraceFile(options);
  // Only one thing can have stdout: the document, or a trace that a program is to read.
  const isTraceAlone = file === undefined && TRACES_ALONE.has(options.trace);
  const prose = isTraceAlone ? aside : output;
  if (options.json !== true) prose.lines(bootHeader(machine, faults.map(faultText), prose.paint));

  const progress = new Progress(Object.keys(STAGE_WORDS).length);
  const report = await walk({
    machine,
    faults,
    signal,
    onStart: (stage) => {
      progress.step(`the machine ${STAGE_WORDS[stage]}`);
    },
    onStage: (stage) => {
      progress.clear();
      logger.debug({ stage: stage.stage, calls: stage.calls, to: stage.to }, 'stage done');
    },
  }).finally(() => {
    progress.clear();
  });
  for (const { fault, hits } of report.faults) {
    if (hits === 0) logger.warn(`--fault ${faultText(fault)} was never reached`);
  }

  const isTraceWanted = options.trace === undefined ? options.json === true : options.trace !== 'none';
  const code = signal.aborted ? ExitCode.INTERRUPTED : verdictOf(report, isTraceWanted);
  const model = traceModel(report, machine.possible ?? machine.cpus);
  const paint = file === undefined && options.json !== true ? output.paint : plain;
  const trace = traceOf(model, options, machine, paint);
  if (file !== undefined) {
    writeFileSync(file, trace);
    closeSync(file);
  }
  if (options.json === true) {
    const document = bootDocument({
      machine,
      options,
      report,
      model,
      code,
      trace: file === undefined && typeof trace === 'string' ? trace : '',
    });
    output.raw(`${JSON.stringify(document)}\n`);
    return code;
  }
  if (file === undefined && typeof trace === 'string') output.raw(trace);
  prose.lines(bootText({ machine, report, model, code, paint: prose.paint, isTraceWanted }));
  return code;
}
