/** The options of `smplab boot`, and the machine they ask for. */
import type { Fault, MachineConfig } from '#machine/config';
import type { ExecutorKind } from '#machine/runner';
import { UsageError } from './exit-code.ts';
import { type QuirkSpec, quirkLayers } from './parse.ts';

export const TRACE_FORMATS = ['tree', 'ftrace', 'perfetto', 'html', 'raw', 'none'] as const;
export type TraceFormat = (typeof TRACE_FORMATS)[number];

/** As commander hands them over. */
export interface BootOptions {
  readonly cpus: number;
  readonly vendor: 'amd' | 'intel';
  readonly possible?: number;
  readonly present?: number;
  readonly arch: 'x86_64' | 'i386';
  readonly slub?: boolean;
  readonly mode: 'parallel' | 'deterministic';
  readonly seed?: number;
  readonly strategy?: string;
  readonly executor?: ExecutorKind;
  readonly maxSteps?: number;
  readonly fault?: readonly Fault[];
  readonly quirk?: readonly QuirkSpec[];
  readonly trace?: TraceFormat;
  readonly traceOut?: string;
  readonly traceBelow?: string;
  readonly traceEvents?: number;
  readonly json?: boolean;
}

const TRACE_FUNCTIONS = 1;
const TRACE_OPERATIONS = 2;
const TRACE_HARDWARE = 4;
const EVENTS_LEAST = 16_384;
/** The booting and the loading CPU each write about 70 events for every other CPU of a walk; this is nearly twice that. */
const EVENTS_PER_CPU = 128;

/** The machine a command line asks for. @throws UsageError where options contradict each other */
export function machineOf(options: BootOptions): MachineConfig {
  const possible = options.possible ?? options.present ?? options.cpus;
  if (possible < options.cpus) {
    throw new UsageError(`--possible ${possible}: expected at least as many as --cpus ${options.cpus}`);
  }
  if (options.present !== undefined && (options.present < options.cpus || options.present > possible)) {
    throw new UsageError(
      `--present ${options.present}: expected ${options.cpus} (--cpus) to ${possible} (--possible)`,
    );
  }
  if (options.mode === 'parallel') {
    for (const [name, value] of Object.entries({
      seed: options.seed,
      strategy: options.strategy,
      executor: options.executor,
      'max-steps': options.maxSteps,
    })) {
      if (value !== undefined) throw new UsageError(`--${name}: needs --mode deterministic`);
    }
  }
  // printk, hotplug and MSR events are there in any case: without them the log would have no order.
  const functions = options.trace === 'none' ? 0 : TRACE_FUNCTIONS;
  // A page shows who touched what; a machine that runs in parallel records no operations.
  const isWhole = options.trace === 'html' || options.trace === 'raw';
  const operations = isWhole && options.mode === 'deterministic' ? TRACE_OPERATIONS : 0;
  const trace = TRACE_HARDWARE | functions | operations;
  return {
    cpus: options.cpus,
    vendor: options.vendor,
    possible,
    ...(options.present === undefined ? {} : { present: options.present }),
    arch: options.arch,
    allocator: options.slub === true ? 'slub' : 'slab',
    mode: options.mode,
    ...(options.executor === undefined ? {} : { executor: options.executor }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.strategy === undefined ? {} : { strategy: options.strategy }),
    ...(options.maxSteps === undefined ? {} : { stepsMax: options.maxSteps }),
    hardware: quirkLayers(options.quirk ?? [], options.vendor, possible),
    trace,
    traceEventsMax: options.traceEvents ?? Math.max(EVENTS_LEAST, EVENTS_PER_CPU * possible),
  };
}
