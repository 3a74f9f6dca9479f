/** What our own commands have in common: how they are called, and how what they meet becomes a status. */
import type { Command, ExecResult, ResolvedCommandContext } from 'just-bash';
import { GIVEN_UP, KILLED } from './caller.ts';
import { errnoText } from './errno-text.ts';
import { justBash } from './just-bash.ts';
import type { ShellSession } from './shell-session.ts';

/** 128 and SIGSEGV: what a process that an oops has killed leaves behind. */
export const STATUS_KILLED = 139;
/** 128 and SIGINT. */
export const STATUS_INTERRUPTED = 130;

export interface CommandCall {
  readonly name: string;
  readonly args: readonly string[];
  readonly session: ShellSession;
  readonly context: ResolvedCommandContext;
  readonly stdin: string;
}

/** What a command says: lines of stdout, lines of stderr, a status. */
export interface Answer {
  readonly out?: string;
  readonly err?: string;
  readonly status?: number;
}

export type CommandBody = (call: CommandCall) => Answer | Promise<Answer>;

/** A command's mistake in how it was called, or what it could not do: one line on stderr. */
export class CommandFailure extends Error {
  readonly status: number;

  constructor(message: string, status = 1) {
    super(message);
    this.name = 'CommandFailure';
    this.status = status;
  }
}

function result({ out = '', err = '', status = 0 }: Answer): ExecResult {
  return { stdout: out, stderr: err, exitCode: status };
}

/** A failure of a system call as a command ends with it. @param say the line for an errno */
export function failed(
  session: ShellSession,
  error: unknown,
  say: (text: string, errno: number) => string,
  status = 1,
): Answer {
  const errno = session.caller.errnoOrEnd(error);
  if (errno === KILLED) return { err: 'Segmentation fault\n', status: STATUS_KILLED };
  if (errno === GIVEN_UP) return { status: STATUS_INTERRUPTED };
  return { err: `${say(errnoText(errno), errno)}\n`, status };
}

/** Makes a command of just-bash: its process has the command's name while it runs, and the console shows what the kernel said. */
export function makeCommand(session: ShellSession, name: string, body: CommandBody): Command {
  const { decodeBytesToUtf8, defineCommand } = justBash();
  return defineCommand(name, async (args, context) => {
    const { process } = session.caller;
    const before = process.comm;
    if (!name.startsWith('__')) process.comm = name;
    try {
      const stdin = decodeBytesToUtf8(context.stdin);
      return result(await body({ name, args, session, context, stdin }));
    } catch (error) {
      if (error instanceof CommandFailure)
        return result({ err: `${name}: ${error.message}\n`, status: error.status });
      return result(failed(session, error, (text) => `${name}: ${text}`));
    } finally {
      process.comm = before;
      session.showKernelLog();
    }
  });
}

/** Options of one letter in front of the operands: `-r`, `-qr`, `-t TYPE`. @param withValue letters that take a value */
export function getopt(
  args: readonly string[],
  letters: string,
  withValue = '',
): { readonly flags: ReadonlyMap<string, string>; readonly operands: readonly string[] } {
  const flags = new Map<string, string>();
  const operands: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!;
    if (word === '--') {
      operands.push(...args.slice(at + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      operands.push(word);
      continue;
    }
    for (let index = 1; index < word.length; index++) {
      const letter = word[index]!;
      if (withValue.includes(letter)) {
        const rest = word.slice(index + 1);
        const value = rest === '' ? args[++at] : rest;
        if (value === undefined) throw new CommandFailure(`option requires an argument -- '${letter}'`);
        flags.set(letter, value);
        break;
      }
      if (!letters.includes(letter)) throw new CommandFailure(`invalid option -- '${letter}'`);
      flags.set(letter, '');
    }
  }
  return { flags, operands };
}
