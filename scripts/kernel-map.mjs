// @ts-check
/**
 * Writes docs/kernel-map.md: which symbol of the simulated kernel lives in which file, and what that file mirrors.
 *
 *   node scripts/kernel-map.mjs            writes the page
 *   node scripts/kernel-map.mjs --check    fails when the page is not what the sources say
 */
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { kernelRooms } from './rooms.mjs';
import { filesUnder, report, rootArgument, textOf } from './sources.mjs';

/** @typedef {import('./sources.mjs').Fault} Fault */

const PAGE = 'docs/kernel-map.md';

const SYMBOL = /\bkernel_function(?:<[^(]*>)?\(\s*'(\w+)'/g;
const VARIABLE = /\.(DEFINE(?:_PER_CPU)?)\(\s*'(\w+)'/g;
const PLAIN_FUNCTION = /^export function (\w+)/gm;
/** As long as its paragraph: a tag may go on in the next line of the comment. */
const LINUX_TAG = /@linux ((?:(?!\*\/|\n\s*\*\s*(?:\n|@)|\n\s*\* [A-Z])[^])*)/;

/** @param {string} file @param {string} text */
function entryOf(file, text) {
  const tag = LINUX_TAG.exec(text)?.[1]
    ?.replaceAll(/\s*\n\s*\*\s*/g, ' ')
    .trim()
    .replace(/\.$/, '');
  const variables = [...text.matchAll(VARIABLE)].map(([, kind, name]) =>
    kind === 'DEFINE' ? `${name}` : `${name} (per CPU)`,
  );
  return {
    file,
    mirrors: tag ?? 'nothing of Linux: ours',
    symbols: [...text.matchAll(SYMBOL)].map(([, name = '']) => name),
    variables,
    functions: [...text.matchAll(PLAIN_FUNCTION)].map(([, name = '']) => name),
  };
}

/** @param {readonly string[]} names */
const listed = (names) => names.map((name) => name.replace(/^\w+/, '`$&`')).join(', ');

/** @param {string} root @returns {string} */
export function kernelMap(root) {
  const entries = kernelRooms
    .flatMap((room) => filesUnder(root, `src/${room}`))
    .filter((file) => file.endsWith('.ts'))
    .map((file) => entryOf(file, textOf(root, file)));
  const symbols = entries
    .flatMap(({ file, symbols: names }) => names.map((name) => ({ name, file })))
    .toSorted((a, b) => (a.name.replace(/^_+/, '') < b.name.replace(/^_+/, '') ? -1 : 1));
  /** @param {string} file */
  const link = (file) => `[${file.slice('src/'.length)}](../${file})`;
  return [
    '# Kernel map',
    '',
    'Written by `node scripts/kernel-map.mjs` from the sources; `--check` fails when it is not current.',
    '',
    'A **symbol** is a kernel function with an address: it is in kallsyms, in the trace and in stacks, and can be',
    'replaced. A plain function is neither traced nor called by pointer: in Linux most of them are macros or inline.',
    'The head comment of each file says what it leaves out.',
    '',
    '## By file',
    '',
    ...entries.flatMap(({ file, mirrors, symbols: names, variables, functions }) => [
      `### ${link(file)}`,
      '',
      `Mirrors: ${mirrors}`,
      '',
      ...(names.length > 0 ? [`- symbols: ${listed(names)}`] : []),
      ...(functions.length > 0 ? [`- plain functions: ${listed(functions)}`] : []),
      ...(variables.length > 0 ? [`- variables: ${listed(variables)}`] : []),
      ...(names.length + functions.length + variables.length > 0 ? [''] : []),
    ]),
    `## By symbol (${symbols.length})`,
    '',
    ...symbols.map(({ name, file }) => `- \`${name}\`: ${link(file)}`),
    '',
  ].join('\n');
}

/** @param {string} root @returns {Fault[]} */
export function checkKernelMap(root) {
  const page = existsSync(path.join(root, PAGE)) ? textOf(root, PAGE) : '';
  const message = 'is not what the sources say: run `node scripts/kernel-map.mjs`.';
  return page === kernelMap(root) ? [] : [{ file: PAGE, line: 1, rule: 'stale-page', message }];
}

if (process.argv[1] === import.meta.filename) {
  const root = rootArgument(process.argv.slice(2));
  if (!process.argv.includes('--check')) writeFileSync(path.join(root, PAGE), kernelMap(root));
  process.exitCode = report('kernel-map', checkKernelMap(root), PAGE);
}
