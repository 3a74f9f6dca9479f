// @ts-check
/**
 * Builds dist/: esbuild writes the code, tsc the declarations.
 *
 *   node scripts/build.mjs             code and declarations; fails on a type error
 *   node scripts/build.mjs --code      code only (what `npm start` and `npm test` need)
 *
 * Why a bundle: a worker thread starts several times faster from one file than from forty. Why no splitting: the order
 * in which modules run decides addresses in the kernel image, and a shared chunk has an order of its own. Nobody loads
 * two of the bundles into one thread.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { build } from 'esbuild';
import { buildIsFresh, root, sourceHash, stampFile, withBuildLock } from './prepare.mjs';
import { inlineTables, settleConstants } from './constants.mjs';
import { esbuildPages } from './pages.mjs';
import { esbuildResumable } from './resumable.mjs';
import { entryPoints, threadEntryPoints } from './rooms.mjs';

const CLI = 'dist/cli/main.js';
const THREAD_CODE = ['dist/cpu-worker/parallel.cjs', 'dist/cpu-worker/searched.cjs'];

/** Writes the code and answers the files written, relative to the root. */
async function buildCode() {
  const entries = entryPoints.filter((file) => existsSync(path.join(root, file)));
  if (entries.length === 0) throw new Error(`none of the entry points exists: ${entryPoints.join(', ')}`);
  const result = await build({
    absWorkingDir: root,
    entryPoints: entries,
    outdir: 'dist',
    outbase: 'src',
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    // An entry point that imports the package by name meets the very same kernel as the user who does.
    external: ['smplab'],
    conditions: ['smplab-source'],
    sourcemap: 'linked',
    plugins: [esbuildResumable(), esbuildPages()],
    // Symbols find their address by name (kallsyms), so a bundle must not rename functions.
    keepNames: false,
    minify: false,
    metafile: true,
    legalComments: 'none',
    logLevel: 'warning',
  });
  const cli = path.join(root, CLI);
  if (existsSync(cli)) chmodSync(cli, 0o755);
  const written = [...Object.keys(result.metafile.outputs), ...(await buildThreadCode())];
  for (const file of written) {
    if (!/\.c?js$/.test(file)) continue;
    const output = path.join(root, file);
    const text = readFileSync(output, 'utf8');
    // An import() of a module of ours turns it, and all that it imports, into what runs late: nothing in it is a constant then.
    if (text.includes('__esm(')) throw new Error(`${file}: a module of ours is imported by import()`);
    const code = settleConstants(text);
    writeFileSync(output, THREAD_CODE.includes(file) ? asFunction(inlineTables(code)) : code);
  }
  return written;
}

/** What loader.ts runs: a CommonJS module as a function of what it needs. Lines stay what they are. @param {string} code */
function asFunction(code) {
  return `(function (exports, require, module) {${code}\n})`;
}

/** What CPU threads run: one CommonJS file each, from V8's code cache (cpu-worker/loader.ts). */
async function buildThreadCode() {
  const result = await build({
    absWorkingDir: root,
    entryPoints: threadEntryPoints.filter((file) => existsSync(path.join(root, file))),
    outdir: 'dist',
    outbase: 'src',
    outExtension: { '.js': '.cjs' },
    bundle: true,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    packages: 'external',
    conditions: ['smplab-source'],
    sourcemap: 'linked',
    metafile: true,
    legalComments: 'none',
    logLevel: 'warning',
  });
  return Object.keys(result.metafile.outputs);
}

/**
 * Runs machines of both kinds, so that V8's code cache of what a boot needs lies beside the thread code.
 * Only a matter of speed: without it threads compile for themselves.
 */
function writeCodeCache() {
  const warmUp = `
    import { Machine, closeSharedPool } from './dist/index.js';
    for (const mode of ['parallel', 'deterministic']) {
      for (const vendor of ['amd', 'intel']) {
        const machine = await Machine.powerOn({ cpus: 2, vendor, mode });
        for (const text of ['kvm', 'kvm-' + vendor]) await machine.call('sys_init_module', { text });
        await machine.call('cpu_down', { args: [1] });
        await machine.call('cpu_up', { args: [1] });
        for (const text of ['kvm-' + vendor, 'kvm']) await machine.call('sys_delete_module', { text });
        await machine.powerOff();
      }
    }
    await closeSharedPool();`;
  spawnSync(process.execPath, ['--input-type=module', '-e', warmUp], {
    cwd: root,
    env: { ...process.env, SMPLAB_WRITE_CODE_CACHE: '1' },
    stdio: 'ignore',
    timeout: 30_000,
  });
}

/** The gallery ships as it is written: scenarios are compiled when they are searched. */
function copyGallery() {
  const from = path.join(root, 'src/gallery');
  const entries = readdirSync(from, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return entries.map((entry) => {
    const file = path.relative(root, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, '/');
    const copy = file.replace(/^src/, 'dist');
    mkdirSync(path.dirname(path.join(root, copy)), { recursive: true });
    copyFileSync(path.join(root, file), path.join(root, copy));
    return copy;
  });
}

/** Declarations by tsc. Answers whether they are free of type errors. */
function buildDeclarations() {
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
  const run = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  });
  return run.status === 0;
}

/**
 * Removes what an earlier build left in dist. Done after writing, so a process that is still running
 * from the old build loses its chunks as late as possible.
 * @param {ReadonlySet<string>} written
 */
function sweep(written) {
  /** @param {string} folder */
  const visit = (folder) => {
    for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
      const file = `${folder}/${entry.name}`;
      if (entry.isDirectory()) visit(file);
      else if (file.endsWith('.d.ts')) {
        const source = file.replace(/^dist/, 'src').replace(/\.d\.ts$/, '.ts');
        if (!existsSync(path.join(root, source))) rmSync(path.join(root, file));
      } else if (!written.has(file) && file !== 'dist/.stamp') rmSync(path.join(root, file));
    }
    if (readdirSync(path.join(root, folder)).length === 0) rmdirSync(path.join(root, folder));
  };
  visit('dist');
}

/** Everything, in order. Answers whether all went well. @param {boolean} codeOnly */
async function buildAll(codeOnly) {
  // Whoever waited for the lock may find the work done.
  if (codeOnly && buildIsFresh()) return true;
  // The hash is taken before reading the sources: an edit during the build leaves a stale stamp, not a wrong one.
  const hash = sourceHash();
  rmSync(stampFile, { force: true });
  mkdirSync(path.join(root, 'dist'), { recursive: true });
  const written = new Set([...(await buildCode()), ...copyGallery()]);
  const typesGood = codeOnly || buildDeclarations();
  sweep(written);
  writeCodeCache();
  writeFileSync(stampFile, `${hash}\n`);
  return typesGood;
}

try {
  const good = await withBuildLock(() => buildAll(process.argv.includes('--code')));
  process.exitCode = good ? 0 : 1;
} catch (error) {
  // esbuild has said by now which line it stumbled over; a stack of ours would only bury it.
  process.stderr.write(`build: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}\n`);
  process.exitCode = 1;
}
