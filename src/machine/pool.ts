/** The threads that are CPUs: a Piscina pool in which one task is one CPU's life. Threads outlive machines. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import type { GeometryInput } from '#memory/layout';
import type { LoadedScenario, ScenarioSource } from '#scenario/program';

/** As cpu-worker/serve.ts declares it: the two rooms meet only here and in memory. */
interface CpuTask {
  readonly buffer: ArrayBufferLike;
  readonly geometry: GeometryInput;
  readonly cpu: number;
  readonly kind: 'parallel' | 'searched';
  readonly scenario?: ScenarioSource;
  readonly isRecorded?: boolean;
}

/** Threads in a row that may die before they are up until nobody tries again. */
const STILLBORN_MAX = 8;

/** New space of a thread, megabytes. */
const YOUNG_GENERATION_MB = 4;

/** Threads a pool may have: four machines of the largest kind. */
const THREADS_MAX = 1024;

export interface CpuPool {
  /**
   * Starts a CPU on a free thread, or a new one. The promise settles when that CPU is powered off, or its thread dies.
   * @param signal ends it; pools that have `end` need none
   * @param loaded the scenario as this thread has it: for CPUs that share it
   */
  start(task: CpuTask, signal: AbortSignal | undefined, loaded?: LoadedScenario): Promise<void>;
  /** Where CPUs have no thread but the caller's: lets them go on until all of them sleep. */
  advance?(): void;
  /** There too: the CPUs of the machine with that memory are gone, whatever they are in the middle of. */
  end?(buffer: ArrayBufferLike): void;
  /** Ends every thread. */
  close(): Promise<void>;
  /** Threads alive. */
  readonly size: number;
  /** The threads themselves: for tests that kill them. */
  readonly threads: readonly Worker[];
}

/** The built entry of a CPU thread, beside this file's own build. */
function cpuEntry(): string {
  const here = import.meta.url;
  const root = here.slice(0, here.lastIndexOf('/dist/') + '/dist/'.length);
  return fileURLToPath(new URL('cpu-worker/loader.cjs', root));
}

/** What a thread is given of the code that it runs (cpu-worker/loader.ts). */
interface ThreadCode {
  readonly code?: Uint8Array;
  readonly codeCache?: Uint8Array;
}

/** A file beside a loader.ts at `entry`, in shared memory; undefined where there is none. */
function sharedFile(entry: string, name: string): Uint8Array | undefined {
  try {
    const bytes = readFileSync(path.join(path.dirname(entry), name));
    const memory = new Uint8Array(new SharedArrayBuffer(bytes.length));
    memory.set(bytes);
    return memory;
  } catch {
    return undefined;
  }
}

/**
 * What CPU threads run, and V8's code cache of it where the build left one for this V8. Each thread starts from it, none has a
 * copy; and all threads of a pool run the same, whatever happens to the files meanwhile.
 */
function codeBeside(entry: string, kind: CpuTask['kind']): ThreadCode {
  const code = sharedFile(entry, `${kind}.cjs`);
  const codeCache = sharedFile(entry, `${kind}.${process.versions.v8}.cache`);
  return { ...(code === undefined ? {} : { code }), ...(codeCache === undefined ? {} : { codeCache }) };
}

/**
 * Makes a pool. Its threads start as machines ask for them, and stay.
 * @param options `entry`: the file that threads load, for tests; `oldGenerationMb`: what a thread may keep on its heap, of which it
 *   lets half fill up with garbage. Default: V8's own, hundreds
 */
export function createPool({
  entry = cpuEntry(),
  oldGenerationMb,
}: { readonly entry?: string; readonly oldGenerationMb?: number } = {}): CpuPool {
  const piscina = new Piscina({
    filename: entry,
    // Said here too: a thread looks for its entry before it takes a task, and for one it does not find it loads Node's module
    // loader and looks again.
    name: 'serve',
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: Infinity,
    concurrentTasksPerWorker: 1,
    // Idle threads block in Piscina's own wait; a CPU's waiting is ours, in the machine's memory.
    atomics: 'sync',
    recordTiming: false,
    // What a CPU allocates is gone at once: room for more would be memory that every thread takes and none needs.
    resourceLimits: {
      maxYoungGenerationSizeMb: YOUNG_GENERATION_MB,
      ...(oldGenerationMb === undefined ? {} : { maxOldGenerationSizeMb: oldGenerationMb }),
    },
  });
  const codes = new Map<CpuTask['kind'], ThreadCode>();
  const codeFor = (kind: CpuTask['kind']): ThreadCode => {
    const known = codes.get(kind) ?? codeBeside(entry, kind);
    codes.set(kind, known);
    return known;
  };
  // A thread that dies with a CPU on it fails that CPU's task. One that dies idle is nobody's loss: the next start makes
  // another. Without a listener Node would end the process.
  let lastError: Error = new Error('its thread ended before it was up');
  piscina.on('error', (error: Error) => {
    lastError = error;
  });
  /** One for each CPU that runs or waits for a thread, oldest first: ends its task. */
  const serving = new Set<(reason: Error) => void>();
  let stillborn = 0;
  piscina.on('workerCreate', () => {
    stillborn = 0;
  });
  // A CPU that waits for a thread which dies before it is up waits for another one: Piscina makes one only for a new task.
  const replace = (): void => {
    const waiting = serving.size - piscina.threads.length;
    if (waiting <= 0) return;
    if (++stillborn > STILLBORN_MAX) {
      for (const fail of [...serving].slice(-waiting)) fail(lastError);
      return;
    }
    const asked = new AbortController();
    piscina.run(undefined, { signal: asked.signal }).catch(() => {});
    asked.abort();
  };
  piscina.on('workerDestroy', () => {
    setImmediate(replace);
  });
  return {
    start: async (task, signal) => {
      let fail: (reason: Error) => void = () => {};
      const failed = new Promise<never>((_, reject) => {
        fail = reject;
      });
      serving.add(fail);
      // As many threads as CPUs want one, and no more: Piscina makes threads up to its limit for a task that finds all of them
      // busy, which is what a task finds whose own thread is about to die before it is up.
      piscina.options.maxThreads = Math.max(piscina.options.maxThreads, Math.min(serving.size, THREADS_MAX));
      try {
        await Promise.race([
          piscina.run({ ...task, ...codeFor(task.kind) }, signal === undefined ? {} : { signal }),
          failed,
        ]);
      } finally {
        serving.delete(fail);
      }
    },
    close: () => piscina.destroy(),
    get size() {
      return piscina.threads.length;
    },
    get threads() {
      return piscina.threads;
    },
  };
}

let shared: CpuPool | undefined;

/** The process's pool. */
export function sharedPool(): CpuPool {
  shared ??= createPool();
  return shared;
}

/** Ends the process's pool, if there is one; a later machine makes a new one. */
export async function closeSharedPool(): Promise<void> {
  const pool = shared;
  shared = undefined;
  await pool?.close();
}

export const hostCores: number = availableParallelism();
