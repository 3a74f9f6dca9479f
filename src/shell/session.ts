/**
 * One shell, or one of its jobs: a process of the machine, its view of the files, and a just-bash that runs scripts in them.
 *
 * just-bash keeps nothing from one `exec` to the next. What an interactive shell has to keep (variables, functions, options, the
 * directory) is written down at the end of each line and read back in front of the next one.
 */
import { AbortError } from './abort-error.ts';
import type { Bash, ResolvedCommandContext, ScriptNode } from 'just-bash';
import { Interrupted, NoReturn, UserProcess } from '#machine/user-space';
import { Caller } from './caller.ts';
import type { Computer } from './computer.ts';
import { STATUS_INTERRUPTED, makeCommand } from './command.ts';
import { allCommands } from './commands/all.ts';
import { Jobs } from './jobs.ts';
import { justBash } from './just-bash.ts';
import { KernelFs } from './kernel-fs.ts';
import { LAST_JOB, Plumbing, functionsOf, rewrite } from './rewrite.ts';
import type { ShellSession } from './shell-session.ts';

/** A script that its author trusts: just-bash's limits are for others. */
const NO_LIMIT = 0x7fffffff;
const LIMITS = {
  maxCommandCount: NO_LIMIT,
  maxLoopIterations: NO_LIMIT,
  maxWorkUnits: NO_LIMIT,
  maxExecutionTimeMs: NO_LIMIT,
};

export interface RunOptions {
  /** `$0`; default bash. */
  readonly name?: string;
  readonly args?: readonly string[];
  readonly stdin?: string;
  /** Print each statement's output as it comes, not all at the end. */
  readonly live: boolean;
  /** Keep what the script leaves behind for the next one. */
  readonly keep?: boolean;
}

/** What one line leaves for the next. */
interface State {
  readonly cwd: string;
  readonly status: number;
  /** What defines the variables again, and sets the options. */
  readonly declarations: string;
  readonly functions: ReadonlyMap<string, string>;
  readonly args: readonly string[];
  readonly aliases: Readonly<Record<string, string>>;
}

const FRESH: State = {
  cwd: '/root',
  status: 0,
  declarations: '',
  functions: new Map(),
  args: [],
  aliases: {},
};

/** Variables that bash has by itself. */
const OWN_VARIABLES = new Set([
  '?', 'BASHOPTS', 'SHELLOPTS', 'PIPESTATUS', 'PWD', 'OLDPWD', 'UID', 'EUID', 'PPID', 'BASHPID', 'OPTIND', 'HOSTTYPE', 'MACHTYPE',
  'OSTYPE', 'BASH_VERSION', 'BASH_VERSINFO', '_', '0', 'FUNCNAME', 'BASH_SOURCE', 'LINENO', 'RANDOM', 'SECONDS',
]); // prettier-ignore

const ENVIRONMENT = {
  HOME: '/root',
  USER: 'root',
  LOGNAME: 'root',
  SHELL: '/bin/bash',
  TERM: 'linux',
  HOSTNAME: 'smplab',
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
};

export class Session implements ShellSession {
  readonly computer: Computer;
  readonly caller: Caller;
  readonly fs: KernelFs;
  readonly jobs: Jobs;
  /** When the host last had a moment. */
  lastTick = 0;
  /** `exit` has been called, though perhaps in a subshell. */
  isLeaving = false;
  /** Copies of scripts that were made for `source`. */
  nextStage = 0;
  /** What `trap` has set, by signal: in this shell, and in those that its scripts call; the innermost last. */
  readonly #traps: Map<string, string>[] = [new Map<string, string>()];
  readonly #bash: Bash;
  #state: State = FRESH;
  #saved: State | undefined;
  #options: RunOptions = { live: false };
  /** The next script that just-bash parses is the one that `run` was called with. */
  #isOutermost = false;
  #script: ScriptNode | undefined;
  #running: AbortController | undefined;
  #isInterrupted = false;

