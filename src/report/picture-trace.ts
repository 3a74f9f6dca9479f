/** The events of a trace without a log of steps: of a boot, or of a file. */
import { EventType, LockOperation, type TraceEvent } from '#trace/events';
import type { EventClass } from '#page/data';
import { loadText, storeText } from './access-text.ts';
import { eventText } from './event-text.ts';
import { type FlowLine, flowLines } from './flow.ts';
import type { TraceModel } from './model.ts';
import { hex, resultText, startSignal, vectorName } from './names.ts';
import { valueText } from './operation-text.ts';
import type { PictureBuilder } from './picture-builder.ts';

const MAIN = 0;
const INTERRUPT = 1;
const NESTED = 3;

const CLASSES: Readonly<Partial<Record<EventType, EventClass>>> = {
  [EventType.FUNCTION_ENTRY]: 'call',
  [EventType.FUNCTION_EXIT]: 'return',
  [EventType.LOAD]: 'load',
  [EventType.STORE]: 'store',
  [EventType.FLUSH]: 'store',
  [EventType.BULK]: 'store',
  [EventType.RMW]: 'rmw',
  [EventType.FENCE]: 'fence',
  [EventType.IRQ_ENTRY]: 'irq',
  [EventType.IRQ_EXIT]: 'irq-end',
  [EventType.IPI_SEND]: 'ipi',
  [EventType.MSR_READ]: 'msr',
  [EventType.MSR_WRITE]: 'msr',
  [EventType.INSTRUCTION]: 'instruction',
  [EventType.HOTPLUG]: 'hotplug',
  [EventType.PRINTK]: 'printk',
  [EventType.FINDING]: 'finding',
  [EventType.TASK]: 'flow',
  [EventType.LOCK]: 'lock',
  [EventType.ALLOCATION]: 'allocation',
};

const LOCK_TEXTS = ['', 'takes', 'releases', 'waits for'];

/** What events say that the text views leave out. */
const MEMORY_TEXTS: Readonly<Partial<Record<EventType, (name: string, event: TraceEvent) => string>>> = {
  [EventType.IRQ_EXIT]: () => '</interrupt>',
  // Of a string there is no value: its length is told.
  [EventType.LOAD]: (name, { b, d }) =>
    d >>> 8 > 0 ? `reads ${name}: ${valueText(b)}` : `reads ${b} bytes at ${name}`,
  [EventType.STORE]: (name, { b }) => `${name} = ${valueText(b)}`,
  [EventType.FLUSH]: (name) => `[store of ${name} reaches memory]`,
  [EventType.RMW]: (name, { b, c }) => `${name}: ${valueText(b)} -> ${valueText(c)} (atomic)`,
  [EventType.BULK]: (name, { b, d }) => `${d === 0 ? 'fills' : 'copies'} ${b} bytes at ${name}`,
  [EventType.FENCE]: () => 'smp_mb()',
  [EventType.LOCK]: (name, { b }) => `${LOCK_TEXTS[b] ?? 'lock'} ${name}`,
};

export function addTrace(builder: PictureBuilder, model: TraceModel): void {
  new TraceEvents(builder, model).add();
}

class TraceEvents {
  readonly #builder: PictureBuilder;
  readonly #model: TraceModel;
  /** By CPU: the depth of each frame that is open, half a call less for an interrupt. */
  readonly #depths: number[][];
  /** What memory was last seen to hold, by address. */
  readonly #memory = new Map<number, number>();

  constructor(builder: PictureBuilder, model: TraceModel) {
    this.#builder = builder;
    this.#model = model;
    this.#depths = Array.from({ length: model.cpus }, () => []);
  }

