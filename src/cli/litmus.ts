/** `smplab litmus`: herd's x86 tests, exhausted on the simulated machine. */
import { readFileSync } from 'node:fs';
import { runLitmus } from '#explore/litmus';
import { pinToOneCore } from '#explore/pin';
import type { ExecutorKind } from '#machine/runner';
import { MachineShelf } from '#machine/shelf';
import { litmusJson, litmusLog } from '#litmus/log';
import type { Context } from './boot.ts';
import { ExitCode, UsageError } from './exit-code.ts';

export interface LitmusOptions {
  readonly memoryModel: 'sc' | 'tso';
  readonly runs?: number;
  readonly executor: ExecutorKind;
  readonly json?: boolean;
}

function readTest(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(
      `${file}: cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
    );
  }
}

export async function litmus(
  files: readonly string[],
  options: LitmusOptions,
  context: Context,
): Promise<ExitCode> {
  const { output, signal } = context;
  // Unreadable files are said before anything runs.
  const tests = files.map((file) => ({ file, text: readTest(file) }));
  if (options.executor === 'threads') pinToOneCore();
  const shelf = new MachineShelf();
  const documents: object[] = [];
  let code: ExitCode = ExitCode.GOOD;
  for (const { file, text } of tests) {
    if (signal.aborted) return ExitCode.INTERRUPTED;
    const { program, verdict, complete, incomplete } = await runLitmus(text, file, {
      memoryModel: options.memoryModel,
      executor: options.executor,
      shelf,
      signal,
      ...(options.runs === undefined ? {} : { runs: options.runs }),
    });
    if (!complete && code === ExitCode.GOOD) code = ExitCode.INCONCLUSIVE;
    documents.push(litmusJson(verdict, options.memoryModel, complete));
    if (options.json !== true) output.raw(`${litmusLog(program, verdict, incomplete)}\n`);
  }
  if (options.json === true)
    output.raw(`${JSON.stringify({ schema: 'smplab.litmus/1', tests: documents })}\n`);
  return code;
}
