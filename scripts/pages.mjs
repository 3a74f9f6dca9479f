// @ts-check
/**
 * The scripts that run in a reader's browser, as text inside the program: src/page/assets.ts as the build and vitest see it.
 * Each page is one script and one style, bundled and small, with nothing left to fetch.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { root } from './prepare.mjs';
import { pageEntryPoints } from './rooms.mjs';

const ASSETS = path.join(root, 'src/page/assets.ts');

/** What a page has of others is said in it. @param {readonly string[]} inputs */
function licences(inputs) {
  const names = inputs.flatMap((file) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []);
  return [...new Set(names)]
    .toSorted()
    .map((name) => {
      const text = readFileSync(path.join(root, 'node_modules', name, 'LICENSE'), 'utf8').trim();
      return `/*! ${name}\n${text}\n*/\n`;
    })
    .join('');
}

/** @param {string} text */
const hashOf = (text) => createHash('sha256').update(text).digest('base64');

/** One page: script and style in one go, for the script imports its style. @param {string} entry */
async function bundle(entry) {
  const { outputFiles, metafile } = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outdir: 'pages',
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'iife',
    platform: 'browser',
    target: ['es2022', 'chrome110', 'firefox115', 'safari16'],
    conditions: ['smplab-source'],
    legalComments: 'none',
    charset: 'utf8',
    logLevel: 'warning',
  });
  const textOf = (/** @type {string} */ ending) =>
    outputFiles.find((file) => file.path.endsWith(ending))?.text.trim() ?? '';
  const script = licences(Object.keys(metafile.inputs)) + textOf('.js');
  const style = textOf('.css');
  return { script, style, scriptHash: hashOf(script), styleHash: hashOf(style) };
}

/** The module that stands in for src/page/assets.ts. */
async function assetsModule() {
  const pages = Object.entries(pageEntryPoints);
  const parts = await Promise.all(
    pages.map(
      async ([name, entry]) => `export const ${name}Assets = ${JSON.stringify(await bundle(entry))};\n`,
    ),
  );
  return parts.join('');
}

/** @returns {import('esbuild').Plugin} */
export function esbuildPages() {
  return {
    name: 'pages',
    setup(build_) {
      build_.onLoad({ filter: /[\\/]page[\\/]assets\.ts$/ }, async ({ path: file }) =>
        path.resolve(file) === ASSETS ? { contents: await assetsModule(), loader: 'js' } : undefined,
      );
    },
  };
}

/** For vitest, as in resumable.mjs. */
export function vitePages() {
  return {
    name: 'pages',
    enforce: /** @type {const} */ ('pre'),
    /** @param {string} id */
    async load(id) {
      const [file = ''] = id.split('?');
      return path.resolve(file) === ASSETS ? assetsModule() : null;
    },
  };
}
