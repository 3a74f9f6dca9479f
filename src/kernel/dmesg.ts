/**
 * Reads the log. For the host, at rest: plain reads, no kernel function.
 * The records are described in memory/layout and written in smp/printk.
 */
import { bus } from '#memory/bus';
import { MACHINE_BLOCK, MachineWord, PRINTK_RECORDS, PRINTK_RECORD_BYTES } from '#memory/layout';

export interface LogRecord {
  /** Place in the log since power-on; records that the ring has overwritten are missing. */
  readonly seq: number;
  readonly cpu: number;
  /** KERN_EMERG (0) .. KERN_DEBUG (7) */
  readonly level: number;
  readonly text: string;
}

const HEADER_BYTES = 8;
const decoder = new TextDecoder();

/** The records the ring still holds, oldest first. */
export function dmesg(): LogRecord[] {
  const written = bus.loadLocal32(MACHINE_BLOCK + MachineWord.PRINTK_WRITTEN * 4);
  const records: LogRecord[] = [];
  for (let seq = Math.max(0, written - PRINTK_RECORDS); seq < written; seq++) {
    const at = bus.layout.printk + (seq % PRINTK_RECORDS) * PRINTK_RECORD_BYTES;
    const header = bus.loadLocal32(at);
    // Numbered but not yet written: its CPU was stopped in the middle of printk.
    if (bus.loadLocal32(at + 4) !== seq || (seq === 0 && header === 0)) continue;
    const bytes = bus.loadBytes(at + HEADER_BYTES, header >>> 16);
    records.push({ seq, cpu: (header >>> 8) & 0xff, level: header & 0xff, text: decoder.decode(bytes) });
  }
  return records;
}