  constructor(computer: Computer, process?: UserProcess) {
    this.computer = computer;
    const pid = process?.pid ?? computer.newPid();
    this.caller = new Caller(
      process ?? new UserProcess(computer.machine, { pid, comm: 'bash' }),
      computer.mounts,
      (end) => {
        computer.hasEnded(end);
      },
    );
    this.fs = new KernelFs(computer.root, this.caller, computer.terminal);
    this.jobs = new Jobs((script) => {
      const child = this.#fork();
      return {
        pid: child.caller.process.pid,
        done: child.run(script, { live: true }),
        interrupt: () => {
          child.interrupt();
        },
      };
    });
    this.#bash = new (justBash().Bash)({
      fs: this.fs,
      cwd: FRESH.cwd,
      env: ENVIRONMENT,
      processInfo: { pid, ppid: 1, uid: 0, gid: 0 },
      executionLimits: LIMITS,
      // It patches the host's globals against scripts that nobody trusts: the machine under this one needs them.
      defenseInDepth: false,
      customCommands: Object.entries(allCommands).map(([name, body]) => makeCommand(this, name, body)),
      sleep: async (milliseconds) => this.sleep(milliseconds),
    });
    this.#bash.registerTransformPlugin({
      name: 'smplab',
      transform: ({ ast }) => {
        const isLive = this.#isOutermost && this.#options.live;
        this.#isOutermost = false;
        const isWhole = isLive && this.#options.keep !== true;
        return { ast: rewrite(ast, { jobs: this.jobs.texts, live: isLive, isWhole }) };
      },
    });
  }

  get traps(): Map<string, string> {
    return this.#traps.at(-1)!;
  }

  /** A script that is called is a shell of its own: it has no traps yet, and the caller's are not its. */
  enterScript(): void {
    this.#traps.push(new Map());
  }

  leaveScript(): void {
    if (this.#traps.length > 1) this.#traps.pop();
  }

  /** The line that was run last has ended the shell: `exit`, and not in a subshell. */
  get hasLeft(): boolean {
    return this.isLeaving && this.#saved === undefined && !this.#isInterrupted;
  }

  get cwd(): string {
    return this.#state.cwd;
  }

  /** Names that can be completed: commands and functions. */
  get commandNames(): string[] {
    return [...this.#state.functions.keys()];
  }

  /** In front of an error that the shell itself reports. */
  where(line: string): string {
    const name = this.#options.name ?? 'bash';
    return this.#options.keep === true || line === '0' ? `${name}: ` : `${name}: line ${line}: `;
  }

  /** Simulated time stands still while somebody can go on; a pause is the host's. A deterministic machine makes none. */
  async sleep(milliseconds: number): Promise<void> {
    if (this.computer.config.mode === 'deterministic') return;
    const signal = this.#running?.signal;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(done, milliseconds);
      function done(): void {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      }
      signal?.addEventListener('abort', done, { once: true });
    });
  }

  showKernelLog(): void {
    this.computer.showLog();
  }

  /** Ends what runs: a person does not want to wait for it, or there is no machine any more. */
  interrupt(): void {
    this.#isInterrupted = true;
    this.#running?.abort();
  }

  /** A shell of its own with the same affinity and variables: what `&` makes. */
  #fork(): Session {
    const child = new Session(this.computer, this.caller.process.fork(this.computer.newPid()));
    child.#state = this.#state;
    return child;
  }

  /** Called by what is run behind each line that is to be kept. */
  saveState(args: readonly string[], context: ResolvedCommandContext): void {
    const [status, variables, options, functions, ...positional] = args;
    this.#saved = {
      cwd: context.cwd,
      status: Number(status),
      declarations: `${declarationsOf(variables!)}\n${optionsOf(options!)}`,
      functions: this.#functionsNow(functions!),
      args: positional,
      aliases: Object.fromEntries([...context.env].filter(([name]) => name.startsWith('BASH_ALIAS_'))),
    };
  }

  /** @param names what `declare -F` says there is */
  #functionsNow(names: string): Map<string, string> {
    const there = new Set(names.split('\n').map((line) => line.replace(/^declare -f /, '').trim()));
    const defined = this.#script === undefined ? new Map<string, string>() : functionsOf(this.#script);
    return new Map([...this.#state.functions, ...defined].filter(([name]) => there.has(name)));
  }

  /** Runs a script to its end. @returns its status */
  async run(text: string, options: RunOptions): Promise<number> {
    this.#options = options;
    this.#isInterrupted = false;
    this.isLeaving = false;
    this.#saved = undefined;
    this.#script = options.keep === true ? parsed(text) : undefined;
    const controller = new AbortController();
    this.#running = controller;
    this.caller.process.signal = controller.signal;
    const forget = this.computer.onEnd(() => {
      controller.abort();
    });
    if (this.computer.end !== undefined) controller.abort();
    try {
      return await this.#exec(text, options, controller.signal);
    } finally {
      forget();
      // What was ended did not come to the ends of the scripts that it called.
      this.#traps.splice(1);
      this.#running = undefined;
      this.caller.process.signal = undefined;
      if (this.caller.process.isLost) this.caller.process = this.caller.process.fork(this.computer.newPid());
      this.showKernelLog();
    }
  }

  async #exec(text: string, options: RunOptions, signal: AbortSignal): Promise<number> {
    const { terminal } = this.computer;
    this.#isOutermost = true;
    try {
      const { stdout, stderr, exitCode } = await this.#bash.exec(this.#framed(text, options), {
        cwd: this.#state.cwd,
        rawScript: true,
        signal,
        env: {
          ...this.#state.aliases,
          [LAST_JOB]: '',
          ...(options.name === undefined ? {} : { 0: options.name }),
        },
        ...(options.stdin === undefined ? {} : { stdin: options.stdin }),
      });
      if (stdout !== '') terminal.out(stdout);
      const isAborted = signal.aborted && exitCode === AbortError.STATUS;
      const said = isAborted ? stderr.replace(AbortError.MESSAGE, '') : stderr;
      if (said !== '') terminal.err(said);
      this.#tellFailures();
      if (isAborted) return this.#aborted();
      if (this.#saved !== undefined) {
        this.#state = this.#saved;
        return this.#saved.status;
      }
      return exitCode;
    } catch (error) {
      if (error instanceof NoReturn || error instanceof Interrupted) return this.#aborted();
      throw error;
    }
  }

  /** A line that was ended leaves its status and nothing else. */
  #aborted(): number {
    const status = this.#isInterrupted ? STATUS_INTERRUPTED : 1;
    this.#state = { ...this.#state, status };
    return status;
  }

  /** The script with what it needs before it and leaves behind it. Lines keep their numbers. */
  #framed(text: string, { args, keep }: RunOptions): string {
    const { declarations, functions, status } = this.#state;
    const positional = args ?? this.#state.args;
    const set = positional.length > 0 ? `set -- ${positional.map(quote).join(' ')}; ` : '';
    if (keep !== true) return `${set}${text}`;
    const restore = [declarations, ...functions.values()].join('\n');
    const save =
      `${Plumbing.SAVE} "$?" "$(declare -p 2>/dev/null)" "$(shopt -p; set +o)" ` +
      `"$(declare -F 2>/dev/null)" "$@"`;
    return `${restore}\n${set}(exit ${status})\n${text}\n${save}`;
  }

  /** Writes that failed where no redirection would have told: in what was run without being rewritten. */
  #tellFailures(): void {
    for (const { path, errno } of this.fs.takeFailures())
      this.computer.terminal.err(`bash: ${path}: write error: errno ${errno}\n`);
  }
}

