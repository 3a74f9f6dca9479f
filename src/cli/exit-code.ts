/** What a command's exit code says (README, "exit codes"). */
import { SmplabError } from '#base/errors';

export const ExitCode = {
  /** did what was asked, nothing found wrong */
  GOOD: 0,
  /** the simulated machine failed */
  MACHINE_FAILED: 1,
  /** the command line or the configuration is unusable */
  UNUSABLE: 2,
  /** the host failed: nothing is claimed about the simulated machine */
  HOST_FAILED: 3,
  /** a limit was hit before there was an answer */
  INCONCLUSIVE: 4,
  /** SIGINT */
  INTERRUPTED: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

/** What a person gets wrong on a command line: one line, no stack. */
export class UsageError extends SmplabError {
  constructor(message: string) {
    super('SMPLAB_BAD_USAGE', message);
  }
}

/** What the host calls the reason why a file cannot be had: ENOENT, EACCES. */
export function hostErrorCode(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

/** Whose fault an error is. */
export function exitCodeOf(error: unknown): ExitCode {
  if (!(error instanceof SmplabError)) return ExitCode.HOST_FAILED;
  switch (error.code) {
    case 'SMPLAB_BAD_CONFIG':
    case 'SMPLAB_BAD_USAGE':
    case 'SMPLAB_UNKNOWN_SYMBOL':
    case 'SMPLAB_BAD_LITMUS':
    case 'SMPLAB_BAD_TOKEN':
    case 'SMPLAB_BAD_SCENARIO':
      return ExitCode.UNUSABLE;
    case 'SMPLAB_MACHINE_OFF':
    case 'SMPLAB_HOST_FAILED':
      return ExitCode.HOST_FAILED;
    default: {
      const unknown: never = error.code;
      return unknown;
    }
  }
}
