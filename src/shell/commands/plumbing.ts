/** What a rewritten script calls (rewrite.ts). Nobody types these. */
import { KILLED } from '../caller.ts';
import { type Answer, type CommandBody, STATUS_KILLED } from '../command.ts';
import { errnoText } from '../errno-text.ts';
import { Plumbing, rewriteText } from '../rewrite.ts';

/** How long a script may run before the host gets a moment. */
const TICK_MS = 20;

/** Commands that a shell does itself: their failures are the shell's to report. */
const BUILTINS = new Set([
  '',
  'echo',
  'printf',
  ':',
  'eval',
  'source',
  '.',
  'set',
  'declare',
  'export',
  'read',
]);

/** LINE (OPERATOR TARGET)...: opens the files, in order; what was opened before a failure is closed again. */
const open: CommandBody = async ({ args: [line, ...pairs], session, context }) => {
  const opened: string[] = [];
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const path = session.fs.resolvePath(context.cwd, pairs[at + 1]!);
    const errno = await session.fs.openRedirection(path);
    if (errno === 0) {
      opened.push(path);
      continue;
    }
    for (const one of opened) await session.fs.closeRedirection(one);
    const text = errno === KILLED ? 'Segmentation fault' : errnoText(errno);
    return {
      err: `${session.where(line!)}${pairs[at + 1]}: ${text}\n`,
      status: errno === KILLED ? STATUS_KILLED : 1,
    };
  }
  return {};
};

/** STATUS LINE NAME TARGET...: closes the files; a write that failed is the command's failure. */
const close: CommandBody = async ({ args: [status, line, name, ...targets], session, context }) => {
  let answer: Answer = { status: Number(status) };
  for (const target of targets) {
    const errno = await session.fs.closeRedirection(session.fs.resolvePath(context.cwd, target));
    if (errno === 0) continue;
    if (errno === KILLED) {
      answer = {
        err: `${session.where(line!)}${context.env.get('$') ?? ''} Segmentation fault\n`,
        status: STATUS_KILLED,
      };
      continue;
    }
    const who = BUILTINS.has(name!)
      ? `${session.where(line!)}${name === '' ? '' : `${name}: `}`
      : `${name}: `;
    answer = { err: `${who}write error: ${errnoText(errno)}\n`, status: 1 };
  }
  return answer;
};

const tick: CommandBody = async ({ session }) => {
  const now = performance.now();
  if (now - session.lastTick > TICK_MS) {
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    session.lastTick = performance.now();
  }
  // The condition's status, if anybody asks.
  return {};
};

const exit: CommandBody = ({ session }) => {
  session.isLeaving = true;
  return {};
};

const rewriteEval: CommandBody = ({ args, session }) => ({
  out: rewriteText(args.join(' '), session.jobs.texts),
});

/** FILE: a rewritten copy of it, for `source`; the name as it is where there is no such file. */
const stage: CommandBody = async ({ args: [file], session, context }) => {
  const path = session.fs.resolvePath(context.cwd, file!);
  try {
    const text = rewriteText(await session.fs.readFile(path), session.jobs.texts);
    const copy = `/run/.smplab/${session.nextStage++}`;
    await session.fs.base.mkdir('/run/.smplab', { recursive: true });
    await session.fs.base.writeFile(copy, text);
    return { out: copy };
  } catch {
    return { out: file! };
  }
};

const PROGRAM_DIRECTORIES = /^\/(?:usr\/(?:local\/)?)?s?bin\//;

/** PATH ARGUMENT...: a program by its path. One of the system's is a command of that name; a file of the user's is a script. */
const program: CommandBody = async ({ args: [file, ...rest], session, context, stdin }) => {
  const path = session.fs.resolvePath(context.cwd, file!);
  const env = context.exportedEnv ?? {};
  const run = async (words: string[]): Promise<Answer> => {
    const { stdout, stderr, exitCode } = await context.exec!(words[0]!, {
      cwd: context.cwd,
      env,
      stdin,
      args: words.slice(1),
      ...(context.signal === undefined ? {} : { signal: context.signal }),
    });
    return { out: stdout, err: stderr, status: exitCode };
  };
  const name = path.replace(PROGRAM_DIRECTORIES, '');
  if (!name.includes('/') && (context.getRegisteredCommands?.() ?? []).includes(name))
    return run([name, ...rest]);
  if (!(await session.fs.exists(path)))
    return { err: `bash: ${file}: No such file or directory\n`, status: 127 };
  const stat = await session.fs.stat(path);
  if (stat.isDirectory) return { err: `bash: ${file}: Is a directory\n`, status: 126 };
  if ((stat.mode & 0o111) === 0) return { err: `bash: ${file}: Permission denied\n`, status: 126 };
  session.enterScript();
  const ended = await run(['bash', path, ...rest]);
  const action = session.traps.get('EXIT');
  session.leaveScript();
  if (action === undefined) return ended;
  const last = await run(['bash', '-c', `(exit ${ended.status ?? 0})\n${action}`]);
  return {
    out: `${ended.out ?? ''}${last.out ?? ''}`,
    err: `${ended.err ?? ''}${last.err ?? ''}`,
    status: ended.status ?? 0,
  };
};

/** SIGNAL STATUS: what is trapped for it, to be run now and not again; it sees the status, which ends nothing any more. */
const trapped: CommandBody = ({ args: [signal, status], session }) => {
  const action = session.traps.get(signal!);
  session.traps.delete(signal!);
  return action === undefined
    ? {}
    : { out: `set +e; (exit ${status})\n${rewriteText(action, session.jobs.texts)}` };
};

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;

/** FILE: says yes if it is a character device. */
const device: CommandBody = async ({ args: [file], session, context }) => {
  const path = session.fs.resolvePath(context.cwd, file!);
  const own = ['/dev/null', '/dev/zero', '/dev/full', '/dev/tty', '/dev/stdin', '/dev/stdout', '/dev/stderr'];
  if (own.includes(path)) return { out: 'yes' };
  const isThere = await session.fs.exists(path);
  return { out: isThere && ((await session.fs.stat(path)).mode & S_IFMT) === S_IFCHR ? 'yes' : '' };
};

export const plumbing: Readonly<Record<string, CommandBody>> = {
  [Plumbing.OPEN]: open,
  [Plumbing.CLOSE]: close,
  [Plumbing.TICK]: tick,
  [Plumbing.EXIT]: exit,
  [Plumbing.REWRITE]: rewriteEval,
  [Plumbing.STAGE]: stage,
  [Plumbing.PROGRAM]: program,
  [Plumbing.TRAP]: trapped,
  [Plumbing.DEVICE]: device,
  [Plumbing.ENTER]: ({ session }) => {
    session.enterScript();
    return {};
  },
  [Plumbing.LEAVE]: ({ session }) => {
    session.leaveScript();
    return {};
  },
  [Plumbing.SAVE]: ({ args, session, context }) => {
    session.saveState(args, context);
    return {};
  },
};
