/**
 * The trace as Chrome trace JSON, which Perfetto opens (https://ui.perfetto.dev): one track for each CPU, calls and
 * interrupts as slices, IPIs as arrows, the rest as instants. A microsecond there is one step of the sequence here.
 */
import { EventType, type TraceEvent } from '#trace/events';
import { eventText } from './event-text.ts';
import { type FlowLine, flowLines } from './flow.ts';
import type { TraceModel } from './model.ts';
import { contextText } from './call-tree.ts';
import { hex, resultText, vectorName } from './names.ts';

/** The part of the Trace Event Format that is used here. */
export interface ChromeEvent {
  readonly name: string;
  readonly cat?: string;
  readonly ph: 'B' | 'E' | 'i' | 'M' | 's' | 'f';
  readonly ts?: number;
  readonly pid: number;
  readonly tid: number;
  readonly id?: number;
  readonly s?: 't';
  readonly bp?: 'e';
  readonly args?: Readonly<Record<string, string | number>>;
}

export interface ChromeTrace {
  readonly displayTimeUnit: 'ns';
  readonly otherData: Readonly<Record<string, string | number>>;
  readonly traceEvents: readonly ChromeEvent[];
}

const MACHINE = 1;

const INSTANTS: ReadonlyMap<EventType, string> = new Map<EventType, string>([
  [EventType.MSR_READ, 'msr'],
  [EventType.MSR_WRITE, 'msr'],
  [EventType.INSTRUCTION, 'instruction'],
  [EventType.HOTPLUG, 'hotplug'],
  [EventType.PRINTK, 'printk'],
  [EventType.FINDING, 'finding'],
]);

/** Slices that are open on one CPU: the depth of their event, innermost last. */
type OpenSlices = { readonly name: string; readonly depth: number }[];

export function perfettoTrace(model: TraceModel): ChromeTrace {
  const out: ChromeEvent[] = [named('process_name', 0, 'smplab machine')];
  for (let cpu = 0; cpu < model.cpus; cpu++) out.push(named('thread_name', cpu, `CPU ${cpu}`));
  const open = new Map<number, OpenSlices>();
  const arrows = new Arrows();
  for (const line of flowLines(model)) {
    const slices = open.get(line.event.cpu) ?? [];
    open.set(line.event.cpu, slices);
    out.push(...convert(model, line, slices, arrows));
  }
  const last = model.events.at(-1)?.sequence ?? 0;
  for (const [cpu, slices] of open) closeTo(out, slices, cpu, last, -Infinity);
  return {
    displayTimeUnit: 'ns',
    otherData: { schema: 'smplab.perfetto/1', unit: 'sequence numbers', lost: model.lost },
    traceEvents: out,
  };
}

function named(name: string, tid: number, value: string): ChromeEvent {
  return { name, ph: 'M', pid: MACHINE, tid, args: { name: value } };
}

/** Sent IPIs wait here until their target takes an interrupt with that vector; several may be taken as one. */
class Arrows {
  readonly #waiting = new Map<string, number[]>();
  #ids = 0;

  start(vector: number, target: number): number {
    const key = `${vector} ${target}`;
    const id = ++this.#ids;
    this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), id]);
    return id;
  }

  arrive(vector: number, target: number): readonly number[] {
    const key = `${vector} ${target}`;
    const ids = this.#waiting.get(key) ?? [];
    this.#waiting.delete(key);
    return ids;
  }
}

function at(event: TraceEvent): Pick<ChromeEvent, 'ts' | 'pid' | 'tid'> {
  return { ts: event.sequence, pid: MACHINE, tid: event.cpu };
}

/** Ends slices down to `depth`: what an unwound stack left open as well. */
function closeTo(out: ChromeEvent[], slices: OpenSlices, cpu: number, ts: number, depth: number): void {
  while (slices.length > 0 && slices.at(-1)!.depth >= depth) {
    out.push({ name: slices.pop()!.name, ph: 'E', ts, pid: MACHINE, tid: cpu });
  }
}

/** One event's part of the trace, and what it does to the slices that are open. */
function convert(model: TraceModel, line: FlowLine, slices: OpenSlices, arrows: Arrows): ChromeEvent[] {
  const { event } = line;
  if (event.type === EventType.FUNCTION_ENTRY) return begin(line, slices);
  if (event.type === EventType.FUNCTION_EXIT) return end(event, slices);
  if (event.type === EventType.IRQ_ENTRY) return beginInterrupt(event, slices, arrows);
  if (event.type === EventType.IRQ_EXIT) {
    const out: ChromeEvent[] = [];
    closeTo(out, slices, event.cpu, event.sequence, event.depth - 0.5);
    return out;
  }
  const instant = { name: eventText(model, line) ?? 'event', ph: 'i', s: 't', ...at(event) } as const;
  if (event.type === EventType.IPI_SEND) {
    const id = arrows.start(event.a, event.b);
    return [
      { ...instant, cat: 'ipi' },
      { name: 'ipi', cat: 'ipi', ph: 's', id, ...at(event) },
    ];
  }
  const cat = INSTANTS.get(event.type);
  return cat === undefined ? [] : [{ ...instant, cat }];
}

function begin({ event, symbol, interrupts }: FlowLine, slices: OpenSlices): ChromeEvent[] {
  const { a, b, c, d, cpu, sequence, depth, context, pid } = event;
  const out: ChromeEvent[] = [];
  const name = symbol ?? hex(a);
  closeTo(out, slices, cpu, sequence, depth);
  slices.push({ name, depth });
  const args = { a: hex(b), b: hex(c), c: hex(d), context: contextText(context), pid };
  out.push({ name, cat: interrupts > 0 ? 'irq' : 'call', ph: 'B', ...at(event), args });
  return out;
}

function end(event: TraceEvent, slices: OpenSlices): ChromeEvent[] {
  const out: ChromeEvent[] = [];
  closeTo(out, slices, event.cpu, event.sequence, event.depth + 1);
  const slice = slices.at(-1);
  if (slice?.depth !== event.depth) return out;
  slices.pop();
  const result = resultText(event.b) === '' ? hex(event.b) : resultText(event.b).slice(' = '.length);
  out.push({ name: slice.name, ph: 'E', ...at(event), args: { result } });
  return out;
}

function beginInterrupt(event: TraceEvent, slices: OpenSlices, arrows: Arrows): ChromeEvent[] {
  const out: ChromeEvent[] = [];
  const name = `${vectorName(event.a)} interrupt`;
  closeTo(out, slices, event.cpu, event.sequence, event.depth);
  slices.push({ name, depth: event.depth - 0.5 });
  out.push({ name, cat: 'irq', ph: 'B', ...at(event) });
  for (const id of arrows.arrive(event.a, event.cpu)) {
    out.push({ name: 'ipi', cat: 'ipi', ph: 'f', bp: 'e', id, ...at(event) });
  }
  return out;
}
