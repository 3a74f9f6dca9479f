/**
 * printk, WARN, BUG and panic. @linux kernel/printk.c, kernel/panic.c, as of 2.6.24
 * Records go to a ring in memory; who reads them (dmesg) is in the kernel room.
 *
 * Leaves out: consoles, log levels set at run time, timestamps (a record's place is its sequence number).
 */
import { bus } from '#memory/bus';
import {
  FINDINGS_MAX,
  FINDING_BYTES,
  MACHINE_BLOCK,
  MachineEnd,
  MachineWord,
  PRINTK_RECORDS,
  PRINTK_RECORD_BYTES,
} from '#memory/layout';
import { ByteRecord } from '#memory/record';
import { stackOf } from '#memory/stack';
import { EventType } from '#trace/events';
import { arch } from './arch.ts';

export const KERN_EMERG = 0;
export const KERN_ALERT = 1;
export const KERN_CRIT = 2;
export const KERN_ERR = 3;
export const KERN_WARNING = 4;
export const KERN_NOTICE = 5;
export const KERN_INFO = 6;
export const KERN_DEBUG = 7;

const PRINTK_HEADER_BYTES = 8;

/**
 * Writes one record to the log. Safe in any context: it takes no lock.
 * @param level KERN_EMERG..KERN_DEBUG
 * @param text one line without its newline; what does not fit a record is cut
 */
export function printk(level: number, text: string): void {
  // The fetch-and-add gives each writer a record of its own; that is the log's whole synchronisation.
  const sequence = bus.tally32(MACHINE_BLOCK + MachineWord.PRINTK_WRITTEN * 4, 1);
  const record = new ByteRecord(PRINTK_RECORD_BYTES);
  const length = record.setText(PRINTK_HEADER_BYTES, text);
  record.setU32(0, level | (bus.cpu << 8) | (length << 16));
  record.setU32(4, sequence);
  bus.storeBytes(bus.layout.printk + (sequence % PRINTK_RECORDS) * PRINTK_RECORD_BYTES, record.bytes);
  bus.emit(EventType.PRINTK, sequence, level, 0, 0);
}

/** What the simulated kernel reports about itself. `kind` is stable; scripts match on it. */
export interface FindingRecord {
  readonly kind:
    | 'oops'
    | 'warning'
    | 'bug'
    | 'panic'
    | 'leak'
    | 'slab-corruption'
    | 'javascript-exception'
    /** a loop that touches no memory */
    | 'no-progress'
    /** a scenario's own check */
    | 'check'
    | 'machine-check';
  readonly title: string;
  readonly cpu: number;
  /** Innermost call first. */
  readonly stack: readonly string[];
  /** Whatever else a reader needs: address, registers, the exception's own stack. */
  readonly detail?: string;
}

/** Keeps a finding for the host. Findings beyond the first FINDINGS_MAX are counted only. */
export function report_finding(kind: FindingRecord['kind'], title: string, detail?: string): void {
  const number = bus.tally32(MACHINE_BLOCK + MachineWord.FINDINGS_WRITTEN * 4, 1);
  if (number < FINDINGS_MAX) write_finding(number, kind, title, detail);
  bus.emit(EventType.FINDING, number, kind === 'warning' ? 0 : 1, 0, 0);
}

function write_finding(number: number, kind: FindingRecord['kind'], title: string, detail?: string): void {
  const record: FindingRecord = {
    kind,
    title,
    cpu: bus.cpu,
    stack: stackOf(bus.cpu),
    ...(detail === undefined ? {} : { detail }),
  };
  let json = ByteRecord.encode(JSON.stringify(record));
  if (json.length > FINDING_BYTES - 4) {
    json = ByteRecord.encode(JSON.stringify({ ...record, detail: 'cut', stack: record.stack.slice(0, 16) }));
  }
  // The laboratory's own: no step, so that a run which ends now has told all it counted. Its length comes last and atomically: the
  // host, which may look at any time, takes a record without one for unfinished (Machine.findings).
  const at = bus.layout.findings + number * FINDING_BYTES;
  bus.storeLocalBytes(at + 4, json);
  bus.tally32(at, json.length - bus.loadLocal32(at));
}

/** Prints a report's head, its call trace, and its end. */
function print_stack(): void {
  printk(KERN_WARNING, 'Call Trace:');
  for (const symbol of stackOf(bus.cpu)) printk(KERN_WARNING, ` ${symbol}`);
}

/** Says so if `condition` holds, and goes on; answers the condition. */
export function WARN_ON(condition: boolean, where: string): boolean {
  if (condition) {
    report_finding('warning', `WARNING: at ${where}`);
    printk(KERN_WARNING, `WARNING: at ${where}`);
    print_stack();
  }
  return condition;
}

/** As WARN_ON, with a text of its own and no finding: the kernel complains about its caller, not about itself. */
export function dump_stack(): void {
  print_stack();
}

/** The kernel finds itself broken: ends the task. */
export function BUG_ON(condition: boolean, where: string): void {
  if (!condition) return;
  report_finding('bug', `kernel BUG at ${where}!`);
  printk(KERN_EMERG, `kernel BUG at ${where}!`);
  print_stack();
  arch.killCurrent(`kernel BUG at ${where}`);
}

/** An exception the kernel has no fixup for. */
export function die(title: string, detail?: string): never {
  report_finding('oops', title, detail);
  printk(KERN_EMERG, title);
  print_stack();
  return arch.killCurrent(title);
}

/** The end of the machine. */
export function panic(text: string): never {
  report_finding('panic', `Kernel panic - not syncing: ${text}`);
  printk(KERN_EMERG, `Kernel panic - not syncing: ${text}`);
  return arch.haltMachine(MachineEnd.PANIC);
}
