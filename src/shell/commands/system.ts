/** What a person asks about the machine, and what ends it. */
import { LINUX_RELEASE, LINUX_VERSION } from '#kernel/fs/proc';
import { LINUX_REBOOT_CMD_HALT, LINUX_REBOOT_CMD_POWER_OFF, LINUX_REBOOT_CMD_RESTART } from '#kernel/reboot';
import { NoReturn } from '#machine/user-space';
import { CommandFailure, type CommandBody, type CommandCall, failed, getopt } from '../command.ts';
import { logLine } from '../kernel-log.ts';

const CPU_DIRECTORY = '/sys/devices/system/cpu';

/** The CPUs of `0-2,5`. */
export function cpusOf(list: string): number[] {
  const cpus: number[] = [];
  for (const range of list.trim().split(',')) {
    if (range === '') continue;
    const [from, to = from] = range.split('-').map(Number) as [number, number?];
    if (!Number.isInteger(from) || !Number.isInteger(to) || to < from)
      throw new CommandFailure(`failed to parse CPU list: ${list}`);
    for (let cpu = from; cpu <= to; cpu++) cpus.push(cpu);
  }
  return cpus;
}

async function cpuList({ session }: CommandCall, name: string): Promise<string> {
  return (await session.caller.process.readText(`${CPU_DIRECTORY}/${name}`)).trim();
}

const dmesg: CommandBody = ({ args, session }) => {
  const { flags } = getopt(args, 'cCrDET', 'nsl');
  const { log } = session.computer;
  const level = flags.get('n');
  if (level !== undefined) {
    if (!/^[1-8]$/.test(level)) throw new CommandFailure(`unknown level '${level}'`);
    log.level = Number(level);
    return {};
  }
  if (flags.has('D')) log.level = 1;
  if (flags.has('E')) log.level = 5;
  const lines = log
    .records()
    .map((record) => (flags.has('r') ? `<${record.level}>${logLine(record)}` : logLine(record)));
  if (flags.has('c') || flags.has('C')) log.clear();
  return { out: flags.has('C') ? '' : lines.map((line) => `${line}\n`).join('') };
};

/** A mask as taskset prints it. */
function maskText(cpus: readonly number[]): string {
  let mask = 0n;
  for (const cpu of cpus) mask |= 1n << BigInt(cpu);
  return mask.toString(16);
}

function cpusOfMask(text: string): number[] {
  if (!/^(?:0x)?[0-9a-f,]+$/i.test(text)) throw new CommandFailure(`failed to parse CPU mask: ${text}`);
  const mask = BigInt(`0x${text.replace(/^0x/i, '').replaceAll(',', '')}`);
  return Array.from({ length: 256 }, (_, cpu) => cpu).filter((cpu) => ((mask >> BigInt(cpu)) & 1n) === 1n);
}

const taskset: CommandBody = async (call) => {
  const { args, session, context, stdin } = call;
  const letters = args[0]?.startsWith('-') === true ? args[0].slice(1) : '';
  if (!/^[pac]*$/.test(letters)) throw new CommandFailure(`invalid option -- '${letters}'`);
  const rest = letters === '' ? args : args.slice(1);
  const isList = letters.includes('c');
  const { process } = session.caller;
  const all = cpusOf(await cpuList(call, 'possible'));
  const show = (): string => {
    const now = process.affinity ?? all;
    return isList ? listText(now) : maskText(now);
  };
  const what = isList ? 'affinity list' : 'affinity mask';
  const parse = (text: string): number[] => (isList ? cpusOf(text) : cpusOfMask(text));
  if (letters.includes('p')) {
    const [first, pid = first] = rest;
    if (pid === undefined) throw new CommandFailure('bad usage');
    if (pid !== String(process.pid) && pid !== '0')
      return { err: `taskset: failed to get pid ${pid}'s affinity: No such process\n`, status: 1 };
    let out = `pid ${pid}'s current ${what}: ${show()}\n`;
    if (rest.length > 1) {
      const wanted = parse(first!).filter((cpu) => all.includes(cpu));
      try {
        process.restrict(wanted);
      } catch (error) {
        return {
          out,
          ...failed(session, error, (text) => `taskset: failed to set pid ${pid}'s affinity: ${text}`),
        };
      }
      out += `pid ${pid}'s new ${what}: ${show()}\n`;
    }
    return { out };
  }
  const [mask, command, ...words] = rest;
  if (mask === undefined || command === undefined) throw new CommandFailure('bad usage');
  const before = process.affinity;
  process.restrict(parse(mask).filter((cpu) => all.includes(cpu)));
  try {
    const result = await context.exec!(command, { cwd: context.cwd, args: words, stdin });
    return { out: result.stdout, err: result.stderr, status: result.exitCode };
  } finally {
    process.restrict(before ?? all);
  }
};

