/**
 * What a pool thread loads first: the CPU's code, with what V8 has compiled of it before.
 *
 * Compiling the kernel image is most of what starting a CPU costs. The build runs a machine once and keeps V8's code
 * cache beside the code; a thread of the same V8 starts from that, any other compiles for itself. Built as CommonJS,
 * because a pool thread gets to `require` several milliseconds earlier than to `import`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { workerData } from 'node:worker_threads';
import type { CpuTask, serve as Serve } from './main.ts';

declare const __dirname: string;
declare const require: unknown;

const codeFile = join(__dirname, 'main.cjs');
const cacheFile = join(__dirname, `main.${process.versions.v8}.cache`);

/**
 * The file is a function in brackets (scripts/build.mjs): put around it here, that would be a second copy of it in every
 * thread. Nothing of what this reads outlives it but V8's own.
 */
function compile(): Script {
  const { codeCache } = (workerData ?? {}) as ThreadData;
  return new Script(readFileSync(codeFile, 'latin1'), {
    filename: codeFile,
    ...(codeCache === undefined ? {} : { cachedData: codeCache }),
  });
}

/** What machine/pool.ts gives every thread: the cache, read once and shared by all. */
interface ThreadData {
  readonly codeCache?: Uint8Array;
}

interface Exports {
  serve: typeof Serve;
}

type Wrapper = (exports: object, require: unknown, module: { exports: object }) => void;

function load(script: Script): Exports {
  const module = { exports: {} };
  (script.runInThisContext() as Wrapper)(module.exports, require, module);
  return module.exports as Exports;
}

const compiled = compile();
const main = load(compiled);
/** Kept where it is asked for: see serve. */
const toCache = process.env['SMPLAB_WRITE_CODE_CACHE'] === undefined ? undefined : compiled;

/** See main.ts. With SMPLAB_WRITE_CODE_CACHE set (by the build), CPU 0 leaves what was compiled for the next thread. */
export function serve(task: CpuTask): void {
  main.serve(task);
  if (toCache !== undefined && task.cpu === 0) writeFileSync(cacheFile, toCache.createCachedData());
}
