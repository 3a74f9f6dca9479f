/**
 * The report of an exact deadlock: nobody can go on and somebody is not done. The executor says who waits for what; who
 * holds it is read from the log.
 */
import { type Actor, Flow, cpuOf, flowOf } from '#base/strategy';
import { EventType, LockOperation } from '#trace/events';
import { Footprint, OP_WORDS, OpType, OpWord, type OperationLog, footprint, opType } from '#trace/operations';
import {
  type Finding,
  type Place,
  RULER,
  type Surroundings,
  contextText,
  hex,
  placeOf,
  stackLines,
} from './finding.ts';

/** A flow that cannot go on, as the executor found it at the end of the run. */
export interface Waiting {
  readonly actor: Actor;
  /** What its next step would be: ACQUIRE, AWAIT, FENCE, ... */
  readonly type: OpType;
  /** The word it waits for; 0 where it waits for none (an interrupt that never comes). */
  readonly address: number;
  /** Innermost kernel function. */
  readonly site: number;
  /** Innermost first; empty where it is not known. */
  readonly stack?: readonly string[];
}

export interface BlockedFlow extends Waiting {
  readonly cpu: number;
  readonly stack: readonly string[];
  readonly variable: string;
  /** Who took the lock it waits for, or wrote the word it waits for last. */
  readonly holder: Place | undefined;
  /** The word is a lock, and `holder` holds it. */
  readonly isLock: boolean;
}

export interface DeadlockReport {
  readonly title: string;
  readonly blocked: readonly BlockedFlow[];
  /** Actors that wait for each other in a ring, each for the next; empty where the deadlock is no ring of locks. */
  readonly ring: readonly Actor[];
}

const LOCK_EVENT = OpType.EVENT + EventType.LOCK;

/**
 * The record that took a lock which is held at the end of the log, -1 if nobody holds it.
 * Locks say so by LOCK events; a lock that is a bare word is taken by ACQUIRE and let go by a store of 0.
 */
function holderOf(log: OperationLog, lock: number): number {
  const { words } = log;
  for (let record = log.records - 1; record >= 0; record--) {
    const at = record * OP_WORDS;
    if (words[at + OpWord.ADDRESS]! >>> 0 !== lock) continue;
    const type = opType(words[at]!);
    // Of a LOCK event SIZE is what was done. Who only waited says nothing about who holds.
    if (type === LOCK_EVENT && words[at + OpWord.SIZE] === LockOperation.ACQUIRED) return record;
    if (type === LOCK_EVENT && words[at + OpWord.SIZE] === LockOperation.RELEASED) return -1;
    if (type === OpType.ACQUIRE) return record;
    const writes = (footprint(type) & Footprint.WRITES) !== 0;
    if (writes && type !== OpType.RMW && words[at + OpWord.WRITTEN] === 0) return -1;
  }
  return -1;
}

/** The record that wrote a word last, -1 if none did. */
function lastWriter(log: OperationLog, address: number): number {
  for (let record = log.records - 1; record >= 0; record--) {
    const at = record * OP_WORDS;
    const type = opType(log.words[at]!);
    if (type >= OpType.EVENT || (footprint(type) & Footprint.WRITES) === 0) continue;
    const from = log.words[at + OpWord.ADDRESS]! >>> 0;
    if (from < address + 4 && address < from + log.words[at + OpWord.SIZE]!) return record;
  }
  return -1;
}

function describeWaiting(log: OperationLog, waiting: Waiting, around: Surroundings): BlockedFlow {
  const { actor, address, site } = waiting;
  const holder = address === 0 ? -1 : holderOf(log, address);
  const record = holder >= 0 || address === 0 ? holder : lastWriter(log, address);
  const known = waiting.stack ?? [];
  return {
    ...waiting,
    cpu: cpuOf(actor),
    stack: known.length > 0 ? known : [around.names.symbol(site)],
    variable: address === 0 ? 'an interrupt' : around.names.variable(address),
    holder: record < 0 ? undefined : placeOf(log, record, around),
    isLock: holder >= 0,
  };
}

/** @param waiting every flow that is not done, in the order of actors */
export function describeDeadlock(
  log: OperationLog,
  waiting: readonly Waiting[],
  around: Surroundings,
): DeadlockReport {
  const blocked = waiting.map((flow) => describeWaiting(log, flow, around));
  const ring = findRing(blocked);
  const inRing = blocked.filter((flow) => ring.includes(flow.actor));
  const told = inRing.length > 0 ? inRing : blocked;
  const names = [...new Set(told.map((flow) => flow.variable))].toSorted();
  const title = `BUG: deadlock, ${flowsText(told.length)} waiting for ${forWhat(inRing)}: ${names.join(', ')}`;
  return { title, blocked, ring };
}

function forWhat(ring: readonly BlockedFlow[]): string {
  if (ring.length === 0) return 'what nobody will do';
  if (ring.length > 1) return 'each other';
  return ring[0]!.holder!.actor === ring[0]!.actor ? 'itself' : 'what it interrupted';
}

function flowsText(count: number): string {
  return count === 1 ? '1 flow' : `${count} flows`;
}

/** Follows from each flow the holder of the lock it waits for, until somebody comes up twice. */
function findRing(blocked: readonly BlockedFlow[]): Actor[] {
  for (const start of blocked) {
    const path: Actor[] = [];
    let at: BlockedFlow | undefined = start;
    while (at !== undefined && !path.includes(at.actor)) {
      path.push(at.actor);
      at = at.isLock && at.holder !== undefined ? inTheWayOf(at.holder.actor, blocked) : undefined;
    }
    if (at !== undefined) return path.slice(path.indexOf(at.actor));
  }
  return [];
}

/** Why a holder does not go on: it is blocked itself, or an interrupt that landed on it is. */
function inTheWayOf(holder: Actor, blocked: readonly BlockedFlow[]): BlockedFlow | undefined {
  const itself = blocked.find((flow) => flow.actor === holder);
  if (itself !== undefined) return itself;
  return blocked.find(
    (flow) => flow.cpu === cpuOf(holder) && flow.actor > holder && flowOf(flow.actor) !== Flow.BUFFER,
  );
}

function waitText(flow: BlockedFlow): string {
  const { variable, address, holder, isLock, actor } = flow;
  const what = address === 0 ? variable : `${variable} (${hex(address, 8)})`;
  if (holder === undefined) return `waits for ${what}, which nobody has written`;
  const self = holder.actor === actor ? ' itself' : '';
  const verb = isLock ? 'held by' : 'last written by';
  return `waits for ${what}, ${verb} ${contextText(holder.actor)}${self} since step ${holder.step}`;
}

export function deadlockLines(report: DeadlockReport): string[] {
  const lines = [RULER, report.title];
  for (const flow of report.blocked) {
    lines.push('', `${contextText(flow.actor)} ${waitText(flow)}:`, ...stackLines(flow.stack));
    if (flow.holder !== undefined && flow.isLock) {
      lines.push('taken at:', ...stackLines(flow.holder.stack));
    }
  }
  lines.push('', 'No flow can go on, and simulated time brings nothing.', RULER);
  return lines;
}

export function deadlockFinding(
  log: OperationLog,
  waiting: readonly Waiting[],
  around: Surroundings,
): Finding {
  const report = describeDeadlock(log, waiting, around);
  const first = report.blocked.find((flow) => report.ring.includes(flow.actor)) ?? report.blocked[0];
  const finding = { kind: 'deadlock', title: report.title, detail: deadlockLines(report).join('\n') };
  return first === undefined ? finding : { ...finding, cpu: first.cpu, stack: first.stack };
}
