/** What the Tab key offers: commands where one begins, modules behind modprobe, paths everywhere else. */
import { allCommands } from './commands/all.ts';
import { justBash } from './just-bash.ts';
import type { Session } from './session.ts';
import { MODULE_DIRECTORY } from './user-root.ts';

const BUILTINS = [
  'cd',
  'declare',
  'eval',
  'exit',
  'export',
  'let',
  'local',
  'read',
  'set',
  'shift',
  'source',
  'test',
  'unset',
];

/** Candidates for the last word of a line, and that word. */
export async function complete(session: Session, line: string): Promise<[string[], string]> {
  const word = /[^\s;|&()<>]*$/.exec(line)![0];
  const before = line.slice(0, line.length - word.length);
  const isCommand =
    /(?:^|[;|&(]|\b(?:then|do|else|if|while|until|time)\s)\s*$/.test(before) && !word.includes('/');
  if (isCommand) return [matching(commandNames(session), word, ' '), word];
  if (/\b(?:modprobe|rmmod)\s+(?:-\S+\s+)*$/.test(before)) {
    const files = await session.fs.readdir(MODULE_DIRECTORY);
    return [
      matching(
        files.map((file) => file.replace(/\.ko$/, '')),
        word,
        ' ',
      ),
      word,
    ];
  }
  return [await paths(session, word), word];
}

function commandNames(session: Session): string[] {
  const ours = Object.keys(allCommands).filter((name) => !name.startsWith('__'));
  return [...new Set([...justBash().getCommandNames(), ...ours, ...BUILTINS, ...session.commandNames])];
}

function matching(names: readonly string[], start: string, end: string): string[] {
  const found = names.filter((name) => name.startsWith(start)).toSorted();
  return found.length === 1 ? [`${found[0]!}${end}`] : found;
}

/** Entries of the directory that a word has reached; one that is not there has none. */
async function paths(session: Session, word: string): Promise<string[]> {
  const slash = word.lastIndexOf('/') + 1;
  const directory = session.fs.resolvePath(session.cwd, word.slice(0, slash) || '.');
  try {
    const entries = await session.fs.readdirWithFileTypes(directory);
    const shown = entries.filter(({ name }) => !name.startsWith('.') || word.slice(slash).startsWith('.'));
    const names = shown.map(
      ({ name, isDirectory }) => `${word.slice(0, slash)}${name}${isDirectory ? '/' : ''}`,
    );
    const found = names.filter((name) => name.startsWith(word)).toSorted();
    return found.length === 1 && !found[0]!.endsWith('/') ? [`${found[0]!} `] : found;
  } catch {
    return [];
  }
}