function listText(cpus: readonly number[]): string {
  const ranges: [number, number][] = [];
  for (const cpu of cpus) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === cpu - 1) last[1] = cpu;
    else ranges.push([cpu, cpu]);
  }
  return ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(',');
}

const lscpu: CommandBody = async (call) => {
  const { session } = call;
  const cpuinfo = await session.caller.process.readText('/proc/cpuinfo');
  const field = (name: string): string => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(cpuinfo)?.[1] ?? '';
  const flags = field('flags').split(' ');
  const offline = await cpuList(call, 'offline');
  const rows: [string, string][] = [
    ['Architecture', session.computer.config.arch === 'i386' ? 'i686' : 'x86_64'],
    ['CPU op-mode(s)', flags.includes('lm') ? '32-bit, 64-bit' : '32-bit'],
    ['Byte Order', 'Little Endian'],
    ['CPU(s)', String(cpusOf(await cpuList(call, 'present')).length)],
    ['On-line CPU(s) list', await cpuList(call, 'online')],
    ...(offline === '' ? [] : ([['Off-line CPU(s) list', offline]] satisfies [string, string][])),
    ['Thread(s) per core', '1'],
    ['Core(s) per socket', '1'],
    ['Socket(s)', String(cpusOf(await cpuList(call, 'online')).length)],
    ['Vendor ID', field('vendor_id')],
    ['CPU family', field('cpu family')],
    ['Model', field('model\\t')],
    ['Model name', field('model name')],
    ['Stepping', field('stepping')],
    ...(flags.includes('svm') ? ([['Virtualization', 'AMD-V']] satisfies [string, string][]) : []),
    ...(flags.includes('vmx') ? ([['Virtualization', 'VT-x']] satisfies [string, string][]) : []),
    ['Flags', field('flags')],
  ];
  return { out: rows.map(([name, value]) => `${`${name}:`.padEnd(24)}${value}\n`).join('') };
};

const nproc: CommandBody = async (call) => {
  const which = call.args.includes('--all') ? 'present' : 'online';
  const cpus = cpusOf(await cpuList(call, which));
  const allowed = call.session.caller.process.affinity;
  const usable =
    which === 'online' && allowed !== undefined ? cpus.filter((cpu) => allowed.includes(cpu)) : cpus;
  return { out: `${usable.length}\n` };
};

const getconf: CommandBody = async (call) => {
  const [name] = call.args;
  if (name === '_NPROCESSORS_ONLN') return { out: `${cpusOf(await cpuList(call, 'online')).length}\n` };
  if (name === '_NPROCESSORS_CONF') return { out: `${cpusOf(await cpuList(call, 'present')).length}\n` };
  if (name === 'PAGESIZE' || name === 'PAGE_SIZE') return { out: '4096\n' };
  return { err: `getconf: Unrecognized variable '${name ?? ''}'\n`, status: 2 };
};

