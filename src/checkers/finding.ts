/** What checkers say, and what they ask of whoever runs them. */
import { cpuOf, flowOf, type Actor, Flow } from '#base/strategy';
import {
  OP_WORDS,
  OpFlag,
  OpType,
  OpWord,
  type OperationLog,
  opActor,
  opFlags,
  opType,
} from '#trace/operations';

/** One defect of one run. The shape is that of `RunFinding` of the explore room, which checkers may not import. */
export interface Finding {
  /** Stable; scripts match on it. */
  readonly kind: string;
  /** One line, as the kernel would print it. The same defect gives the same title in every run. */
  readonly title: string;
  readonly cpu?: number;
  /** Innermost first. */
  readonly stack?: readonly string[];
  readonly detail?: string;
}

/** Answer of a clean run: always this one, so that nothing is allocated. */
export const NO_FINDINGS: readonly Finding[] = Object.freeze([]);

/** How addresses are called. Must give the same name in every run for what is the same in every run. */
export interface Names {
  /** Kernel function at an address; asked for 0 too, which is code outside all of them. */
  symbol(address: number): string;
  /** `call_data`, `runqueues+8 (cpu 1)`, or the address in hex where nothing is known. */
  variable(address: number): string;
}

/**
 * The call stack of a CPU at a step, innermost first; empty where it is not known. Only the replay of a failing run
 * keeps stacks: a search run knows the innermost function of each operation and no more.
 */
export type StackAt = (step: number, cpu: number) => readonly string[];

/** Where in a run something happened. */
export interface Place {
  readonly actor: Actor;
  readonly cpu: number;
  /** Number of the step in the run, from 0. */
  readonly step: number;
  /** Address of the innermost kernel function. */
  readonly site: number;
  /** Innermost first; at least the name of `site`. */
  readonly stack: readonly string[];
}

export interface Surroundings {
  readonly names: Names;
  readonly stackAt?: StackAt | undefined;
}

/** Number of the step that a record belongs to, from 0. Walks the log: for reports, not for every record. */
export function stepOfRecord(log: OperationLog, record: number): number {
  let step = -1;
  for (let at = 0; at <= record; at++) {
    const head = log.words[at * OP_WORDS + OpWord.HEAD]!;
    if (opType(head) < OpType.EVENT && (opFlags(head) & OpFlag.CONTINUES) === 0) step++;
  }
  return Math.max(step, 0);
}

export function placeOf(log: OperationLog, record: number, around: Surroundings): Place {
  const at = record * OP_WORDS;
  const actor = opActor(log.words[at + OpWord.HEAD]!);
  const site = log.words[at + OpWord.SITE]! >>> 0;
  const cpu = cpuOf(actor);
  const step = stepOfRecord(log, record);
  const known = around.stackAt?.(step, cpu) ?? [];
  return { actor, cpu, step, site, stack: known.length > 0 ? known : [around.names.symbol(site)] };
}

/** `task on cpu 1`, `task 7 on cpu 1`, `interrupt on cpu 0`: KCSAN's way to say who. */
export function contextText(actor: Actor, pid = 0): string {
  const cpu = cpuOf(actor);
  if (flowOf(actor) !== Flow.MAIN) return `interrupt on cpu ${cpu}`;
  return pid === 0 ? `task on cpu ${cpu}` : `task ${pid} on cpu ${cpu}`;
}

/** @param digits at least that many, with zeros in front */
export function hex(value: number, digits = 1): string {
  return `0x${(value >>> 0).toString(16).padStart(digits, '0')}`;
}

export function stackLines(stack: readonly string[]): string[] {
  return stack.map((symbol) => ` ${symbol}`);
}

/** The frame kernel reports stand in. */
export const RULER = '='.repeat(66);
