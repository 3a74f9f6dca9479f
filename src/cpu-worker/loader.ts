/**
 * What a pool thread loads first. It gets the CPU's code when there is a CPU to be, with what V8 has compiled of it before.
 *
 * Compiling the kernel image is most of what starting a CPU costs. The build runs machines once and keeps V8's code cache
 * beside the code; a thread of the same V8 starts from that, any other compiles for itself. Built as CommonJS, because a pool
 * thread gets to `require` several milliseconds earlier than to `import`.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Script } from 'node:vm';
import type { CpuTask } from './serve.ts';

declare const __dirname: string;
declare const require: unknown;

/** What machine/pool.ts adds to a task besides the code. Both are read once, and shared by all threads. */
interface LoadedTask extends CpuTask {
  readonly codeCache?: Uint8Array;
}

interface CpuCode {
  serve(task: CpuTask): void;
}

type Wrapper = (exports: object, require: unknown, module: { exports: object }) => void;

/** By kind. A thread that has served both has the kernel twice. */
const loaded = new Map<CpuTask['kind'], { readonly code: CpuCode; readonly script: Script }>();

/**
 * The file is a function in brackets (scripts/build.mjs): put around it here, that would be a second copy of it in every
 * thread. Nothing of what this reads outlives it but V8's own.
 */
function load({ kind, code, codeCache }: LoadedTask): { readonly code: CpuCode; readonly script: Script } {
  const known = loaded.get(kind);
  if (known !== undefined) return known;
  const filename = join(__dirname, `${kind}.cjs`);
  const text = code === undefined ? readFileSync(filename) : Buffer.from(code.buffer);
  const script = new Script(text.toString('latin1'), {
    filename,
    ...(codeCache === undefined ? {} : { cachedData: codeCache }),
  });
  const module = { exports: {} };
  (script.runInThisContext() as Wrapper)(module.exports, require, module);
  const fresh = { code: module.exports as CpuCode, script };
  loaded.set(kind, fresh);
  return fresh;
}

/** See serveTask. With SMPLAB_WRITE_CODE_CACHE set (by the build), CPU 0 leaves what was compiled for the next thread. */
export function serve(task: LoadedTask): void {
  const { code, script } = load(task);
  code.serve(task);
  if (process.env['SMPLAB_WRITE_CODE_CACHE'] === undefined || task.cpu !== 0) return;
  const file = join(__dirname, `${task.kind}.${process.versions.v8}.cache`);
  writeFileSync(file, script.createCachedData());
}
