/**
 * Traces in files: `smp-trace/1` with what its numbers mean beside them, so that a reader needs no machine. Of a run that was
 * logged step by step the steps are in it too, and what decides: all that a picture is made from.
 */
import { SmplabError } from '#base/errors';
import { EventType, type TraceEvent } from '#trace/events';
import { decodeTrace, encodeTrace } from '#trace/format';
import { type Step, type WrittenSteps, stepsOf, writtenSteps } from '#trace/steps';
import type { Finding, LogLine, TraceModel } from './model.ts';
import { hex } from './names.ts';
import type { DecisivePair, PictureFacts, RunPictureInput, TracePictureInput } from './picture.ts';

type Names = Readonly<Record<string, string>>;

/** The JSON of a trace file. Keys may be added. */
interface About {
  readonly kind: 'trace' | 'run';
  readonly title: string;
  readonly facts: PictureFacts;
  readonly command?: string;
  /** By address, in decimal. */
  readonly symbols: Names;
  readonly variables: Names;
  readonly log: readonly LogLine[];
  readonly findings: readonly Finding[];
  readonly run?: AboutRun;
}

interface AboutRun {
  readonly steps: WrittenSteps;
  readonly waiting: WrittenSteps;
  readonly unreached: WrittenSteps;
  readonly decisive?: readonly DecisivePair[];
  /** What the run's own FINDING events are. */
  readonly said: readonly { readonly kind: string; readonly title: string; readonly cpu?: number }[];
}

/** What a trace file holds, as views take it. */
export type TraceFile =
  | { readonly kind: 'trace'; readonly input: TracePictureInput }
  | { readonly kind: 'run'; readonly model: TraceModel; readonly input: RunPictureInput };

const HAS_ADDRESS: ReadonlySet<EventType> = new Set<EventType>([
  EventType.LOAD,
  EventType.STORE,
  EventType.RMW,
  EventType.BULK,
  EventType.FLUSH,
  EventType.LOCK,
  EventType.ALLOCATION,
]);

/** The names of all addresses that have one. */
function namesOf(addresses: Iterable<number>, name: (address: number) => string | undefined): Names {
  const names: [string, string][] = [];
  for (const address of [...new Set(addresses)].toSorted((a, b) => a - b)) {
    const found = name(address);
    if (found !== undefined && !found.startsWith('0x')) names.push([String(address), found]);
  }
  return Object.fromEntries(names);
}

function symbolAddresses(events: readonly TraceEvent[], steps: readonly Step[]): number[] {
  const called = events.filter(
    ({ type }) => type === EventType.FUNCTION_ENTRY || type === EventType.FUNCTION_EXIT,
  );
  const sites = steps.flatMap(({ operations }) => operations.map(({ site }) => site));
  return [...called.map(({ a }) => a), ...sites];
}

function dataAddresses(events: readonly TraceEvent[], steps: readonly Step[]): number[] {
  const touched = events.filter(({ type }) => HAS_ADDRESS.has(type)).map(({ a }) => a);
  const operated = steps.flatMap(({ operations }) => operations.map(({ address }) => address));
  const told = steps.flatMap(({ facts }) =>
    facts.filter(({ type }) => HAS_ADDRESS.has(type)).map(({ a }) => a),
  );
  return [...touched, ...operated, ...told];
}

export function writeTraceFile({ model, title, facts, command }: TracePictureInput): Uint8Array {
  const { events, cpus, lost, symbols, variables = () => undefined, log = [], findings = [] } = model;
  const about: About = {
    kind: 'trace',
    title,
    facts,
    ...(command === undefined ? {} : { command }),
    symbols: namesOf(symbolAddresses(events, []), symbols),
    variables: namesOf(dataAddresses(events, []), variables),
    log,
    findings,
  };
  return encodeTrace({ cpus, events, lost, about });
}

export function writeRunFile({ run, decisive, findings, facts, command }: RunPictureInput): Uint8Array {
  const { steps, waiting = [], unreached = [], traced, cpus, names, printed } = run;
  const all = [...steps, ...waiting, ...unreached];
  const about: About = {
    kind: 'run',
    title: findings[0]?.title ?? '',
    facts,
    ...(command === undefined ? {} : { command }),
    symbols: namesOf(symbolAddresses(traced, all), (address) => names.symbol(address)),
    variables: namesOf(dataAddresses(traced, all), (address) => names.variable(address)),
    log: printed,
    findings,
    run: {
      steps: writtenSteps(steps),
      waiting: writtenSteps(waiting),
      unreached: writtenSteps(unreached),
      ...(decisive === undefined ? {} : { decisive }),
      said: run.findings.map(({ kind, title, cpu }) => ({
        kind,
        title,
        ...(cpu === undefined ? {} : { cpu }),
      })),
    },
  };
  return encodeTrace({ cpus, events: traced, lost: 0, about });
}

/**
 * @param known names of kernel functions of this version: for a file without names of its own
 * @throws SmplabError SMPLAB_BAD_USAGE
 */
export function readTraceFile(bytes: Uint8Array, known: (address: number) => string | undefined): TraceFile {
  const { cpus, events, lost, about } = decodeTrace(bytes);
  const stray = events.find(({ cpu }) => cpu >= cpus);
  if (stray !== undefined) refuse(`an event is of CPU ${stray.cpu}, and there are ${cpus}`);
  if (about === undefined) {
    const model: TraceModel = { events, cpus, lost, symbols: known };
    return { kind: 'trace', input: { model, title: 'A trace', facts: [['CPUs', String(cpus)]] } };
  }
  const { title, facts, command, symbols, variables, log, findings, run } = checked(about);
  const model: TraceModel = {
    events,
    cpus,
    lost,
    symbols: (address) => symbols[address],
    variables: (address) => variables[address],
    log,
    findings,
  };
  const told = command === undefined ? {} : { command };
  if (run === undefined) return { kind: 'trace', input: { model, title, facts, ...told } };
  const steps = stepsOf(run.steps);
  const input: RunPictureInput = {
    run: {
      steps,
      waiting: stepsOf(run.waiting),
      unreached: stepsOf(run.unreached),
      traced: events,
      cpus,
      names: {
        symbol: (address) => symbols[address] ?? hex(address),
        variable: (address) => variables[address] ?? `0x${address.toString(16).padStart(8, '0')}`,
      },
      symbols: (address) => symbols[address],
      printed: log,
      log,
      findings: run.said,
    },
    ...(run.decisive === undefined ? {} : { decisive: run.decisive }),
    findings,
    facts,
    ...told,
  };
  return { kind: 'run', model, input };
}

function refuse(why: string): never {
  throw new SmplabError('SMPLAB_BAD_USAGE', `the trace is damaged: ${why}`);
}

function isTable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Whoever wrote the file wrote what a reader counts on. */
function checked(about: Partial<About>): About {
  const { kind, title, facts, symbols, variables, log, findings, run } = about;
  const isWhole =
    typeof title === 'string' &&
    Array.isArray(facts) &&
    isTable(symbols) &&
    isTable(variables) &&
    Array.isArray(log) &&
    Array.isArray(findings);
  if (!isWhole) refuse('what it says about itself is not whole');
  const isRun =
    isTable(run) &&
    [run?.steps, run?.waiting, run?.unreached].every(
      (steps) => Array.isArray(steps?.index) && Array.isArray(steps.words),
    ) &&
    Array.isArray(run?.said);
  if (kind === 'run' ? !isRun : run !== undefined) refuse('its steps are not whole');
  return about as About;
}
