/** The kernel's log as a console shows it, and as `dmesg` prints it. */
import { type LogRecord, dmesg } from '#kernel/dmesg';
import type { Machine } from '#machine/machine';

/** Records of a lower level than this appear on the console: warnings and worse. */
const CONSOLE_LOGLEVEL = 5;

export function logLine({ seq, text }: LogRecord): string {
  return `[${String(seq).padStart(6)}] ${text}`;
}

export class KernelLog {
  readonly #machine: Machine;
  /** Of the console: 1 shows only the very worst. */
  level = CONSOLE_LOGLEVEL;
  #shown = 0;
  #cleared = 0;

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /** Lines that have come since the last look and belong on the console. */
  news(): string[] {
    const records = this.#machine.look(dmesg).filter(({ seq }) => seq >= this.#shown);
    this.#shown = (records.at(-1)?.seq ?? this.#shown - 1) + 1;
    return records.filter(({ level }) => level < this.level).map(logLine);
  }

  /** Everything since the last clear. */
  records(): LogRecord[] {
    return this.#machine.look(dmesg).filter(({ seq }) => seq >= this.#cleared);
  }

  /** From here on `records` begins anew. */
  clear(): void {
    this.#cleared = (this.#machine.look(dmesg).at(-1)?.seq ?? -1) + 1;
  }
}
