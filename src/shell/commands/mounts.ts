/** mount and umount, as util-linux of the time has them, for the kernel's own file systems. */
import { MS_RDONLY, MS_REMOUNT } from '#kernel/fs/mount';
import {
  CommandFailure,
  type Answer,
  type CommandBody,
  type CommandCall,
  failed,
  getopt,
} from '../command.ts';

const ENODEV = 19;
const EBUSY = 16;
const EINVAL = 22;
const ENOENT = 2;

interface Mounted {
  readonly device: string;
  readonly directory: string;
  readonly type: string;
  readonly access: string;
}

/** The kernel's table; without /proc nobody can read it. */
async function mounted({ session }: CommandCall): Promise<Mounted[]> {
  let text = '';
  try {
    text = await session.caller.process.readText('/proc/mounts');
  } catch (error) {
    session.caller.errnoOrEnd(error);
  }
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [device, directory, type, access] = line.split(' ') as [string, string, string, string];
      return { device, directory, type, access };
    });
}

interface Wanted {
  readonly device: string;
  readonly directory: string;
  readonly type: string;
  readonly options: readonly string[];
}

async function fstab({ session }: CommandCall): Promise<Wanted[]> {
  const path = '/etc/fstab';
  if (!(await session.fs.exists(path))) return [];
  const lines = (await session.fs.readFile(path)).split('\n').map((line) => line.trim());
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [device = '', directory = '', type = '', options = 'defaults'] = line.split(/\s+/);
      return { device, directory, type, options: options.split(',') };
    });
}

async function mountOne(call: CommandCall, { device, directory, type, options }: Wanted): Promise<Answer> {
  const { session, context } = call;
  const path = session.fs.resolvePath(context.cwd, directory);
  const isInRoot = session.caller.mounts.covering(path) === undefined;
  if (isInRoot && !(await session.fs.base.exists(path)))
    return { err: `mount: mount point ${directory} does not exist\n`, status: 32 };
  const isRemount = options.includes('remount');
  const flags = (options.includes('ro') ? MS_RDONLY : 0) | (isRemount ? MS_REMOUNT : 0);
  try {
    await session.caller.process.mount(device, path, type, flags);
    if (!isRemount) session.caller.mounts.add(path);
    return {};
  } catch (error) {
    return failed(
      session,
      error,
      (text, errno) => {
        if (errno === ENODEV) return `mount: unknown filesystem type '${type}'`;
        if (errno === EBUSY) return `mount: ${device} already mounted or ${directory} busy`;
        if (errno === ENOENT) return `mount: mount point ${directory} does not exist`;
        if (errno === EINVAL && isRemount) return `mount: ${directory} not mounted already, or bad option`;
        return `mount: ${text}`;
      },
      32,
    );
  }
}

async function mountAll(call: CommandCall): Promise<Answer> {
  const there = await mounted(call);
  let last: Answer = {};
  for (const wanted of await fstab(call)) {
    const isThere = there.some(
      ({ directory, type }) => directory === wanted.directory && type === wanted.type,
    );
    if (isThere || wanted.options.includes('noauto')) continue;
    const answer = await mountOne(call, wanted);
    if ((answer.status ?? 0) !== 0) last = answer;
  }
  return last;
}

const mount: CommandBody = async (call) => {
  const { flags, operands } = getopt(call.args, 'avrwnl', 'to');
  const type = flags.get('t');
  const options = [...(flags.get('o')?.split(',') ?? []), ...(flags.has('r') ? ['ro'] : [])];
  if (flags.has('a')) return mountAll(call);
  if (operands.length === 0) {
    const lines = (await mounted(call))
      .filter((one) => one.type !== 'rootfs' && (type === undefined || type.split(',').includes(one.type)))
      .map((one) => `${one.device} on ${one.directory} type ${one.type} (${one.access})`);
    return { out: lines.map((line) => `${line}\n`).join('') };
  }
  if (operands.length > 2) throw new CommandFailure('bad usage', 1);
  if (operands.length === 1) {
    const [directory] = operands;
    if (options.includes('remount'))
      return mountOne(call, { device: 'none', directory: directory!, type: 'none', options });
    const wanted = (await fstab(call)).find((one) => one.directory === directory || one.device === directory);
    if (wanted === undefined)
      return { err: `mount: can't find ${directory} in /etc/fstab or /etc/mtab\n`, status: 1 };
    return mountOne(call, { ...wanted, options: [...wanted.options, ...options] });
  }
  if (type === undefined) return { err: 'mount: you must specify the filesystem type\n', status: 1 };
  return mountOne(call, { device: operands[0]!, directory: operands[1]!, type, options });
};

const umount: CommandBody = async (call) => {
  const { session, context } = call;
  const { operands } = getopt(call.args, 'fnrlv');
  if (operands.length === 0) return { err: 'Usage: umount directory...\n', status: 1 };
  for (const directory of operands) {
    const path = session.fs.resolvePath(context.cwd, directory);
    try {
      await session.caller.process.call('sys_umount', [0, 0, 0], path);
      session.caller.mounts.remove(path);
    } catch (error) {
      return failed(session, error, (text, errno) => {
        if (errno === EINVAL) return `umount: ${directory}: not mounted`;
        return errno === EBUSY ? `umount: ${directory}: device is busy` : `umount: ${directory}: ${text}`;
      });
    }
  }
  return {};
};

export const mounts: Readonly<Record<string, CommandBody>> = { mount, umount };
