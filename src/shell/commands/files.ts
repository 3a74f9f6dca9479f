/** cat, tee and ls where just-bash's own would lose an errno or a device node. */
import { type Answer, type CommandBody, type CommandCall, STATUS_KILLED } from '../command.ts';
import { KILLED } from '../caller.ts';
import { errnoText } from '../errno-text.ts';
import { errnoOf } from '../kernel-fs.ts';

async function original({ context }: CommandCall, args: readonly string[]): Promise<Answer> {
  const { stdout, stderr, exitCode } = await context.origCommand!([...args]);
  return { out: stdout, err: stderr, status: exitCode };
}

/** Files one after the other; with options, just-bash's. */
const cat: CommandBody = async (call) => {
  const { args, session, context, stdin } = call;
  if (args.some((word) => word.startsWith('-') && word !== '-' && word !== '--')) return original(call, args);
  const files = args.filter((word) => word !== '--');
  if (files.length === 0) return { out: stdin };
  let out = '';
  let err = '';
  let status = 0;
  for (const file of files) {
    if (file === '-') {
      out += stdin;
      continue;
    }
    const path = session.fs.resolvePath(context.cwd, file);
    try {
      if ((await session.fs.stat(path)).isDirectory) throw Object.assign(new Error('EISDIR'), { errno: 21 });
      out += await session.fs.readFile(path);
    } catch (error) {
      const errno = failureOf(call, error);
      if (errno === KILLED) return { out, err: `${err}Segmentation fault\n`, status: STATUS_KILLED };
      err += `cat: ${file}: ${errnoText(errno)}\n`;
      status = 1;
    }
  }
  return { out, err, status };
};

/** The errno of whatever a file access has thrown. */
function failureOf({ session }: CommandCall, error: unknown): number {
  const errno = errnoOf(error);
  return errno === KILLED || (error instanceof Error && !('errno' in error))
    ? errno
    : session.caller.errnoOrEnd(error);
}

const tee: CommandBody = async ({ args, session, context, stdin }) => {
  const isAppending = args.includes('-a');
  let err = '';
  let status = 0;
  for (const file of args.filter((word) => !word.startsWith('-'))) {
    const path = session.fs.resolvePath(context.cwd, file);
    const opened = await session.fs.openRedirection(path);
    if (opened !== 0) {
      err += `tee: ${file}: ${errnoText(opened)}\n`;
      status = 1;
      continue;
    }
    if (isAppending) await session.fs.appendFile(path, stdin);
    else await session.fs.writeFile(path, stdin);
    const written = await session.fs.closeRedirection(path);
    if (written === 0) continue;
    err += `tee: ${file}: ${errnoText(written)}\n`;
    status = 1;
  }
  return { out: stdin, err, status };
};

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;

function permissions(mode: number): string {
  return Array.from({ length: 9 }, (_, bit) => ((mode >>> (8 - bit)) & 1 ? 'rwx'[bit % 3] : '-')).join('');
}

/** just-bash's, but for device nodes in a long listing: they have numbers where a file has a size. */
const ls: CommandBody = async (call) => {
  const { args, session, context } = call;
  const isLong = args.some((word) => /^-[a-zA-Z]*l/.test(word));
  if (!isLong) return original(call, args);
  const nodes: string[] = [];
  const others: string[] = [];
  for (const word of args) {
    const path = session.fs.resolvePath(context.cwd, word);
    const stat = word.startsWith('-') ? undefined : await session.fs.stat(path).catch(() => undefined);
    if (stat === undefined || (stat.mode & S_IFMT) !== S_IFCHR) {
      others.push(word);
      continue;
    }
    const device = Number(stat.dev ?? 0);
    const numbers = `${device >>> 8}, ${String(device & 0xff).padStart(3)}`;
    nodes.push(`c${permissions(stat.mode)} 1 root root ${numbers} Jan  1 00:00 ${word}\n`);
  }
  if (nodes.length === 0) return original(call, args);
  const rest = others.some((word) => !word.startsWith('-')) ? await original(call, others) : {};
  return { ...rest, out: nodes.join('') + (rest.out ?? '') };
};

export const files: Readonly<Record<string, CommandBody>> = { cat, ls, tee };
