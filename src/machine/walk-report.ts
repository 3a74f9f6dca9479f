/** What a walk came to, and what of it counts as a failure of the simulated machine. */
import { errnoName } from '#base/errno';
import { unreachable } from '#base/assert';
import type { LogRecord } from '#kernel/dmesg';
import type { KernelInventory } from './inventory.ts';
import type { FindingRecord } from '#smp/printk';
import type { TraceEvent } from '#trace/events';
import type { Fault } from './config.ts';
import type { KvmCpuState } from './kvm-state.ts';
import type { CallOutcome } from './machine.ts';

export const WALK_STAGES = ['boot', 'load', 'offline', 'online', 'unload'] as const;
export type WalkStage = (typeof WALK_STAGES)[number];

/** One system call of the walk. */
export interface WalkCall {
  readonly symbol: string;
  readonly cpu: number;
  /** The module's name, or the CPU's number. */
  readonly argument: string | number;
  readonly outcome: CallOutcome;
}

/** What one step came to. */
export interface StageReport {
  readonly stage: WalkStage;
  /** Why nothing was done, if nothing was. */
  readonly skipped?: string;
  readonly calls: readonly WalkCall[];
  /** Every possible CPU after this step. */
  readonly state: readonly KvmCpuState[];
  /** Sequence numbers [from, to) of what the machine did. */
  readonly from: number;
  readonly to: number;
  /** Allocations asked for since power-on, for who counts them to make one fail. */
  readonly allocations: number;
  /** What is registered and allocated after this step and was not before loading. */
  readonly added: KernelInventory;
}

/** A fault that was armed, and how often it struck. */
export interface FaultReport {
  readonly fault: Fault;
  readonly hits: number;
}

export interface WalkReport {
  readonly stages: readonly StageReport[];
  /** The walk did not get to its end, for this reason. */
  readonly stopped?: 'interrupted' | CallOutcome['kind'];
  readonly log: readonly LogRecord[];
  readonly findings: readonly FindingRecord[];
  readonly findingsLost: number;
  /** What unloading left behind; empty unless the walk came to its end. */
  readonly leaks: readonly Leak[];
  readonly faults: readonly FaultReport[];
  readonly trace: { readonly events: readonly TraceEvent[]; readonly lost: number };
  /** Name of the variable at an address, if it has one. */
  readonly variables: (address: number) => string | undefined;
  /** What went wrong with the simulated machine, in a line each; empty for a machine as it should be. */
  readonly problems: readonly string[];
  /** Host milliseconds: the only part of a report that differs between two runs of one seed. */
  readonly milliseconds: Readonly<Record<string, number>>;
}

/** Something the modules left behind. */
export interface Leak {
  /** Which list of the inventory: `allocations`, `cpuNotifiers`, ... */
  readonly kind: keyof KernelInventory;
  readonly what: string;
}

/** Warnings that the kernel of the time gives on this walk without anything being wrong. None is known. */
const EXPECTED_WARNINGS: readonly string[] = [];

/** What a list entry of the inventory is called. */
function described(kind: keyof KernelInventory, entry: unknown): string {
  if (kind !== 'allocations' || typeof entry !== 'object' || entry === null) {
    return typeof entry === 'string' ? entry : JSON.stringify(entry);
  }
  const { kind: sort, size, cache, allocatedBy } = entry as KernelInventory['allocations'][number];
  const what =
    sort === 'page'
      ? `${size} bytes of pages`
      : sort === 'cache'
        ? `cache ${cache}`
        : `${size} bytes from ${cache}`;
  return allocatedBy === undefined ? what : `${what}, by ${allocatedBy}`;
}

export function leaksOf(added: KernelInventory): Leak[] {
  return (Object.keys(added) as (keyof KernelInventory)[]).flatMap((kind) =>
    added[kind].map((entry: unknown) => ({ kind, what: described(kind, entry) })),
  );
}

const LEAKS_NAMED = 4;

/** One line for each list of the inventory: how many, and the first of them. */
function leakLines(leaks: readonly Leak[]): string[] {
  return [...new Set(leaks.map(({ kind }) => kind))].map((kind) => {
    const names = leaks.filter((leak) => leak.kind === kind).map(({ what }) => what);
    const different = [...new Set(names)];
    const more = different.length > LEAKS_NAMED ? ', ...' : '';
    return `left behind in ${kind}: ${names.length} (${different.slice(0, LEAKS_NAMED).join('; ')}${more})`;
  });
}

/** How a call ended, in words. */
export function outcomeText(outcome: CallOutcome): string {
  switch (outcome.kind) {
    case 'returned':
      return outcome.value < 0 ? errnoName(outcome.value) : String(outcome.value);
    case 'killed':
      return 'killed by an oops';
    case 'panic':
      return 'panic';
    case 'stopped':
      return `the machine was stopped: ${outcome.by}`;
    case 'hung':
      return `hung: ${outcome.cpus.map(({ cpu, stack }) => `CPU ${cpu} in ${stack[0] ?? 'nothing'}`).join(', ')}`;
    case 'steps':
      return 'no end within the step limit';
    case 'machine-check':
      return `machine check: the thread of CPU ${outcome.cpu} died: ${outcome.reason}`;
    default:
      return unreachable(outcome, 'outcomeText');
  }
}

/** `sys_init_module(kvm-amd)` */
export function callName({ symbol, argument }: Pick<WalkCall, 'symbol' | 'argument'>): string {
  return `${symbol}(${argument})`;
}

/** The step limit and a dead thread say nothing about the machine: they are not among its problems. */
export function problemsOf(
  cpus: number,
  stages: readonly StageReport[],
  findings: readonly FindingRecord[],
  leaks: readonly Leak[],
): string[] {
  const calls = stages.flatMap((stage) => stage.calls);
  const failed = calls.filter(
    ({ outcome }) =>
      outcome.kind !== 'steps' &&
      outcome.kind !== 'machine-check' &&
      (outcome.kind !== 'returned' || outcome.value !== 0),
  );
  const reports = findings.filter(
    ({ kind, title }) => kind !== 'warning' || !EXPECTED_WARNINGS.some((text) => title.includes(text)),
  );
  const [boot] = stages;
  const isUp = boot?.calls[0]?.outcome.kind === 'returned';
  const absent = isUp ? boot.state.filter(({ cpu, online }) => cpu < cpus && !online) : [];
  return [
    ...absent.map(({ cpu }) => `CPU ${cpu} did not come online at boot`),
    ...failed.map((call) => `${callName(call)} on CPU ${call.cpu}: ${outcomeText(call.outcome)}`),
    ...reports.map(({ title, cpu }) => `CPU ${cpu}: ${title}`),
    ...leakLines(leaks),
  ];
}
