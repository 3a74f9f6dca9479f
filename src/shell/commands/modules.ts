/** insmod, modprobe, rmmod, lsmod. Messages are those of module-init-tools 3.3. */
import {
  CommandFailure,
  type Answer,
  type CommandBody,
  type CommandCall,
  failed,
  getopt,
} from '../command.ts';
import { MODULE_ALIASES, MODULE_DIRECTORY, moduleIn } from '../user-root.ts';
import { errnoText } from '../errno-text.ts';

const ENOENT = 2;
const EEXIST = 17;
const EAGAIN = 11;
const O_NONBLOCK = 0x800;

/** What insmod says where an errno means something else than usual. */
function insertText(text: string, errno: number): string {
  return errno === ENOENT ? 'Unknown symbol in module' : text;
}

async function readModule({ session, context }: CommandCall, file: string): Promise<string | undefined> {
  const path = session.fs.resolvePath(context.cwd, file);
  if (!(await session.fs.exists(path))) return undefined;
  return moduleIn(await session.fs.readFile(path));
}

const insmod: CommandBody = async (call) => {
  const { session } = call;
  const [file] = getopt(call.args, 'f').operands;
  if (file === undefined) return { err: 'Usage: insmod filename [args]\n', status: 1 };
  const path = session.fs.resolvePath(call.context.cwd, file);
  // A bare name, as `insmod kvm-amd`, is the module of that name.
  const bare = file.includes('/')
    ? undefined
    : await readModule(call, `${MODULE_DIRECTORY}/${file.replace(/\.ko$/, '')}.ko`);
  const isThere = await session.fs.exists(path);
  const module = isThere ? await readModule(call, file) : bare;
  if (module === undefined && !isThere)
    return { err: `insmod: can't read '${file}': No such file or directory\n`, status: 1 };
  if (module === undefined)
    return { err: `insmod: error inserting '${file}': -1 Invalid module format\n`, status: 1 };
  try {
    await session.caller.process.call('sys_init_module', [0, 0, 0], module);
    return {};
  } catch (error) {
    return failed(
      session,
      error,
      (text, errno) => `insmod: error inserting '${file}': -1 ${insertText(text, errno)}`,
    );
  }
};

interface LoadedModule {
  readonly name: string;
  readonly size: string;
  readonly references: string;
  readonly users: readonly string[];
}

async function loadedModules({ session }: CommandCall): Promise<LoadedModule[]> {
  const text = await session.caller.process.readText('/proc/modules');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [name, size, references, users] = line.split(' ') as [string, string, string, string];
      return {
        name,
        size,
        references,
        users: users.split(',').filter((user) => user !== '' && user !== '-'),
      };
    });
}

const underscores = (name: string): string => name.replaceAll('-', '_');

const lsmod: CommandBody = async (call) => {
  const lines = (await loadedModules(call)).map(
    ({ name, size, references, users }) =>
      `${underscores(name).padEnd(19)} ${size.padStart(8)}  ${[references, ...(users.length > 0 ? [users.map(underscores).join(',')] : [])].join(' ')}`,
  );
  return { out: `${['Module                  Size  Used by', ...lines].join('\n')}\n` };
};

