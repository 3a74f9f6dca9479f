/** `smplab trace convert`: a trace from a file, in another form. */
import { readFileSync, writeFileSync } from 'node:fs';
import { SmplabError } from '#base/errors';
import { walkSymbols } from '#machine/walk';
import { callTree } from '#report/call-tree';
import { ftraceText } from '#report/ftrace';
import { interleaving } from '#report/interleaving';
import { perfettoTrace } from '#report/perfetto';
import { runPicture, tracePicture } from '#report/picture';
import { picturePage } from '#report/picture-page';
import { type TraceFile, readTraceFile } from '#report/trace-file';
import { plain } from '#report/paint';
import type { Context } from './boot.ts';
import { ExitCode, UsageError } from './exit-code.ts';

export const CONVERSIONS = ['perfetto', 'ftrace', 'tree', 'html'] as const;
export type Conversion = (typeof CONVERSIONS)[number];

export interface TraceOptions {
  readonly to: Conversion;
  readonly out?: string;
}

export function traceConvert(file: string, { to, out }: TraceOptions, { output }: Context): ExitCode {
  const text = converted(read(file), to);
  if (out === undefined) output.raw(text);
  else writeOut(out, text);
  return ExitCode.GOOD;
}

function read(file: string): TraceFile {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new UsageError(`${file}: cannot be read (${code}), name a file that smplab wrote with --trace raw`);
  }
  try {
    return readTraceFile(bytes, walkSymbols);
  } catch (error) {
    if (!(error instanceof SmplabError)) throw error;
    throw new UsageError(`${file}: ${error.message}; smplab writes one with --trace raw or --view raw`);
  }
}

function converted(file: TraceFile, to: Conversion): string {
  const model = file.kind === 'run' ? file.model : file.input.model;
  if (to === 'tree') return `${callTree(model).join('\n')}\n`;
  if (to === 'ftrace') return `${ftraceText(model).join('\n')}\n`;
  if (to === 'perfetto') return `${JSON.stringify(perfettoTrace(model))}\n`;
  if (file.kind === 'trace') return picturePage(tracePicture(file.input), callTree(model));
  const { run, decisive, findings } = file.input;
  const [finding] = findings;
  const lines = interleaving(run, {
    paint: plain,
    ...(decisive === undefined ? {} : { decisive }),
    ...(finding === undefined || finding.detail !== undefined ? {} : { finding }),
  });
  return picturePage(runPicture(file.input), lines);
}

/** @param option that names the file, for the message */
export function writeOut(file: string, content: string | Uint8Array, option = '--out'): void {
  try {
    writeFileSync(file, content);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new UsageError(`${option} ${file}: cannot be written (${code})`);
  }
}
