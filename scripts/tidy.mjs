// @ts-check
/**
 * What no ready-made tool looks for. `node scripts/tidy.mjs [--root FOLDER]`
 *
 *   dead-file        a source that no entry point and no test reaches
 *   linux-version    an `@linux` tag that does not say as of which version
 *   dead-link        a relative link in a .md file that leads nowhere
 *   scenario-readme  a gallery folder without README.md
 *   unfinished       a word that says somebody meant to come back
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { entryPoints, pageEntryPoints, threadEntryPoints } from './rooms.mjs';
import { filesUnder, report, rootArgument, textOf } from './sources.mjs';

/** @typedef {import('./sources.mjs').Fault} Fault */

const LINUX_VERSION = /\bv?\d+\.\d+(\.\d+)?|kvm-\d+/;
/** Spelt with classes so that this file does not find itself. */
const UNFINISHED = /\b(?:TO[D]O|FIX[M]E|X[X]X|HAC[K])\b/;
const PLANTED = 'test/fixtures/walls/';

/** `from '...'`, `import '...'`, `import('...')` and `new URL('...', import.meta.url)`: all that make a file part of the program. */
const SPECIFIER = /(?:\bfrom\s*|\bimport\s*\(?\s*|\bnew URL\(\s*)['"]([^'"]+)['"]/g;

/** @param {string} text @param {number} at */
const lineAt = (text, at) => text.slice(0, at).split('\n').length;

/**
 * The source file a specifier means, if it means one of ours.
 * @param {string} from @param {string} specifier
 */
function target(from, specifier) {
  if (specifier === 'smplab') return 'src/index.ts';
  if (specifier.startsWith('smplab/')) return `src/${specifier.slice('smplab/'.length)}/index.ts`;
  if (specifier.startsWith('#')) return `src/${specifier.slice(1)}.ts`;
  if (!specifier.startsWith('.')) return undefined;
  const file = path.posix.join(path.posix.dirname(from), specifier);
  // A thread is named by what will be built.
  return file.replace(/^dist\//, 'src/').replace(/\.js$/, '.ts');
}

/** @param {string} root @param {readonly string[]} files @returns {Fault[]} */
function deadFiles(root, files) {
  const sources = new Set(files.filter((file) => file.startsWith('src/') && file.endsWith('.ts')));
  const isTest = /^(?:test|scripts|bench)\/.*\.(?:ts|mjs)$/;
  const waiting = [
    ...[...entryPoints, ...threadEntryPoints, ...Object.values(pageEntryPoints)].filter((file) =>
      sources.has(file),
    ),
    ...files.filter((file) => isTest.test(file)),
    // Found in their folders, by id.
    ...files.filter((file) => /^src\/gallery\/[^/]+\/(?:scenario|fixed|kvm-54-mended)\.ts$/.test(file)),
  ];
  const reached = new Set(waiting);
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    for (const [, specifier = ''] of textOf(root, file).matchAll(SPECIFIER)) {
      const next = target(file, specifier);
      if (next !== undefined && sources.has(next) && !reached.has(next)) {
        reached.add(next);
        waiting.push(next);
      }
    }
  }
  const message = 'no entry point and no test reaches it: import it or remove it.';
  return [...sources]
    .filter((file) => !reached.has(file))
    .map((file) => ({ file, line: 1, rule: 'dead-file', message }));
}

/** @param {string} file @param {string} text @returns {Fault[]} */
function linuxVersions(file, text) {
  const message = 'says what it mirrors but not as of which version (such as 2.6.24, v6.1 or kvm-54).';
  // The tag ends where the comment, its paragraph or the next tag does.
  return [...text.matchAll(/^\s*(?:\/\*)?\*+ @linux\b(?:(?!\*\/|\n\s*\*\s*(?:\n|@))[^])*/gm)]
    .filter(([tag]) => !LINUX_VERSION.test(tag))
    .map(({ 0: tag, index }) => ({
      file,
      line: lineAt(text, index + tag.indexOf('@')),
      rule: 'linux-version',
      message,
    }));
}

/** @param {string} root @param {string} file @param {string} text @returns {Fault[]} */
function deadLinks(root, file, text) {
  // Blank out code, keeping the lines, so that an example in a fence is no link.
  const prose = text
    .replaceAll(/^(```|~~~)[^]*?^\1/gm, (code) => code.replaceAll(/[^\n]/g, ' '))
    .replaceAll(/`[^`\n]*`/g, (code) => ' '.repeat(code.length));
  return [...prose.matchAll(/\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)/g)]
    .map(({ 1: link = '', index }) => ({ link, index }))
    .filter(({ link }) => !/^(?:[a-z][a-z0-9+.-]*:|#|\/\/)/i.test(link))
    .filter(({ link }) => {
      const bare = decodeURI(link.replace(/[#?].*$/, ''));
      return !existsSync(path.join(root, path.posix.dirname(file), bare));
    })
    .map(({ link, index }) => ({
      file,
      line: lineAt(text, index),
      rule: 'dead-link',
      message: `'${link}' leads nowhere.`,
    }));
}

/** @param {readonly string[]} files @returns {Fault[]} */
function scenarioReadmes(files) {
  const folders = new Set(
    files.flatMap((file) => /^src\/gallery\/(?!internal\/)[^/]+(?=\/)/.exec(file) ?? []),
  );
  return [...folders]
    .filter((folder) => !files.includes(`${folder}/README.md`))
    .map((folder) => ({
      file: `${folder}/README.md`,
      line: 1,
      rule: 'scenario-readme',
      message:
        'a scenario without README.md: say which bug it is, which commit mended it, and what to look for.',
    }));
}

/** @param {string} file @param {string} text @returns {Fault[]} */
function unfinished(file, text) {
  return text.split('\n').flatMap((content, index) => {
    const word = UNFINISHED.exec(content)?.[0];
    const message = `'${word}': finish it, or put it into docs/limits.md where a reader finds it.`;
    return word === undefined ? [] : [{ file, line: index + 1, rule: 'unfinished', message }];
  });
}

/** @param {string} root */
export function checkTidy(root) {
  const files = filesUnder(root, '.').filter((file) => !file.startsWith(PLANTED));
  const texts = files.filter(
    (file) => /\.(?:ts|mjs|md|json|yml|html|css)$/.test(file) && file !== 'package-lock.json',
  );
  const faults = [
    ...deadFiles(root, files),
    ...scenarioReadmes(files),
    ...texts.flatMap((file) => {
      const text = textOf(root, file);
      return [
        ...(file.endsWith('.ts') ? linuxVersions(file, text) : []),
        ...(file.endsWith('.md') ? deadLinks(root, file, text) : []),
        ...unfinished(file, text),
      ];
    }),
  ];
  return { files, faults };
}

if (process.argv[1] === import.meta.filename) {
  const { files, faults } = checkTidy(rootArgument(process.argv.slice(2)));
  process.exitCode = report('tidy', faults, `${files.length} files`);
}
