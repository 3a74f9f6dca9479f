/**
 * The threads that do a campaign's parts: a Piscina pool, and this one. The others start at once, while the scenario is still
 * being compiled.
 */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { SmplabError } from '#base/errors';
import type { ExploreDocument } from './explore-document.ts';
import { type JobAnswer, type JobTask, explorePart } from './job.ts';

/** The built entry of such a thread, beside this file's own build. */
function jobEntry(): string {
  const here = import.meta.url;
  const root = here.slice(0, here.lastIndexOf('/dist/') + '/dist/'.length);
  return fileURLToPath(new URL('cli/job.js', root));
}

/** Milliseconds that a part on this thread goes on before others of it are heard: a thread that is ready wants its part. */
const TURN_MS = 5;

export class JobPool {
  readonly #pool: Piscina;
  // wall: shared-memory: a word that threads of the host share, and no simulated memory
  readonly #word = new SharedArrayBuffer(4);
  // wall: typed-array: the same word
  readonly #stop: Int32Array = new Int32Array(this.#word);

  /** @param jobs threads beside this one @param entry the file that threads load, for tests */
  constructor(jobs: number, entry: string = jobEntry()) {
    this.#pool = new Piscina({
      filename: entry,
      minThreads: jobs,
      maxThreads: jobs,
      idleTimeout: Infinity,
      concurrentTasksPerWorker: 1,
      recordTiming: false,
    });
    // Whoever waits for a part is told: its promise is rejected. Without a listener Node would end the process.
    this.#pool.on('error', () => {});
  }

  /** @throws SmplabError what the part threw, or SMPLAB_HOST_FAILED if its thread died */
  async run(task: Omit<JobTask, 'stop'>): Promise<ExploreDocument> {
    let answer: JobAnswer;
    try {
      answer = (await this.#pool.run({ ...task, stop: this.#stop }, { name: 'explorePart' })) as JobAnswer;
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new SmplabError('SMPLAB_HOST_FAILED', `a job of the search died: ${why}`);
    }
    return documentOf(answer);
  }

  /** The same on this thread. */
  async runHere({ source, options }: Omit<JobTask, 'stop'>): Promise<ExploreDocument> {
    return documentOf(
      await explorePart({ source, options: { ...options, turnMs: TURN_MS }, stop: this.#stop }),
    );
  }

  /** Every part comes back with what it has. */
  stop(): void {
    // wall: shared-memory: the same word
    Atomics.store(this.#stop, 0, 1);
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

function documentOf(answer: JobAnswer): ExploreDocument {
  if ('document' in answer) return answer.document;
  throw new SmplabError(answer.code, answer.message);
}
