/**
 * A data race as KCSAN lays it out: what both did, from where, what became of the value. The two functions of the first
 * line stand in alphabetical order, as KCSAN has them, so that a race has one title whoever came first.
 */
import { Flow, cpuOf, flowOf } from '#base/strategy';
import { AccessKind, EventType } from '#trace/events';
import {
  Footprint,
  OP_WORDS,
  OpType,
  OpWord,
  type OperationLog,
  footprint,
  opActor,
  opKind,
  opType,
} from '#trace/operations';
import { type Place, RULER, type Surroundings, contextText, hex, placeOf, stackLines } from './finding.ts';

export interface Access extends Place {
  readonly kind: AccessKind;
  readonly isWrite: boolean;
  /** It reads and writes in one. */
  readonly isReadWrite: boolean;
  readonly address: number;
  /** bytes */
  readonly size: number;
  /** pid of the task that ran; 0 where the log does not say, or in an interrupt. */
  readonly pid: number;
  /** Low words. Of a read both are the value read. */
  readonly valueBefore: number;
  readonly valueAfter: number;
}

export interface RaceReport {
  /** In the order of the run. */
  readonly a: Access;
  readonly b: Access;
  /** The bytes both touch. */
  readonly address: number;
  readonly size: number;
  readonly variable: string;
  readonly title: string;
  /** The same in every run for the same two places and variable. */
  readonly identity: string;
}

/** @param earlier, later numbers of the two records, as `RaceDetector.pairs` has them */
export function describeRace(
  log: OperationLog,
  earlier: number,
  later: number,
  around: Surroundings,
): RaceReport {
  const a = describeAccess(log, earlier, around);
  const b = describeAccess(log, later, around);
  const address = Math.max(a.address, b.address);
  const size = Math.min(a.address + a.size, b.address + b.size) - address;
  const variable = around.names.variable(address);
  return { a, b, address, size, variable, ...raceNames(log, earlier, later, variable, around) };
}

function raceNames(
  log: OperationLog,
  earlier: number,
  later: number,
  variable: string,
  around: Surroundings,
): { title: string; identity: string } {
  const sides = [earlier, later].map((record) => {
    const at = record * OP_WORDS;
    const head = log.words[at]!;
    const site = log.words[at + OpWord.SITE]! >>> 0;
    const symbol = around.names.symbol(site);
    return { site, symbol, how: `${symbol} ${manner(writes(head), reads(head), opKind(head))}` };
  });
  const [first, second] = sides.toSorted((x, y) => compare(x.how, y.how));
  // Code outside all functions has no name to tell one place by: the variable does.
  const where = sides.some((side) => side.site === 0) ? ` (${variable})` : '';
  return {
    title: `BUG: KCSAN: data-race in ${first!.symbol} / ${second!.symbol}${where}`,
    identity: `${first!.how} | ${second!.how} | ${variable}`,
  };
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function writes(head: number): boolean {
  // A buffered store writes memory later, at its FLUSH, but it is the program's write.
  return opType(head) === OpType.BUFFER || (footprint(opType(head)) & Footprint.WRITES) !== 0;
}

function reads(head: number): boolean {
  return (footprint(opType(head)) & Footprint.READS) !== 0;
}

/** KCSAN's words: `write`, `read-write (marked)`. */
function manner(isWrite: boolean, isRead: boolean, kind: number): string {
  const base = isWrite ? (isRead ? 'read-write' : 'write') : 'read';
  return kind === AccessKind.PLAIN ? base : `${base} (marked)`;
}

function describeAccess(log: OperationLog, record: number, around: Surroundings): Access {
  const at = record * OP_WORDS;
  const { words } = log;
  const head = words[at]!;
  const isWrite = writes(head);
  // A buffered store finds out what it replaces when it reaches memory.
  const before = opType(head) === OpType.BUFFER ? (flushOf(log, record) ?? record) * OP_WORDS : at;
  const valueBefore = words[before + OpWord.READ]! >>> 0;
  return {
    ...placeOf(log, record, around),
    kind: opKind(head) as AccessKind,
    isWrite,
    isReadWrite: isWrite && reads(head),
    address: words[at + OpWord.ADDRESS]! >>> 0,
    size: words[at + OpWord.SIZE]!,
    pid: pidAt(log, record),
    valueBefore,
    valueAfter: isWrite ? words[at + OpWord.WRITTEN]! >>> 0 : valueBefore,
  };
}

/** The FLUSH of a BUFFER: buffers are first in, first out, so both have the same number among those of their CPU. */
function flushOf(log: OperationLog, buffer: number): number | undefined {
  const cpu = cpuOf(opActor(log.words[buffer * OP_WORDS]!));
  let buffered = 0;
  let flushed = 0;
  for (let record = 0; record < log.records; record++) {
    const head = log.words[record * OP_WORDS]!;
    if (cpuOf(opActor(head)) !== cpu) continue;
    if (opType(head) === OpType.BUFFER && record <= buffer) buffered++;
    if (opType(head) !== OpType.FLUSH) continue;
    flushed++;
    if (record > buffer && flushed === buffered) return record;
  }
  return undefined;
}

/** The task that ran on the record's CPU, from the TASK events before it. Tasks nest. */
function pidAt(log: OperationLog, record: number): number {
  const actor = opActor(log.words[record * OP_WORDS]!);
  if (flowOf(actor) !== Flow.MAIN) return 0;
  const pids: number[] = [];
  for (let before = 0; before < record; before++) {
    const at = before * OP_WORDS;
    const head = log.words[at]!;
    if (opType(head) !== OpType.EVENT + EventType.TASK || opActor(head) !== actor) continue;
    // Of a TASK event SIZE is the pid, READ whether it runs from here on.
    if (log.words[at + OpWord.READ] === 1) pids.push(log.words[at + OpWord.SIZE]!);
    else pids.pop();
  }
  return pids.at(-1) ?? 0;
}

function accessLines(access: Access): string[] {
  const what = manner(access.isWrite, access.isReadWrite || !access.isWrite, access.kind);
  const who = contextText(access.actor, access.pid);
  return [
    `${what} to ${hex(access.address, 8)} of ${access.size} bytes by ${who}:`,
    ...stackLines(access.stack),
  ];
}

/** What the later of the writes did to the value; of 8 bytes and more the low word. */
function changeLine({ a, b }: RaceReport): string {
  const writer = b.isWrite ? b : a;
  const digits = Math.min(writer.size, 4) * 2;
  return `value changed: ${hex(writer.valueBefore, digits)} -> ${hex(writer.valueAfter, digits)}`;
}

/** The whole report, in KCSAN's anatomy. */
export function raceLines(report: RaceReport): string[] {
  const { a, b } = report;
  return [
    RULER,
    report.title,
    '',
    ...accessLines(a),
    '',
    ...accessLines(b),
    '',
    changeLine(report),
    '',
    'Reported by smplab on:',
    `CPU: ${b.cpu} step ${b.step}, after CPU ${a.cpu} step ${a.step}; variable: ${report.variable}`,
    'Neither lock nor barrier nor interrupt puts one of them before the other.',
    RULER,
  ];
}