  add(): void {
    for (const line of flowLines(this.#model)) this.#line(line);
  }

  #line(line: FlowLine): void {
    const { event, interrupts } = line;
    const { cpu, type, a, b, c, d, sequence, context } = event;
    const builder = this.#builder;
    const kind = this.#class(event);
    const isExit = type === EventType.FUNCTION_EXIT;
    // A call's end belongs to the call.
    this.#unwind(cpu, isExit ? event.depth + 0.5 : event.depth, builder.next);
    const at = builder.next;
    if (type === EventType.IRQ_ENTRY) {
      const name = `<${vectorName(a)} interrupt>`;
      this.#open(cpu, name, 0, event.depth - 0.5, this.#flow(interrupts));
    }
    if (isExit) this.#unwind(cpu, event.depth, at + 1);
    if (kind !== undefined) {
      builder.add({
        cpu,
        flow: this.#flow(interrupts),
        class: kind,
        text: this.#text(line),
        step: sequence,
        context,
        ...this.#access(event),
      });
    }
    this.#learn(event, at);
    builder.bands.event(type, cpu, at, a, b, c, d);
    if (type === EventType.FUNCTION_ENTRY)
      this.#open(cpu, line.symbol ?? hex(a), a, event.depth, this.#flow(interrupts), at);
    if (type === EventType.IRQ_EXIT) this.#unwind(cpu, event.depth - 0.5, at + 1);
    if (type === EventType.IPI_SEND) builder.sends(at, a, b);
    if (type === EventType.IRQ_ENTRY) builder.arrives(at, a, cpu);
    const starts = type === EventType.INSTRUCTION ? startSignal(a) : undefined;
    if (starts !== undefined) builder.arrives(at, starts, cpu);
  }

  #flow(interrupts: number): number {
    if (interrupts === 0) return MAIN;
    return interrupts === 1 ? INTERRUPT : NESTED;
  }

  #class({ type, b, c }: TraceEvent): EventClass | undefined {
    if (type === EventType.LOCK) return b === LockOperation.RELEASED ? 'unlock' : 'lock';
    // Where a task goes on is told by its next call.
    if (type === EventType.TASK && c === 0) return undefined;
    return CLASSES[type];
  }

  #open(cpu: number, name: string, symbol: number, depth: number, flow: number, from?: number): void {
    const at = from ?? this.#builder.next;
    this.#builder.open(cpu, { name, symbol, flow, isInterrupt: symbol === 0, from: at });
    this.#depths[cpu]!.push(depth);
  }

  #unwind(cpu: number, depth: number, to: number): void {
    const depths = this.#depths[cpu]!;
    let level = depths.length;
    while (level > 0 && depths[level - 1]! >= depth) level--;
    depths.length = level;
    this.#builder.closeTo(cpu, level, to);
  }

  #name(address: number): string {
    return this.#model.variables?.(address) ?? hex(address);
  }

  #text(line: FlowLine): string {
    const { event, symbol } = line;
    const { type, a } = event;
    if (type === EventType.FUNCTION_EXIT) return `}${resultText(event.b)} ${symbol ?? hex(a)}`;
    return MEMORY_TEXTS[type]?.(this.#name(a), event) ?? eventText(this.#model, line) ?? '';
  }

  #access({ type, a, b, c, d }: TraceEvent): {
    variable?: string;
    access?: string;
    before?: string | undefined;
    after?: string;
  } {
    const kind = d & 0xff;
    const variable = this.#name(a);
    if (type === EventType.LOAD) return { variable, access: loadText(kind), before: valueText(b) };
    if (type === EventType.STORE) {
      const seen = this.#memory.get(a);
      const before = seen === undefined ? undefined : valueText(seen);
      return { variable, access: storeText(kind), before, after: valueText(b) };
    }
    if (type === EventType.RMW)
      return { variable, access: 'atomic read-modify-write', before: valueText(b), after: valueText(c) };
    return type === EventType.LOCK || type === EventType.ALLOCATION ? { variable } : {};
  }

  #learn({ type, cpu, a, b, c }: TraceEvent, at: number): void {
    const { bands } = this.#builder;
    if (type === EventType.LOAD) {
      this.#memory.set(a, b);
      bands.memory(this.#name(a), at, b, undefined);
    }
    if (type === EventType.STORE || type === EventType.RMW) {
      const after = type === EventType.STORE ? b : c;
      bands.memory(this.#name(a), at, type === EventType.RMW ? b : this.#memory.get(a), after);
      this.#memory.set(a, after);
    }
    if (type === EventType.BULK) {
      for (const address of this.#memory.keys())
        if (address >= a && address < a + b) this.#memory.delete(address);
    }
    if (type === EventType.LOCK && b === LockOperation.ACQUIRED) bands.takes(a, this.#name(a), cpu, at);
    if (type === EventType.LOCK && b === LockOperation.RELEASED) bands.gives(a, cpu, at + 1);
  }
}
