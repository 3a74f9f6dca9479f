/** Jobs: what `&` starts. Each is a process of its own that makes its system calls beside the others. */
import type { JobTexts } from './rewrite.ts';

/** A job that has been started. */
export interface Started {
  readonly pid: number;
  readonly done: Promise<number>;
  interrupt(): void;
}

export interface Job extends Started {
  readonly number: number;
  readonly text: string;
  /** Once it has ended. */
  status: number | undefined;
}

export class Jobs {
  readonly #start: (script: string) => Started;
  readonly #texts: string[] = [];
  readonly #jobs: Job[] = [];

  /** @param start makes a process that runs a script */
  constructor(start: (script: string) => Started) {
    this.#start = start;
  }

  readonly texts: JobTexts = {
    add: (text) => this.#texts.push(text) - 1,
  };

  /** Starts the text with that number. @param before what defines the variables and functions that it may use */
  start(number: number, before: string): Job {
    const text = this.#texts[number]!;
    const started = this.#start(`${before}\n${text}`);
    const { pid, done } = started;
    const job: Job = {
      number: this.#jobs.length + 1,
      pid,
      text: text.trim(),
      done,
      interrupt: () => {
        started.interrupt();
      },
      status: undefined,
    };
    this.#jobs.push(job);
    void (async () => {
      job.status = await done.catch(() => 1);
    })();
    return job;
  }

  get all(): readonly Job[] {
    return this.#jobs;
  }

  /** `%1`, or a process number. */
  find(spec: string): Job | undefined {
    const number = spec.startsWith('%') ? Number(spec.slice(1)) : undefined;
    return this.#jobs.find((job) =>
      number === undefined ? String(job.pid) === spec : job.number === number,
    );
  }

  /** Ends all that still run. */
  async killAll(): Promise<void> {
    for (const job of this.#jobs) if (job.status === undefined) job.interrupt();
    await Promise.allSettled(this.#jobs.map(async ({ done }) => done));
  }
}
