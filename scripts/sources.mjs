// @ts-check
/** Finding and reading files for the gates, and saying what is wrong in one shape. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * One thing found wrong: `file:line: rule: message` is how every gate of ours prints it.
 * @typedef {{ file: string, line: number, rule: string, message: string }} Fault
 */

const SKIPPED = new Set(['node_modules', 'dist', 'coverage', '.git', '.cache']);

/**
 * Every file below `folder`, relative to `base`, with forward slashes, sorted.
 * @param {string} base
 * @param {string} folder
 * @returns {string[]}
 */
export function filesUnder(base, folder) {
  const full = path.join(base, folder);
  if (!existsSync(full)) return [];
  return readdirSync(full, { withFileTypes: true })
    .filter((entry) => !SKIPPED.has(entry.name))
    .flatMap((entry) => {
      const file = folder === '' || folder === '.' ? entry.name : `${folder}/${entry.name}`;
      return entry.isDirectory() ? filesUnder(base, file) : [file];
    })
    .toSorted();
}

/** @param {string} base @param {string} file */
export const textOf = (base, file) => readFileSync(path.join(base, file), 'utf8');

/** The room of a source file: `src/kernel/kvm/svm.ts` is in `kernel`; undefined for `src/index.ts`. @param {string} file */
export const roomOf = (file) => /^src\/([^/]+)\//.exec(file)?.[1];

/**
 * Prints the faults and answers the exit code.
 * @param {string} gate
 * @param {readonly Fault[]} faults
 * @param {string} looked what was looked at, for the line that says all is well
 */
export function report(gate, faults, looked) {
  for (const { file, line, rule, message } of faults)
    console.log(`${file}:${line}: ${gate}/${rule}: ${message}`);
  console.log(faults.length === 0 ? `${gate}: ${looked}, nothing wrong` : `${gate}: ${faults.length} wrong`);
  return faults.length === 0 ? 0 : 1;
}

/**
 * The value after `--root` or the working directory: the tests of the gates point them at planted faults.
 * @param {readonly string[]} given
 */
export function rootArgument(given) {
  const at = given.indexOf('--root');
  const folder = at === -1 ? undefined : given[at + 1];
  return path.resolve(folder ?? path.dirname(import.meta.dirname));
}
