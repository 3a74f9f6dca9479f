// @ts-check
/**
 * The pass that makes code resumable (src/fibers/pass.ts), as a plugin for esbuild and for vite: which files it is for, and
 * the pass itself, compiled when first needed.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build as bundle } from 'esbuild';
import { root } from './prepare.mjs';

/**
 * What runs on simulated CPUs: the kernel, the typed views that do more than one operation, a CPU's own life, and what
 * scenarios are made of. Not the operations themselves, which are what suspends.
 */
const RESUMABLE = new RegExp(
  `^src/(${[
    'base/callbacks',
    'memory/(atomic|cpumask|deterministic-bus|list|symbols)',
    '(smp|kernel|cpu-worker)/.*',
    'scenario/(api|expect|kvm|litmus|program|shared)',
    'litmus/run-thread',
  ].join('|')})\\.ts$`,
);
const RUNTIME = {
  resumable: '#base/resumable',
  callbacks: '#base/callbacks',
  plainCalls: '#base/plain-calls',
};

/** @param {string} file relative to the root, with slashes */
export function isResumable(file) {
  return RESUMABLE.test(file) && !file.endsWith('.d.ts');
}

/** @type {Promise<typeof import('../src/fibers/pass.ts')> | undefined} */
let loaded;

/** The pass, compiled under a name that says what it was compiled into. */
async function loadPass() {
  const { outputFiles } = await bundle({
    entryPoints: [path.join(root, 'src/fibers/pass.ts')],
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    write: false,
  });
  const code = outputFiles[0]?.contents ?? new Uint8Array();
  const name = createHash('sha256').update(code).digest('hex').slice(0, 16);
  const folder = path.join(root, 'node_modules/.cache/smplab');
  const file = path.join(folder, `pass-${name}.mjs`);
  if (!existsSync(file)) {
    mkdirSync(folder, { recursive: true });
    const fresh = `${file}.${process.pid}`;
    writeFileSync(fresh, code);
    renameSync(fresh, file);
  }
  return import(pathToFileURL(file).href);
}

/** What modules say of the functions that they export, by their text. @type {Map<string, ReadonlyMap<string, boolean>>} */
const exportsOf = new Map();
const SPECIFIER = /^(?:import|export)\s[^;]*?from\s+'([^']+)'/gm;
const EXPORTED = /^export function (\w+)/gm;
/** What the room fibers gives twins by hand. */
const TWINS_BY_HAND = new Set(['src/memory/sleep.ts']);

/** The file that one of ours imports, or undefined. @param {string} file @param {string} specifier */
function imported(file, specifier) {
  const [room = '', ...rest] = specifier.split('/');
  if (room.startsWith('#')) return path.join(root, 'src', room.slice(1), `${rest.join('/')}.ts`);
  return specifier.startsWith('.') ? path.resolve(path.dirname(file), specifier) : undefined;
}

/**
 * What the modules that a file imports say of their functions: whether each has a twin, or undefined.
 * @param {string} file
 * @param {string} code
 */
async function twinsAround(file, code) {
  loaded ??= loadPass();
  const { twinsIn } = await loaded;
  /** @type {Map<string, ReadonlyMap<string, boolean>>} */
  const modules = new Map();
  for (const [, specifier = ''] of code.matchAll(SPECIFIER)) {
    const found = imported(file, specifier);
    if (found === undefined || !existsSync(found) || TWINS_BY_HAND.has(relative(found))) continue;
    const text = readFileSync(found, 'utf8');
    const twins = isResumable(relative(found))
      ? (exportsOf.get(text) ?? twinsIn(text, { file: path.basename(found), runtime: RUNTIME }))
      : new Map([...text.matchAll(EXPORTED)].map(([, name = '']) => [name, false]));
    exportsOf.set(text, twins);
    modules.set(specifier, twins);
  }
  /** @param {string} module @param {string} name */
  return (module, name) => modules.get(module)?.get(name);
}

/**
 * The code of a file, with twins.
 * @param {string} file absolute
 * @param {string} code
 */
async function compile(file, code) {
  loaded ??= loadPass();
  const { makeResumable } = await loaded;
  const hasTwin = await twinsAround(file, code);
  return makeResumable(code, { file: path.basename(file), runtime: RUNTIME, hasTwin });
}

/** @param {string} file */
function relative(file) {
  return path.relative(root, file).split(path.sep).join('/');
}

/** @returns {import('esbuild').Plugin} */
export function esbuildResumable() {
  return {
    name: 'resumable',
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, async ({ path: file }) => {
        if (!isResumable(relative(file))) return undefined;
        return { contents: await compile(file, readFileSync(file, 'utf8')), loader: 'ts' };
      });
    },
  };
}

/** For vitest: tests that import a room's source get what the build would have made of it. */
export function viteResumable() {
  return {
    name: 'resumable',
    enforce: /** @type {const} */ ('pre'),
    /** @param {string} code @param {string} id */
    async transform(code, id) {
      const [file = ''] = id.split('?');
      if (!isResumable(relative(file))) return null;
      return compile(file, code);
    },
  };
}
