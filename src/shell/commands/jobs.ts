/** wait, jobs, kill, trap, and what `&` calls. */
import { CommandFailure, type CommandBody } from '../command.ts';
import { LAST_JOB, Plumbing } from '../rewrite.ts';

const SIGNALS: ReadonlyMap<string, number> = new Map([
  ['HUP', 1],
  ['INT', 2],
  ['QUIT', 3],
  ['KILL', 9],
  ['USR1', 10],
  ['USR2', 12],
  ['TERM', 15],
]);

const start: CommandBody = async ({ args: [number], session, context }) => {
  const job = session.jobs.start(
    Number(number),
    `cd ${JSON.stringify(context.cwd)}\n${variablesOf(context.env)}`,
  );
  await context.assignShellVariable?.(LAST_JOB, String(job.pid));
  return {};
};

/** What defines a shell's variables again. Arrays stay behind: a context does not have them. */
function variablesOf(env: ReadonlyMap<string, string>): string {
  const lines: string[] = [];
  for (const [name, value] of env) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) || name.startsWith('BASH') || name === 'SHELLOPTS') continue;
    if (name === 'UID' || name === 'EUID' || name === 'PPID') continue;
    lines.push(`${name}='${value.replaceAll("'", `'\\''`)}'`);
  }
  return lines.join('\n');
}

const wait: CommandBody = async ({ args, session }) => {
  const wanted = args.length === 0 ? session.jobs.all : args.map((spec) => session.jobs.find(spec));
  let status = 0;
  for (const [index, job] of wanted.entries()) {
    if (job === undefined)
      return { err: `bash: wait: pid ${args[index]} is not a child of this shell\n`, status: 127 };
    status = await job.done.catch(() => 1);
  }
  return { status: args.length === 0 ? 0 : status };
};

const jobs: CommandBody = ({ session }) => ({
  out: session.jobs.all
    .filter(({ status }) => status === undefined)
    .map(({ number, text }) => `[${number}]   Running                 ${text} &\n`)
    .join(''),
});

/** Every signal ends a job; the shell itself and processes that are not there cannot be told anything. */
const kill: CommandBody = async ({ args, session }) => {
  const operands = args.filter((word) => !word.startsWith('-'));
  const isAsked = args.includes('-0');
  if (args.includes('-l')) return { out: `${[...SIGNALS.keys()].join(' ')}\n` };
  for (const spec of operands) {
    const job = session.jobs.find(spec);
    const isSelf = spec === String(session.caller.process.pid);
    if (isSelf && isAsked) continue;
    if (job === undefined || job.status !== undefined)
      return { err: `bash: kill: (${spec}) - No such process\n`, status: 1 };
    if (!isAsked) job.interrupt();
  }
  return {};
};

function signalName(word: string): string {
  const name = word.toUpperCase().replace(/^SIG/, '');
  if (name === '0') return 'EXIT';
  for (const [known, number] of SIGNALS) if (String(number) === name) return known;
  if (name !== 'EXIT' && name !== 'ERR' && name !== 'DEBUG' && name !== 'RETURN' && !SIGNALS.has(name))
    throw new CommandFailure(`${word}: invalid signal specification`);
  return name;
}

/** BASHPID PID and what `trap` was called with. */
const trap: CommandBody = ({ args: [subshell, shell, ...given], session }) => {
  if (subshell !== shell) return {};
  const words = given[0] === '--' ? given.slice(1) : given;
  const [action, ...signals] = words;
  if (action === undefined || action === '-p')
    return { out: [...session.traps].map(([name, text]) => `trap -- '${text}' ${name}\n`).join('') };
  const isReset = signals.length === 0 || action === '-';
  for (const signal of signals.length === 0 ? [action] : signals) {
    if (isReset) session.traps.delete(signalName(signal));
    else session.traps.set(signalName(signal), action);
  }
  return {};
};

export const jobCommands: Readonly<Record<string, CommandBody>> = {
  jobs,
  kill,
  [Plumbing.WAIT]: wait,
  [Plumbing.JOB]: start,
  [Plumbing.SET_TRAP]: trap,
};
