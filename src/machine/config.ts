/** What a machine is made of, and what a user may get wrong about it. */
import { SmplabError } from '#base/errors';
import { CALL_TIMEOUT_MS_DEFAULT, NR_CPUS, STEPS_MAX_DEFAULT, TRACE_EVENTS_MAX_DEFAULT } from '#base/limits';
import { type HardwareConfig, validateHardware } from '#memory/firmware';
import { TraceMask } from '#memory/layout';
import { EXECUTORS, type ExecutorKind } from './runner.ts';
import { policyNames as strategyNames } from '#scheduler/policies';

/** Something that is made to go wrong: the n-th allocation, or what a name stands for (machine/faults.ts). */
export type Fault = { readonly nth: number; readonly site?: undefined } | SiteFault;

export interface SiteFault {
  readonly site: string;
  /** Answered to the caller; negative. */
  readonly error?: number;
  /** Calls let through first. */
  readonly skip?: number;
  /** The same, counted from 1: the n-th fails, and alone unless `times` says otherwise. */
  readonly nth?: number;
  /** Of a call, 0 to 1. Default: 1. */
  readonly probability?: number;
  /** At most. Default: always, or once if `nth` is given. */
  readonly times?: number;
  /** The one CPU whose calls fail. Default: any. */
  readonly cpu?: number;
  /** Host microseconds, of a fault that is a delay. */
  readonly delayUs?: number;
}

export interface MachineConfig {
  /** CPUs brought up at boot. */
  readonly cpus: number;
  readonly vendor: 'amd' | 'intel';
  /** CPUs there can ever be; each has a thread. Default: `cpus`. */
  readonly possible?: number;
  /** CPUs plugged in; those above stay absent. Default: `possible`. */
  readonly present?: number;
  /** Which x86 kernel. Default x86_64. */
  readonly arch?: 'x86_64' | 'i386';
  readonly mode?: 'parallel' | 'deterministic';
  /** What CPUs run on. Default: threads; fibers, which share the calling thread, only in deterministic mode. */
  readonly executor?: ExecutorKind;
  /** Deterministic mode: a 32-bit number. Default 0. */
  readonly seed?: number;
  /** Deterministic mode: who goes next. Default random. */
  readonly strategy?: string;
  /** Deterministic mode: steps before a run is called a livelock. */
  readonly stepsMax?: number;
  /** Firmware quirks and registers of single CPUs. */
  readonly hardware?: Partial<Omit<HardwareConfig, 'vendor' | 'i386'>>;
  /** The slab allocator's personality. Default slab, which the spec's traces assume. */
  readonly allocator?: 'slab' | 'slub';
  /** TraceMask bits. Default 0: off. */
  readonly trace?: number;
  /** Trace events kept per CPU. */
  readonly traceEventsMax?: number;
  /** Parallel mode: operations on memory that each CPU can record. Default 0: none. */
  readonly record?: number;
  /** Records of the operation log of a machine that is searched. Default 0: it is not. */
  readonly logRecords?: number;
  /** Page frames of the simulated kernel. Default: 512 and 16 per possible CPU. */
  readonly pages?: number;
  /** Polls of a waiting CPU before its thread sleeps. Default by the host's cores. */
  readonly spins?: number;
  /** Host milliseconds a call may take in parallel mode before its CPUs count as hung. */
  readonly callTimeoutMs?: number;
}

/** Half a gigabyte of each: what a machine's memory, which has 31-bit addresses, can hold besides the rest. */
const TRACE_EVENTS_MOST = 0x1000000;
const LOG_RECORDS_MOST = 0x1000000;
const PAGES_MOST = 0x20000;

/** A configuration with every choice made. */
export type ResolvedConfig = Required<Omit<MachineConfig, 'hardware'>> & {
  readonly hardware: HardwareConfig;
};

function bad(message: string): never {
  throw new SmplabError('SMPLAB_BAD_CONFIG', message);
}

