/** The simulated kernel's log as `dmesg` would show it, with a sequence number and a CPU where Linux has a time. */
import { EventType } from '#trace/events';
import type { LogLine, TraceModel } from './model.ts';
import { type Paint, plain } from './paint.ts';

/** A log record and its place in the trace. */
export interface PlacedLogLine extends LogLine {
  /** Sequence number of the printk in the trace; null if its event was lost. */
  readonly seq: number | null;
}

/** Places every record of the log in the trace. */
export function placeLog(model: TraceModel): PlacedLogLine[] {
  const places = new Map<number, number>();
  for (const event of model.events) if (event.type === EventType.PRINTK) places.set(event.a, event.sequence);
  return (model.log ?? []).map((line) => ({ ...line, seq: places.get(line.record) ?? null }));
}

const KERN_ERR = 3;
const SEQUENCE_WIDTH = 6;

/** `[   412] cpu1 kvm: enabling virtualization on CPU3` */
export function dmesgLines(lines: readonly PlacedLogLine[], paint: Paint = plain): string[] {
  return lines.map(({ seq, cpu, level, text }) => {
    const head = `[${String(seq ?? '?').padStart(SEQUENCE_WIDTH)}]`;
    return `${paint.faint(head)} ${paint.cpu(cpu, `cpu${cpu}`)} ${level <= KERN_ERR ? paint.bad(text) : text}`;
  });
}
