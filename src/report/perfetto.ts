/**
 * The trace as Chrome trace JSON, which Perfetto opens (https://ui.perfetto.dev), and the browser's own tools: one track for
 * each CPU, calls and interrupts as slices, IPIs as arrows, the rest as instants. A microsecond there is one step of the
 * sequence here.
 *
 * Slices are complete events, with their length: readers are not of one mind about begins and ends of several tracks that
 * come mixed. An arrow's ends have the category of what they are drawn to: some readers find the one by the other.
 */
import { EventType, type TraceEvent } from '#trace/events';
import { contextText } from './call-tree.ts';
import { eventText } from './event-text.ts';
import { type FlowLine, flowLines } from './flow.ts';
import type { TraceModel } from './model.ts';
import { hex, resultText, startSignal, vectorName } from './names.ts';

/** The part of the Trace Event Format that is used here. */
export interface ChromeEvent {
  readonly name: string;
  readonly cat?: string;
  /** A slice, an instant, a name, the two ends of an arrow. */
  readonly ph: 'X' | 'i' | 'M' | 's' | 'f';
  readonly ts?: number;
  readonly dur?: number;
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
const INTERRUPTS = 'irq';

const INSTANTS: ReadonlyMap<EventType, string> = new Map<EventType, string>([
  [EventType.MSR_READ, 'msr'],
  [EventType.MSR_WRITE, 'msr'],
  [EventType.INSTRUCTION, 'instruction'],
  [EventType.HOTPLUG, 'hotplug'],
  [EventType.PRINTK, 'printk'],
  [EventType.FINDING, 'finding'],
]);

/** A slice whose end has not been seen. */
interface OpenSlice {
  readonly name: string;
  readonly cat: string;
  readonly depth: number;
  readonly from: TraceEvent;
  readonly args: Readonly<Record<string, string | number>>;
}

type Sent = Pick<ChromeEvent, 'ts' | 'pid' | 'tid'>;

export function perfettoTrace(model: TraceModel): ChromeTrace {
  return new Converter(model).trace();
}

function named(name: string, tid: number, value: string): ChromeEvent {
  return { name, ph: 'M', pid: MACHINE, tid, args: { name: value } };
}

function at(event: TraceEvent): Sent {
  return { ts: event.sequence, pid: MACHINE, tid: event.cpu };
}

class Converter {
  readonly #model: TraceModel;
  readonly #out: ChromeEvent[] = [];
  /** By CPU, innermost last. */
  readonly #open = new Map<number, OpenSlice[]>();
  /** IPIs that nobody has taken yet, by vector and target; several may be taken as one. */
  readonly #sent = new Map<string, Sent[]>();
  #arrows = 0;

  constructor(model: TraceModel) {
    this.#model = model;
  }

  trace(): ChromeTrace {
    const { cpus, events, lost } = this.#model;
    const names = [named('process_name', 0, 'smplab machine')];
    for (let cpu = 0; cpu < cpus; cpu++) {
      names.push(named('thread_name', cpu, `CPU ${cpu}`));
      names.push({ name: 'thread_sort_index', ph: 'M', pid: MACHINE, tid: cpu, args: { sort_index: cpu } });
    }
    for (const line of flowLines(this.#model)) this.#line(line);
    // What is open at the end lasts as long as the trace: to behind its last event.
    const end = (events.at(-1)?.sequence ?? 0) + 1;
    for (const cpu of this.#open.keys()) this.#closeTo(cpu, end, -Infinity);
    // A slice is known when it ends, and stands where it began: in front of what is inside of it.
    const sorted = this.#out.toSorted((a, b) => a.ts! - b.ts! || (b.dur ?? 0) - (a.dur ?? 0));
    return {
      displayTimeUnit: 'ns',
      otherData: { schema: 'smplab.perfetto/1', unit: 'sequence numbers', lost },
      traceEvents: [...names, ...sorted],
    };
  }

  #slices(cpu: number): OpenSlice[] {
    const slices = this.#open.get(cpu) ?? [];
    this.#open.set(cpu, slices);
    return slices;
  }

  #close(slice: OpenSlice, ts: number, result?: string): void {
    const { name, cat, from, args } = slice;
    const dur = ts - from.sequence;
    const told = result === undefined ? args : { ...args, result };
    this.#out.push({ name, cat, ph: 'X', ...at(from), dur, args: told });
  }

  /** Ends slices down to `depth`: what an unwound stack left open as well. */
  #closeTo(cpu: number, ts: number, depth: number): void {
    const slices = this.#slices(cpu);
    while (slices.length > 0 && slices.at(-1)!.depth >= depth) this.#close(slices.pop()!, ts);
  }

