#!/usr/bin/env node
/** The command `smplab`. Parses, runs, and turns whatever happens into an exit code. */
// First: it decides every address.
import '#machine/link-order';
import { closeSharedPool } from '#machine/pool';
import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { PartFailed } from './child.ts';
import { ExitCode, UsageError, exitCodeOf } from './exit-code.ts';
import { outputTo } from './output.ts';
import { commandLine } from './program.ts';

/** After Ctrl-C or SIGTERM, what was found is printed; a machine that does not let go is left to the exit. */
const INTERRUPT_PATIENCE_MS = 3_000;

function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  const { version: text } = JSON.parse(readFileSync(file, 'utf8')) as { readonly version: string };
  return text;
}

/** `smplab: ...`, in one line whatever the message. */
function complain(message: string): void {
  const line = message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ');
  process.stderr.write(`smplab: ${line.trim()}\n`);
}

async function main(): Promise<number> {
  const abort = new AbortController();
  const interrupted = (): void => {
    // The second time, nobody wants to wait for us.
    if (abort.signal.aborted) process.exit(ExitCode.INTERRUPTED);
    abort.abort();
    setTimeout(() => process.exit(ExitCode.INTERRUPTED), INTERRUPT_PATIENCE_MS).unref();
  };
  process.on('SIGINT', interrupted);
  process.on('SIGTERM', interrupted);
  try {
    const { program, result } = commandLine(
      version(),
      outputTo(process.stdout),
      outputTo(process.stderr),
      abort.signal,
    );
    await program.parseAsync();
    return result.code;
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return ExitCode.GOOD;
      complain(`${error.message.replace(/\.\s*$/, '')}; see smplab --help`);
      return ExitCode.UNUSABLE;
    }
    if (error instanceof PartFailed) {
      complain(error.message);
      return error.code;
    }
    const code = abort.signal.aborted ? ExitCode.INTERRUPTED : exitCodeOf(error);
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof UsageError || code === ExitCode.UNUSABLE) complain(message);
    else if (code === ExitCode.HOST_FAILED) complain(`the host failed, nothing is claimed: ${message}`);
    return code;
  } finally {
    await closeSharedPool();
    process.off('SIGINT', interrupted);
    process.off('SIGTERM', interrupted);
  }
}

process.exitCode = await main();