const uname: CommandBody = ({ args, session }) => {
  const { flags } = getopt(args, 'asnrvmpio');
  const machine = session.computer.config.arch === 'i386' ? 'i686' : 'x86_64';
  const fields: [string, string][] = [
    ['s', 'Linux'],
    ['n', 'smplab'],
    ['r', LINUX_RELEASE],
    ['v', LINUX_VERSION],
    ['m', machine],
    ['o', 'GNU/Linux'],
  ];
  const wanted = fields.filter(
    ([letter]) => flags.has('a') || flags.has(letter) || (flags.size === 0 && letter === 's'),
  );
  return { out: `${wanted.map(([, value]) => value).join(' ')}\n` };
};

const id: CommandBody = ({ args }) => {
  if (args.includes('-u') || args.includes('-g')) return { out: args.includes('-n') ? 'root\n' : '0\n' };
  if (args.includes('-un') || args.includes('-gn')) return { out: 'root\n' };
  return { out: 'uid=0(root) gid=0(root) groups=0(root)\n' };
};

const whoami: CommandBody = () => ({ out: 'root\n' });

const hostname: CommandBody = () => ({ out: 'smplab\n' });

/** util-linux's: by lists of CPUs, and telling in words what came of each. */
const chcpu: CommandBody = async (call) => {
  const { session } = call;
  const { flags } = getopt(call.args, '', 'ed');
  const [letter, list] = [...flags][0] ?? [];
  if (letter === undefined || list === undefined)
    throw new CommandFailure('bad usage: chcpu -e LIST or -d LIST');
  const [word, value] = letter === 'e' ? (['enable', '1'] as const) : (['disable', '0'] as const);
  let out = '';
  let status = 0;
  for (const cpu of cpusOf(list)) {
    const isOnline = cpusOf(await cpuList(call, 'online')).includes(cpu);
    if (isOnline === (letter === 'e')) {
      out += `CPU ${cpu} is already ${word}d\n`;
      continue;
    }
    const file = `${CPU_DIRECTORY}/cpu${cpu}/online`;
    const opened = await session.fs.openRedirection(file);
    if (opened === 0) await session.fs.writeFile(file, value);
    const errno = opened === 0 ? await session.fs.closeRedirection(file) : opened;
    if (errno === 0) out += `CPU ${cpu} ${word}d\n`;
    else {
      out += cpu === 0 || opened !== 0 ? `CPU ${cpu} is not configurable\n` : `CPU ${cpu} ${word} failed\n`;
      status = 1;
    }
  }
  return { out, status };
};

const COMMANDS = {
  reboot: { command: LINUX_REBOOT_CMD_RESTART, request: 'reboot' },
  halt: { command: LINUX_REBOOT_CMD_HALT, request: 'halt' },
  poweroff: { command: LINUX_REBOOT_CMD_POWER_OFF, request: 'poweroff' },
} as const;

/** The kernel does not come back from it: that is how it went well. */
function ending(name: keyof typeof COMMANDS): CommandBody {
  return async ({ session }) => {
    const { command, request } = COMMANDS[name];
    session.computer.request = request;
    try {
      await session.caller.process.call('sys_reboot', [0, 0, command | 0]);
    } catch (error) {
      if (!(error instanceof NoReturn)) session.computer.request = undefined;
      throw error;
    }
    return {};
  };
}

const shutdown: CommandBody = async (call) => {
  if (call.args.includes('-r')) return ending('reboot')(call);
  return call.args.includes('-H') ? ending('halt')(call) : ending('poweroff')(call);
};

const sync: CommandBody = () => ({});
const umask: CommandBody = () => ({ out: '0022\n' });

export const system: Readonly<Record<string, CommandBody>> = {
  chcpu,
  dmesg,
  getconf,
  halt: ending('halt'),
  hostname,
  id,
  lscpu,
  nproc,
  poweroff: ending('poweroff'),
  reboot: ending('reboot'),
  shutdown,
  sync,
  taskset,
  umask,
  uname,
  whoami,
};
