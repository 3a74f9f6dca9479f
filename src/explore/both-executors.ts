/**
 * One source, two executors: a sample of everything is run on both, and has to be the same to the last byte. Each checks the
 * other: the threads are what the machine is, the fibers what searches it.
 */
import { EXECUTORS, type ExecutorKind } from '#machine/runner';
import type { ScenarioSource } from '#machine/scenario';
import { ScenarioExecutor } from '#machine/scenario-executor';
import { walk } from '#machine/walk';
import { policyNumber } from '#scheduler/policies';
import { encodeTrace } from '#trace/format';
import type { Plan, RunFinding, RunResult } from './executor.ts';
import { compileScenario } from './compile.ts';
import { galleryEntries, galleryScenario } from './gallery.ts';
import { litmusSource } from './litmus.ts';

/** Something that was not the same. */
export interface Difference {
  /** A scenario, a litmus test, or a boot. */
  readonly what: string;
  readonly memoryModel: 'sc' | 'tso';
  readonly policy: string;
  readonly seed: number;
  /** What differs first: a record of the log, how the run ended, what was found, the events, the final state. */
  readonly where: string;
}

export interface Comparison {
  /** Runs that were made on both. */
  readonly compared: number;
  readonly different: readonly Difference[];
  readonly seconds: number;
}

export interface ComparisonOptions {
  /** Host seconds; everything is compared once in any case, and then again with other seeds. */
  readonly seconds: number;
  readonly seed: number;
  /** These scenarios, paths, instead of the gallery. */
  readonly files?: readonly string[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (compared: number, what: string) => void;
}

/** A thing to run, on whichever executor. */
interface Subject {
  readonly what: string;
  readonly models: readonly ('sc' | 'tso')[];
  readonly source: (executor: ExecutorKind) => Promise<ScenarioSource>;
}

/** In a round, of each subject, under each model. */
const SEEDS_PER_ROUND = 2;
const POLICIES = ['random', 'pct', 'pos'] as const;
/** pct wants a depth and a number of steps. */
const PCT_PARAMETERS = [3, 200];
const MODELS = ['sc', 'tso'] as const;
const STORE_BUFFERING_NAME = 'SB.litmus';

/** The shape every memory model is told by: what each CPU reads while its own store is on its way. */
const STORE_BUFFERING = `X86_64 SB
{ uint64_t y; uint64_t x; }
 P0          | P1          ;
 movq $1,(x) | movq $1,(y) ;
 movq (y),%rax | movq (x),%rax ;
exists (0:rax=0 /\\ 1:rax=0)
`;

function subjects(files: readonly string[] | undefined): Subject[] {
  const ids = files === undefined ? galleryEntries().flatMap(({ id }) => [id, `${id}/fixed`]) : [];
  return [
    {
      what: STORE_BUFFERING_NAME,
      models: MODELS,
      source: () => Promise.resolve(litmusSource(STORE_BUFFERING, STORE_BUFFERING_NAME)),
    },
    ...ids.map((id) => ({
      what: id,
      models: MODELS,
      source: (executor: ExecutorKind) => compileScenario(galleryScenario(id)!, executor),
    })),
    ...(files ?? []).map((file) => ({
      what: file,
      models: MODELS,
      source: (executor: ExecutorKind) => compileScenario(file, executor),
    })),
  ];
}

/** What is left of a run when its executor goes on: everything that has to be the same. */
interface Kept {
  readonly stop: number;
  readonly steps: number;
  readonly words: Int32Array;
  readonly findings: string;
  readonly finalState: string;
  readonly events: Uint8Array;
}

function findingsText(findings: readonly RunFinding[]): string {
  // The host's own stack, in a detail, says on what the code ran.
  return findings.map(({ kind, title, cpu, stack }) => `${kind} ${title} ${cpu} ${stack?.join()}`).join('\n');
}

function keep(result: RunResult, events: Uint8Array): Kept {
  return {
    stop: result.stop,
    steps: result.steps,
    words: result.log.words.slice(0, result.log.records * 8),
    findings: findingsText(result.findings),
    finalState: result.finalState,
    events,
  };
}

function isSame(a: Uint8Array | Int32Array, b: Uint8Array | Int32Array): boolean {
  return a.length === b.length && Buffer.compare(bytesOf(a), bytesOf(b)) === 0;
}

function bytesOf(words: Uint8Array | Int32Array): Uint8Array {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength);
}