function parsed(text: string): ScriptNode | undefined {
  try {
    return justBash().parse(text);
  } catch {
    return undefined;
  }
}

function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Options that just-bash lets a script set; others are only there to be looked at. */
const SET_OPTIONS = /^set [-+]o (?:allexport|errexit|noclobber|noglob|nounset|pipefail|xtrace)$/;

function optionsOf(text: string): string {
  return text
    .split('\n')
    .filter((line) => line.startsWith('shopt') || SET_OPTIONS.test(line))
    .join('\n');
}

/** just-bash takes the elements of an array apart again where they are given to `declare`. */
function arrayAssignment(line: string): string {
  const array = /^declare -([a-zA-Z]*)([aA])([a-zA-Z]*) (\w+)=\(/.exec(line);
  if (array === null) return line;
  const [, , kind, , name] = array;
  const value = line.slice(line.indexOf('('));
  return kind === 'A' ? `declare -A ${name}; ${name}=${value}` : `${name}=${value}`;
}

/** `declare -p` without what bash sets by itself, and without what cannot be set again. */
function declarationsOf(text: string): string {
  const kept: string[] = [];
  let isKept = false;
  for (const line of text.split('\n')) {
    const start = /^declare -([a-zA-Z-]+) ([^=\s]+)/.exec(line);
    if (start !== null) {
      const [, flags, name] = start;
      isKept = !OWN_VARIABLES.has(name!) && !name!.startsWith('__smplab') && !flags!.includes('r');
    }
    // A value of several lines goes on.
    if (isKept) kept.push(arrayAssignment(line));
  }
  return kept.join('\n');
}
