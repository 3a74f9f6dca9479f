/** `smplab shell`: where the script comes from, and what its end means to whoever called. */
import { fstatSync, readFileSync } from 'node:fs';
import { type ShellResult, runInteractive, runScript } from '#shell/shell';
import { type BootOptions, machineOf } from './boot-options.ts';
import type { Context } from './boot.ts';
import { ExitCode, UsageError, hostErrorCode } from './exit-code.ts';
import { checkFaults } from './parse.ts';
import { sharedFiles } from './shared-files.ts';

/** As commander hands them over. */
export type ShellOptions = Omit<BootOptions, 'trace' | 'traceOut' | 'traceBelow' | 'json'> & {
  readonly c?: string;
  readonly stdin?: boolean;
  readonly share?: readonly string[];
};

function readScript(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new UsageError(`shell ${file}: cannot be read (${hostErrorCode(error)}), expected a script`);
  }
}

/**
 * What a script can read. A pipe is only waited for where that was asked for: whoever calls may never close it.
 */
async function stdinFor(options: ShellOptions): Promise<string> {
  return options.stdin === true || fstatSync(0).isFile() ? readStdin() : '';
}

/** All of standard input. */
async function readStdin(): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of process.stdin) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString('utf8');
}

/** The status of a script, or what stands in its place where the machine did not live to see its end. */
export function shellCode({ status, findings, end, isInterrupted }: ShellResult): number {
  if (end?.kind === 'machine-check') return ExitCode.HOST_FAILED;
  if (end?.kind === 'steps') return ExitCode.INCONCLUSIVE;
  if (end !== undefined) return ExitCode.MACHINE_FAILED;
  if (isInterrupted) return ExitCode.INTERRUPTED;
  return status === 0 && findings > 0 ? ExitCode.MACHINE_FAILED : status;
}

export async function shell(
  file: string | undefined,
  args: readonly string[],
  options: ShellOptions,
  { output, aside, signal }: Context,
): Promise<number> {
  const machine = machineOf({ ...options, trace: 'none' });
  const faults = options.fault ?? [];
  checkFaults(faults);
  const shared = (options.share ?? []).flatMap(sharedFiles);
  const terminal = {
    out: (text: string): void => {
      output.raw(text);
    },
    err: (text: string): void => {
      aside.raw(text);
    },
  };
  if (options.c === undefined && file === undefined && process.stdin.isTTY) {
    const streams = { input: process.stdin, output: process.stdout };
    return shellCode(await runInteractive({ machine, faults, shared }, terminal, streams));
  }
  const run = async (
    text: string,
    name: string,
    positional: readonly string[],
    stdin: string,
  ): Promise<number> =>
    shellCode(
      await runScript({ machine, faults, shared, text, name, args: positional, stdin }, terminal, signal),
    );
  if (options.c !== undefined) return run(options.c, file ?? 'bash', args, await stdinFor(options));
  if (file !== undefined) return run(readScript(file), file, args, await stdinFor(options));
  return run(await readStdin(), 'bash', args, '');
}