  /** One event's part of the trace, and what it does to the slices that are open. */
  #line(line: FlowLine): void {
    const { event } = line;
    if (event.type === EventType.FUNCTION_ENTRY) this.#begin(line);
    else if (event.type === EventType.FUNCTION_EXIT) this.#end(event);
    else if (event.type === EventType.IRQ_ENTRY) this.#beginInterrupt(event);
    else if (event.type === EventType.IRQ_EXIT) this.#closeTo(event.cpu, event.sequence, event.depth - 0.5);
    else if (event.type === EventType.IPI_SEND) this.#send(line);
    else this.#instant(line);
  }

  #begin({ event, symbol, interrupts }: FlowLine): void {
    const { a, b, c, d, cpu, sequence, depth, context, pid } = event;
    this.#closeTo(cpu, sequence, depth);
    const args = { a: hex(b), b: hex(c), c: hex(d), context: contextText(context), pid };
    const cat = interrupts > 0 ? INTERRUPTS : 'call';
    this.#slices(cpu).push({ name: symbol ?? hex(a), cat, depth, from: event, args });
  }

  #end(event: TraceEvent): void {
    this.#closeTo(event.cpu, event.sequence, event.depth + 1);
    const slices = this.#slices(event.cpu);
    if (slices.at(-1)?.depth !== event.depth) return;
    const text = resultText(event.b);
    this.#close(slices.pop()!, event.sequence, text === '' ? hex(event.b) : text.slice(' = '.length));
  }

  #beginInterrupt(event: TraceEvent): void {
    const name = `${vectorName(event.a)} interrupt`;
    this.#closeTo(event.cpu, event.sequence, event.depth);
    const slice = { name, cat: INTERRUPTS, depth: event.depth - 0.5, from: event, args: {} };
    this.#slices(event.cpu).push(slice);
    this.#arrive(event, event.a);
  }

  #send(line: FlowLine): void {
    const { event } = line;
    const key = `${event.a} ${event.b}`;
    this.#sent.set(key, [...(this.#sent.get(key) ?? []), at(event)]);
    this.#out.push({ ...this.#named(line), cat: INTERRUPTS });
  }

  /** An arrow has both ends or is none: what was dropped on the way draws nothing. */
  #arrive(event: TraceEvent, vector: number): void {
    const key = `${vector} ${event.cpu}`;
    for (const sent of this.#sent.get(key) ?? []) {
      const arrow = { name: 'ipi', cat: INTERRUPTS, id: ++this.#arrows };
      this.#out.push({ ...arrow, ph: 's', ...sent }, { ...arrow, ph: 'f', bp: 'e', ...at(event) });
    }
    this.#sent.delete(key);
  }

  #named(line: FlowLine): ChromeEvent {
    return { name: eventText(this.#model, line) ?? 'event', ph: 'i', s: 't', ...at(line.event) };
  }

  #instant(line: FlowLine): void {
    const { event } = line;
    const starts = event.type === EventType.INSTRUCTION ? startSignal(event.a) : undefined;
    const cat = INSTANTS.get(event.type);
    if (cat === undefined) return;
    const instant = this.#named(line);
    if (starts === undefined) this.#out.push({ ...instant, cat });
    else {
      // An arrow ends at a slice. Nothing else of this CPU can be so early that it overlaps.
      const { name, ts, pid, tid } = instant;
      this.#out.push({ name, cat: INTERRUPTS, ph: 'X', ts: ts!, dur: 1, pid, tid });
      this.#arrive(event, starts);
    }
  }
}