function wholeNumber(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    bad(`${name} is ${value}: expected a whole number from ${least} to ${most}`);
  }
}

/**
 * Checks a configuration and fills in what it leaves open.
 * @throws SmplabError SMPLAB_BAD_CONFIG, one line that says what is wrong and what was expected
 */
export function resolveConfig(config: MachineConfig, hostCores: number): ResolvedConfig {
  wholeNumber('cpus', config.cpus, 1, NR_CPUS);
  const possible = config.possible ?? config.cpus;
  wholeNumber('possible', possible, config.cpus, NR_CPUS);
  const present = config.present ?? possible;
  wholeNumber('present', present, config.cpus, possible);
  if (config.vendor !== 'amd' && config.vendor !== 'intel') {
    bad(`vendor is ${String(config.vendor)}: expected amd or intel`);
  }
  const arch = config.arch ?? 'x86_64';
  if (arch !== 'x86_64' && arch !== 'i386') bad(`arch is ${String(arch)}: expected x86_64 or i386`);
  const mode = config.mode ?? 'parallel';
  if (mode !== 'parallel' && mode !== 'deterministic') {
    bad(`mode is ${String(mode)}: expected parallel or deterministic`);
  }
  const allocator = config.allocator ?? 'slab';
  if (allocator !== 'slab' && allocator !== 'slub') {
    bad(`allocator is ${String(allocator)}: expected slab or slub`);
  }
  const executor = config.executor ?? 'threads';
  if (!EXECUTORS.includes(executor)) bad(`executor is ${executor}: expected ${EXECUTORS.join(' or ')}`);
  if (executor === 'fibers' && mode !== 'deterministic')
    bad('executor is fibers: CPUs that share a thread need mode deterministic');
  const strategy = config.strategy ?? 'random';
  if (!strategyNames.includes(strategy))
    bad(`strategy is ${strategy}: expected ${strategyNames.join(' or ')}`);
  const seed = config.seed ?? 0;
  wholeNumber('seed', seed, 0, 0xffffffff);
  const hardware: HardwareConfig = { ...config.hardware, vendor: config.vendor, i386: arch === 'i386' };
  const hardwareError = validateHardware(hardware, possible);
  if (hardwareError !== undefined) bad(hardwareError);
  const resolved: ResolvedConfig = {
    cpus: config.cpus,
    vendor: config.vendor,
    possible,
    present,
    arch,
    mode,
    executor,
    seed,
    strategy,
    stepsMax: config.stepsMax ?? STEPS_MAX_DEFAULT,
    hardware,
    allocator,
    trace: config.trace ?? 0,
    traceEventsMax: config.traceEventsMax ?? TRACE_EVENTS_MAX_DEFAULT,
    record: config.record ?? 0,
    logRecords: config.logRecords ?? 0,
    pages: config.pages ?? 512 + 16 * possible,
    spins: config.spins ?? (config.cpus <= hostCores ? 2000 : 20),
    callTimeoutMs: config.callTimeoutMs ?? CALL_TIMEOUT_MS_DEFAULT,
  };
  wholeNumber('stepsMax', resolved.stepsMax, 1, 0x7fffffff);
  wholeNumber('trace', resolved.trace, 0, TraceMask.ALL);
  wholeNumber('traceEventsMax', resolved.traceEventsMax, 1, TRACE_EVENTS_MOST);
  wholeNumber('record', resolved.record, 0, TRACE_EVENTS_MOST);
  if (resolved.record > 0 && (mode !== 'parallel' || resolved.trace !== 0))
    bad('record: operations are recorded in mode parallel, and instead of a trace');
  wholeNumber('logRecords', resolved.logRecords, 0, LOG_RECORDS_MOST);
  wholeNumber('pages', resolved.pages, 1, PAGES_MOST);
  wholeNumber('spins', resolved.spins, 0, 0x7fffffff);
  wholeNumber('callTimeoutMs', resolved.callTimeoutMs, 1, 0x7fffffff);
  return resolved;
}