/** Where two runs part, in words; undefined if they do not. */
function parting(a: Kept, b: Kept): string | undefined {
  if (!isSame(a.words, b.words)) {
    const at = a.words.findIndex((word, index) => word !== b.words[index]);
    return `record ${Math.floor((at < 0 ? Math.min(a.words.length, b.words.length) : at) / 8)} of the operation log`;
  }
  if (a.stop !== b.stop || a.steps !== b.steps) return `the end: ${a.stop} and ${b.stop}`;
  if (a.findings !== b.findings)
    return `what was found: ${a.findings || 'nothing'} and ${b.findings || 'nothing'}`;
  if (a.finalState !== b.finalState) return 'the final state';
  return isSame(a.events, b.events) ? undefined : 'the recorded events';
}

class BothExecutors {
  readonly #options: ComparisonOptions;
  readonly #began = performance.now();
  readonly #different: Difference[] = [];
  #compared = 0;

  constructor(options: ComparisonOptions) {
    this.#options = options;
  }

  async compare(): Promise<Comparison> {
    const all = subjects(this.#options.files);
    for (let round = 0; !this.#isOver(round); round++) {
      await this.#boot(round);
      for (const subject of all) {
        for (const model of subject.models) {
          if (this.#isOver(round)) break;
          await this.#subject(subject, model, round);
        }
      }
    }
    return {
      compared: this.#compared,
      different: this.#different,
      seconds: (performance.now() - this.#began) / 1000,
    };
  }

  #isOver(round: number): boolean {
    if (this.#options.signal?.aborted === true) return true;
    return round > 0 && (performance.now() - this.#began) / 1000 >= this.#options.seconds;
  }

  /** The walk of `smplab boot`: power on, load, offline, online, unload. */
  async #boot(round: number): Promise<void> {
    const seed = (this.#options.seed + round) >>> 0;
    const vendor = round % 2 === 0 ? 'amd' : 'intel';
    const traces: Uint8Array[] = [];
    for (const executor of EXECUTORS) {
      const machine = { cpus: 3, vendor, mode: 'deterministic', executor, seed, trace: 1 } as const;
      const { trace } = await walk({ machine });
      traces.push(encodeTrace({ cpus: 3, events: [...trace.events], lost: trace.lost }));
    }
    const what = `boot, load kvm-${vendor}, offline, online, unload`;
    this.#counted(what);
    if (!isSame(traces[0]!, traces[1]!)) this.#tell(what, 'sc', 'random', seed, 'the trace');
  }

  async #subject({ what, source }: Subject, memoryModel: 'sc' | 'tso', round: number): Promise<void> {
    const seeds = Array.from(
      { length: SEEDS_PER_ROUND },
      (_, index) => (this.#options.seed + round * SEEDS_PER_ROUND + index) >>> 0 || 1,
    );
    const plans = POLICIES.flatMap((policy) =>
      seeds.map((seed) => ({
        policy,
        plan: { prefix: [], policy: policyNumber(policy), seed, parameters: PCT_PARAMETERS } satisfies Plan,
      })),
    );
    const runs: Kept[][] = [];
    for (const executor of EXECUTORS) {
      const machine = await ScenarioExecutor.create(await source(executor), { executor, memoryModel });
      try {
        // The first of each policy with everything that views show.
        runs.push(
          plans.map(({ plan }, index) => {
            if (index % SEEDS_PER_ROUND !== 0) return keep(machine.run(plan), new Uint8Array(0));
            const { result, events } = machine.trace(plan);
            return keep(result, encodeTrace({ cpus: machine.machine.layout.nrPossible, events, lost: 0 }));
          }),
        );
      } finally {
        await machine.close();
      }
    }
    for (const [index, { policy, plan }] of plans.entries()) {
      this.#counted(what);
      const where = parting(runs[0]![index]!, runs[1]![index]!);
      if (where === undefined) continue;
      // What follows in this machine may follow from it.
      this.#tell(what, memoryModel, policy, plan.seed, where);
      return;
    }
  }

  #counted(what: string): void {
    this.#compared++;
    this.#options.onProgress?.(this.#compared, what);
  }

  #tell(what: string, memoryModel: 'sc' | 'tso', policy: string, seed: number, where: string): void {
    this.#different.push({ what, memoryModel, policy, seed, where });
  }
}

/** Runs a sample of everything on both executors. */
export async function compareExecutors(options: ComparisonOptions): Promise<Comparison> {
  return new BothExecutors(options).compare();
}
