/**
 * What a pool thread loads first: the CPU's code, with what V8 has compiled of it before.
 *
 * Compiling the kernel image is most of what starting a CPU costs. The build runs a machine once and keeps V8's code
 * cache beside the code; a thread of the same V8 starts from that, any other compiles for itself. Built as CommonJS,
 * because a pool thread gets to `require` several milliseconds earlier than to `import`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import type { CpuTask, serve as Serve } from './main.ts';

declare const __dirname: string;
declare const require: unknown;

const codeFile = path.join(__dirname, 'main.cjs');
const cacheFile = path.join(__dirname, `main.${process.versions.v8}.cache`);

function readCache(): Buffer | undefined {
  try {
    return readFileSync(cacheFile);
  } catch {
    return undefined;
  }
}

const cachedData = readCache();
const script = new vm.Script(
  `(function (exports, require, module) {${readFileSync(codeFile, 'latin1')}\n})`,
  {
    filename: codeFile,
    ...(cachedData === undefined ? {} : { cachedData }),
  },
);

interface Exports {
  serve: typeof Serve;
}

type Wrapper = (exports: object, require: unknown, module: { exports: object }) => void;

function load(): Exports {
  const module = { exports: {} };
  (script.runInThisContext() as Wrapper)(module.exports, require, module);
  return module.exports as Exports;
}

const main = load();

/** See main.ts. With SMPLAB_WRITE_CODE_CACHE set (by the build), CPU 0 leaves what was compiled for the next thread. */
export function serve(task: CpuTask): void {
  main.serve(task);
  if (process.env['SMPLAB_WRITE_CODE_CACHE'] !== undefined && task.cpu === 0) {
    writeFileSync(cacheFile, script.createCachedData());
  }
}
