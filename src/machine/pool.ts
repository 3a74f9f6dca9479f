/** The threads that are CPUs: a Piscina pool in which one task is one CPU's life. Threads outlive machines. */
import { fileURLToPath } from 'node:url';
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import type { GeometryInput } from '#memory/layout';

/** As cpu-worker/main.ts declares it: the two rooms meet only here and in memory. */
interface CpuTask {
  readonly buffer: SharedArrayBuffer;
  readonly geometry: GeometryInput;
  readonly cpu: number;
}

/** Threads a pool may have: four machines of the largest kind. */
const THREADS_MAX = 1024;

export interface CpuPool {
  /** Starts a CPU on a free thread, or a new one. The promise settles when that CPU is powered off, or its thread dies. */
  start(task: CpuTask, signal: AbortSignal): Promise<void>;
  /** Ends every thread. */
  close(): Promise<void>;
  /** Threads alive. */
  readonly size: number;
}

/** The built entry of a CPU thread, beside this file's own build. */
function cpuEntry(): string {
  const here = import.meta.url;
  const root = here.slice(0, here.lastIndexOf('/dist/') + '/dist/'.length);
  return fileURLToPath(new URL('cpu-worker/loader.cjs', root));
}

/** Makes a pool. Its threads start as machines ask for them, and stay. */
export function createPool(): CpuPool {
  const piscina = new Piscina({
    filename: cpuEntry(),
    minThreads: 0,
    maxThreads: THREADS_MAX,
    idleTimeout: Infinity,
    concurrentTasksPerWorker: 1,
    // Idle threads block in Piscina's own wait; a CPU's waiting is ours, in the machine's memory.
    atomics: 'sync',
    recordTiming: false,
  });
  return {
    start: async (task, signal) => {
      await piscina.run(task, { name: 'serve', signal });
    },
    close: () => piscina.destroy(),
    get size() {
      return piscina.threads.length;
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
