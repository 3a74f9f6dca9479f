/** Litmus tests, exhausted on the machine: every final state it can come to under a memory model. */
import { executionKey } from '#litmus/execution-key';
import { registerWords } from '#litmus/layout';
import { finalState, type LitmusVerdict, Outcomes } from '#litmus/outcome';
import { parseLitmus } from '#litmus/parse';
import { type LitmusProgram, accessBytesMin } from '#litmus/program';
import { SmplabError } from '#base/errors';
import { LitmusEnd, type LitmusScenario, type ScenarioSource, scenarioOfProgram } from '#machine/scenario';
import type { ExecutorKind } from '#machine/runner';
import { ScenarioExecutor } from '#machine/scenario-executor';
import type { MachineShelf } from '#machine/shelf';
import { DporSearch } from './dpor.ts';
import { type RunResult, RunStop } from './executor.ts';

export interface LitmusOptions {
  readonly memoryModel: 'sc' | 'tso';
  /** Schedules at most; an incomplete answer says so. */
  readonly runs?: number;
  readonly signal?: AbortSignal;
  /** What CPUs run on. Default: fibers. */
  readonly executor?: ExecutorKind | undefined;
  /** Where booted machines are kept between tests: many tests boot one for each number of threads. */
  readonly shelf?: MachineShelf | undefined;
}

export interface LitmusResult {
  readonly program: LitmusProgram;
  readonly verdict: LitmusVerdict;
  readonly complete: boolean;
  /** Why states may be missing. */
  readonly incomplete: string | undefined;
  readonly schedules: number;
}

const RUNS_MAX = 5_000_000;
/** Page frames of the machine: booting takes some, a test takes none. */
const PAGES = 64;
/** Between two looks at the event loop. */
const RUNS_AT_ONCE = 2_000;

/** The scenario that a litmus text is, as CPU threads take it. */
export function litmusSource(text: string, file: string): ScenarioSource {
  const made = `require('smplab').litmusScenario(${JSON.stringify(text)}, ${JSON.stringify(file)})`;
  return { file, code: `exports.default = ${made};` };
}

/**
 * Runs a litmus test to its last interleaving.
 * @throws SmplabError SMPLAB_BAD_LITMUS for a text that is none, or a test that leaves its variables
 */
export async function runLitmus(text: string, file: string, options: LitmusOptions): Promise<LitmusResult> {
  const program = parseLitmus(text, file);
  const source = litmusSource(text, file);
  const isThreaded = options.executor === 'threads';
  const here = isThreaded ? source : { ...source, make: () => scenarioOfProgram(program) };
  const executor = await ScenarioExecutor.create(here, {
    memoryModel: options.memoryModel,
    executor: options.executor,
    shelf: options.shelf,
    pages: PAGES,
  });
  try {
    return await new LitmusRun(executor, program, file, options).result();
  } finally {
    await executor.close();
  }
}

class LitmusRun {
  readonly #executor: ScenarioExecutor;
  readonly #program: LitmusProgram;
  readonly #file: string;
  readonly #options: LitmusOptions;
  readonly #outcomes: Outcomes;
  readonly #cell: number;
  #incomplete: string | undefined;
  #schedules = 0;

  constructor(executor: ScenarioExecutor, program: LitmusProgram, file: string, options: LitmusOptions) {
    this.#executor = executor;
    this.#program = program;
    this.#file = file;
    this.#options = options;
    this.#outcomes = new Outcomes(program);
    this.#cell = accessBytesMin(program);
  }

  async result(): Promise<LitmusResult> {
    const search = new DporSearch({ runs: this.#options.runs ?? RUNS_MAX });
    for (let plan = search.next(); plan !== undefined; plan = search.next()) {
      const result = this.#executor.run(plan);
      this.#schedules++;
      search.observe(result);
      this.#take(result);
      if (this.#schedules % RUNS_AT_ONCE !== 0) continue;
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#options.signal?.aborted === true) {
        this.#incomplete = 'interrupted';
        break;
      }
    }
    const covered = search.statement().complete;
    if (!covered) this.#incomplete ??= `stopped after ${this.#schedules} schedules`;
    return {
      program: this.#program,
      verdict: this.#outcomes.verdict(),
      complete: this.#incomplete === undefined,
      incomplete: this.#incomplete,
      schedules: this.#schedules,
    };
  }

  #take(result: RunResult): void {
    const [finding] = result.findings;
    if (finding !== undefined) throw new SmplabError('SMPLAB_BAD_LITMUS', `${this.#file}: ${finding.title}`);
    if (result.stop === RunStop.STEP_LIMIT) this.#incomplete = 'a schedule met the step limit';
    if (result.stop !== RunStop.COMPLETE) return;
    const { program, layout, variables, registers, ends } = (this.#executor.loaded.scenario as LitmusScenario)
      .litmus;
    const { u8, i32 } = this.#executor.machine.bus;
    const threads = program.threads.length;
    let isDone = true;
    for (let thread = 0; thread < threads; thread++) {
      const end = i32[(ends >>> 2) + thread]!;
      if (end === LitmusEnd.LIMIT) this.#incomplete = 'a thread met its limit of instructions';
      if (end !== LitmusEnd.DONE) isDone = false;
    }
    if (!isDone) return;
    const words = threads * registerWords(program);
    const state = finalState(
      program,
      layout,
      u8.slice(variables, variables + layout.bytes),
      i32.slice(registers >>> 2, (registers >>> 2) + words),
    );
    this.#outcomes.add(state, executionKey(result.log, variables, layout.bytes, this.#cell));
  }
}