/** The module of that name, whichever of - and _ it is written with, and without its path and `.ko`. */
async function find(call: CommandCall, given: string): Promise<LoadedModule | undefined> {
  const name = underscores(given.replace(/^.*\//, '').replace(/\.ko$/, ''));
  const known = MODULE_ALIASES.get(name) ?? MODULE_ALIASES.get(name.replaceAll('_', '-')) ?? name;
  return (await loadedModules(call)).find((one) => underscores(one.name) === underscores(known));
}

async function remove(call: CommandCall, found: LoadedModule, flags: number): Promise<Answer> {
  const { session } = call;
  if (found.users.length > 0)
    return {
      err: `ERROR: Module ${underscores(found.name)} is in use by ${found.users.map(underscores).join(',')}\n`,
      status: 1,
    };
  try {
    await session.caller.process.call('sys_delete_module', [0, flags, 0], found.name);
    return {};
  } catch (error) {
    return failed(session, error, (text, errno) =>
      errno === EAGAIN
        ? `ERROR: Module ${underscores(found.name)} is in use`
        : `ERROR: Removing '${underscores(found.name)}': ${text}`,
    );
  }
}

const rmmod: CommandBody = async (call) => {
  const { flags, operands } = getopt(call.args, 'fvws');
  if (operands.length === 0) return { err: 'Usage: rmmod [-w] modulename ...\n', status: 1 };
  if (flags.has('f')) throw new CommandFailure('forced removal is not compiled into this kernel');
  let status = 0;
  let err = '';
  for (const name of operands) {
    const found = await find(call, name);
    const answer: Answer =
      found === undefined
        ? { err: `ERROR: Module ${underscores(name)} does not exist in /proc/modules\n`, status: 1 }
        : await remove(call, found, flags.has('w') ? 0 : O_NONBLOCK);
    err += answer.err ?? '';
    if ((answer.status ?? 0) !== 0) status = answer.status!;
  }
  return { err, status };
};

/** What modprobe loads first. */
const DEPENDS: ReadonlyMap<string, string> = new Map([
  ['kvm-amd', 'kvm'],
  ['kvm-intel', 'kvm'],
  ['cpu-notifier-err-inject', 'notifier-error-inject'],
]);

async function probe(call: CommandCall, name: string, isQuiet: boolean): Promise<Answer> {
  const { session } = call;
  const dashes = name.replaceAll('_', '-');
  const module = MODULE_ALIASES.get(dashes) ?? dashes;
  if ((await readModule(call, `${MODULE_DIRECTORY}/${module}.ko`)) === undefined)
    return isQuiet ? { status: 1 } : { err: `FATAL: Module ${name} not found.\n`, status: 1 };
  const needed = DEPENDS.get(module);
  if (needed !== undefined) {
    const first = await probe(call, needed, isQuiet);
    if ((first.status ?? 0) !== 0) return first;
  }
  if ((await find(call, module)) !== undefined) return {};
  try {
    await session.caller.process.call('sys_init_module', [0, 0, 0], module);
    return {};
  } catch (error) {
    const path = `${MODULE_DIRECTORY}/${module}.ko`;
    const answer = failed(session, error, (_text, errno) =>
      errno === EEXIST
        ? `FATAL: Module ${name} already in kernel.`
        : `FATAL: Error inserting ${underscores(module)} (${path}): ${insertText(errnoText(errno), errno)}`,
    );
    return isQuiet ? { status: answer.status ?? 1 } : answer;
  }
}

/** -r: the module, and what it needed if nobody else does. */
async function unprobe(call: CommandCall, name: string, isQuiet: boolean): Promise<Answer> {
  const found = await find(call, name);
  if (found === undefined) return isQuiet ? {} : { err: `FATAL: Module ${name} not found.\n`, status: 1 };
  const answer = await remove(call, found, O_NONBLOCK);
  if ((answer.status ?? 0) !== 0) {
    const err = answer.err?.replace('ERROR:', 'FATAL:') ?? '';
    return { err: isQuiet ? '' : err, status: answer.status! };
  }
  const needed = DEPENDS.get(found.name);
  const below = needed === undefined ? undefined : await find(call, needed);
  return below === undefined || below.references !== '0' ? {} : remove(call, below, O_NONBLOCK);
}

const modprobe: CommandBody = async (call) => {
  const { flags, operands } = getopt(call.args, 'rqvnafk');
  const [name, ...others] = operands;
  if (name === undefined) return { err: 'Usage: modprobe [-q] [-r] module [parameter...]\n', status: 1 };
  const isQuiet = flags.has('q');
  const names = flags.has('r') || flags.has('a') ? [name, ...others] : [name];
  let answer: Answer = {};
  for (const one of names) {
    answer = flags.has('r') ? await unprobe(call, one, isQuiet) : await probe(call, one, isQuiet);
    if ((answer.status ?? 0) !== 0) return answer;
  }
  return answer;
};

export const modules: Readonly<Record<string, CommandBody>> = { insmod, lsmod, modprobe, rmmod };
