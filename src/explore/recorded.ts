/**
 * Parallel runs of a scenario, recorded, and each held against the memory model: some order of its operations under x86-TSO,
 * as the searches have it, has to explain every value that was read. Where none does, the parallel bus is broken, or the
 * record of it.
 */
import { unreachable } from '#base/assert';
import { Does, type Event, type RecordedOperation } from '#checkers/execution';
import type { Edge } from '#checkers/memory-order';
import { type Explained, explainRun } from '#checkers/recorded-run';
import { RecordType, type Recorded } from '#trace/recording';
import { type ParallelRecord, ParallelScenario } from '#machine/parallel-scenario';
import type { CpuPool } from '#machine/pool';
import type { ScenarioSource } from '#machine/scenario';

export interface RecordedOptions {
  readonly runs: number;
  /** Operations of each CPU that are kept: a run that makes more is inconclusive. */
  readonly record?: number;
  /** States that a search for an order enters before it gives up: then the run is inconclusive. */
  readonly statesMax?: number;
  readonly pool?: CpuPool | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A run that no order explains. */
export interface Unexplained {
  readonly run: number;
  readonly title: string;
  /** What contradicts itself, line by line. */
  readonly lines: readonly string[];
}

export interface RecordedReport {
  readonly runs: number;
  readonly explained: number;
  /** Runs that had more operations than fit, came to no end, or asked for too long a search. */
  readonly inconclusive: number;
  /** Operations in the runs that were explained. */
  readonly operations: number;
  /** The first of each title. */
  readonly unexplained: readonly Unexplained[];
}

const RECORD = 20_000;

/** Whether this host's plain accesses keep the order of x86: elsewhere there is nothing to hold them against. */
export function canCheckRecorded(): boolean {
  return process.arch === 'x64' || process.arch === 'ia32';
}

/** Runs a scenario in parallel, again and again, and explains each run. */
export async function checkRecorded(
  source: ScenarioSource,
  options: RecordedOptions,
): Promise<RecordedReport> {
  const scenario = await ParallelScenario.create(source, {
    record: options.record ?? RECORD,
    ...(options.pool === undefined ? {} : { pool: options.pool }),
  });
  try {
    let [explained, inconclusive, operations, runs] = [0, 0, 0, 0];
    const unexplained = new Map<string, Unexplained>();
    while (runs < options.runs && options.signal?.aborted !== true) {
      const { end } = await scenario.run();
      runs++;
      const record = scenario.record();
      const answer = end === 'time' || record.lost > 0 ? undefined : explain(record, options.statesMax);
      if (answer === undefined || answer.kind === 'inconclusive') inconclusive++;
      else if (answer.kind === 'explained') {
        explained++;
        operations += answer.order.length;
      } else {
        const told = new Teller(scenario, record, answer).tell(runs);
        if (!unexplained.has(told.title)) unexplained.set(told.title, told);
      }
    }
    return { runs, explained, inconclusive, operations, unexplained: [...unexplained.values()] };
  } finally {
    await scenario.close();
  }
}

const DOES: Readonly<Record<number, Does>> = {
  [RecordType.LOAD]: Does.LOAD,
  [RecordType.STORE]: Does.STORE,
  [RecordType.RMW]: Does.RMW,
  [RecordType.DRAIN]: Does.DRAIN,
};

function explain(record: ParallelRecord, statesMax: number | undefined): Explained {
  const threads = record.threads.map((all) =>
    all.map((one): RecordedOperation => ({ ...one, does: DOES[one.type]! })),
  );
  return explainRun(
    { threads, initial: record.initial, final: record.final },
    { model: 'tso', isOurs: record.isWhole, ...(statesMax === undefined ? {} : { statesMax }) },
  );
}

/** Says what is wrong with a run that no order explains. */
class Teller {
  readonly #record: ParallelRecord;
  readonly #answer: Extract<Explained, { readonly kind: 'impossible' | 'exhausted' }>;
  readonly #names: ParallelScenario['names'];

  constructor(
    { names }: ParallelScenario,
    record: ParallelRecord,
    answer: Extract<Explained, { readonly kind: 'impossible' | 'exhausted' }>,
  ) {
    this.#names = names;
    this.#record = record;
    this.#answer = answer;
  }

  tell(run: number): Unexplained {
    const events = this.#events();
    const { execution } = this.#answer;
    const cells = events.flatMap((event) => execution.events[event]!.parts.map(({ cell }) => cell));
    const names = [
      ...new Set(cells.map((cell) => this.#names.variable(execution.cells[cell]!.address))),
    ].toSorted();
    const title = `the parallel bus broke its memory model: no order of operations explains what was read of ${names.join(', ')}`;
    return { run, title, lines: this.#lines() };
  }

  #events(): number[] {
    if (this.#answer.kind === 'exhausted') return [...this.#answer.stuck];
    const { circle, unwritten } = this.#answer.why;
    return unwritten === undefined ? circle.map(({ from }) => from) : [unwritten.event];
  }

  #lines(): string[] {
    if (this.#answer.kind === 'exhausted')
      return [
        'All orders were tried. The one that came farthest stopped in front of:',
        ...this.#events().map((event) => `  ${this.#text(event)}`),
      ];
    const { circle, unwritten } = this.#answer.why;
    if (unwritten !== undefined)
      return ['Nobody can have written what this read:', `  ${this.#text(unwritten.event)}`];
    return [
      'Each has to come before the next, and the last before the first:',
      ...circle.map((edge) => `  ${this.#text(edge.from)}  -- ${BECAUSE[edge.because]}`),
    ];
  }

  #text(event: number): string {
    const { execution } = this.#answer;
    const { thread, index, parts } = execution.events[event]!;
    if (index < 0) {
      const [{ cell, read }] = parts as [Event['parts'][number]];
      return `in the end ${this.#names.variable(execution.cells[cell]!.address)} is ${hex(read)}`;
    }
    const one = this.#record.threads[thread]![index]!;
    const site = this.#names.known(one.site);
    return `CPU ${thread} ${doing(one, this.#names.variable(one.address))}${site === undefined ? '' : ` in ${site}`}, operation ${index + 1}`;
  }
}

const BECAUSE: Readonly<Record<Edge['because'], string>> = {
  'program order': 'before the next in program order',
  'read by': 'read by the next',
  'overwritten by': 'overwritten by the next, since that was read later',
  'read before': 'read what the next overwrites',
  'before the end': 'before the end',
};

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

function doing({ type, read, written }: Recorded, variable: string): string {
  switch (type) {
    case RecordType.LOAD:
      return `reads ${hex(read)} from ${variable}`;
    case RecordType.STORE:
      return `writes ${hex(written)} to ${variable}`;
    case RecordType.RMW:
      return `changes ${variable} from ${hex(read)} to ${hex(written)}`;
    case RecordType.DRAIN:
    case RecordType.BULK:
      return 'waits until its stores have reached memory';
    default:
      return unreachable(type, 'doing');
  }
}
