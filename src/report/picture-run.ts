/**
 * The events of a run that was logged step by step: its steps and the facts between them, and from the trace what the log
 * does not know, registers and instructions.
 */
import { type Actor, Flow, cpuOf, flowOf, interruptActor, mainActor } from '#base/strategy';
import { ContextFlag, EventType, Instruction, LockOperation, type TraceEvent } from '#trace/events';
import { OpFlag, OpType } from '#trace/operations';
import { type Fact, type Operation, type Step, couldGo, mainOperation } from '#trace/steps';
import type { EventClass } from '#page/data';
import { accessText } from './access-text.ts';
import { eventText, value64 } from './event-text.ts';
import type { InterleavingInput } from './interleaving-items.ts';
import type { LogLine, TraceModel } from './model.ts';
import { callArguments, resultText, startSignal, vectorName } from './names.ts';
import { isRelease, lockWords, stepText, valueText, waitingText } from './operation-text.ts';
import type { OpenFrame, PictureBuilder } from './picture-builder.ts';

export interface LoggedRun extends InterleavingInput {
  readonly cpus: number;
  readonly symbols: (address: number) => string | undefined;
  /** The run's trace, with everything in it. The drawing has no need of it: the log holds what it shows. */
  readonly traced: readonly TraceEvent[];
  readonly printed: readonly LogLine[];
  readonly findings: readonly { readonly kind: string; readonly title: string; readonly cpu?: number }[];
}

/** A step, or what the log says after one. */
type Unit = { readonly step: Step; readonly fact?: undefined } | { readonly step: Step; readonly fact: Fact };

/** Units that are looked at to find the one an event belongs to: more than one flow is never ahead by. */
const LOOK_AHEAD = 256;

const EXTRAS: ReadonlySet<EventType> = new Set<EventType>([
  EventType.MSR_READ,
  EventType.MSR_WRITE,
  EventType.INSTRUCTION,
]);

/** Adds the run's events to the builder; answers which event each step is. */
export function addRun(builder: PictureBuilder, run: LoggedRun): ReadonlyMap<number, number> {
  const drawing = new RunEvents(builder, run);
  drawing.add();
  return drawing.eventOf;
}

class RunEvents {
  readonly eventOf = new Map<number, number>();
  readonly #builder: PictureBuilder;
  readonly #run: LoggedRun;
  readonly #model: TraceModel;
  readonly #locks: ReadonlySet<number>;
  readonly #actors: readonly Actor[];
  /** By CPU: who runs there, and with which context. */
  readonly #flows = new Map<number, Actor>();
  readonly #contexts = new Map<number, number>();
  /** By CPU, MSR: what it was found to hold. */
  readonly #registers = new Map<string, bigint>();
  /** Calls of tasks that have left their CPU, by task. */
  readonly #away = new Map<number, readonly OpenFrame[]>();

  constructor(builder: PictureBuilder, run: LoggedRun) {
    this.#builder = builder;
    this.#run = run;
    const { steps, waiting = [], unreached = [], traced: events, symbols, cpus, printed, findings } = run;
    this.#locks = lockWords([...steps, ...waiting, ...unreached]);
    this.#actors = [...new Set(steps.map(({ actor }) => actor))].toSorted((a, b) => a - b);
    this.#model = {
      events,
      symbols,
      cpus,
      lost: 0,
      log: printed,
      findings: findings.map(({ kind, title, cpu = -1 }) => ({ kind, title, cpu, stack: [] })),
    };
  }

  add(): void {
    const { steps, traced, waiting = [], unreached = [], names } = this.#run;
    const units = steps.flatMap((step): Unit[] => [{ step }, ...step.facts.map((fact) => ({ step, fact }))]);
    let next = 0;
    const tellUntil = (end: number): void => {
      for (; next < end; next++) this.#unit(units[next]!);
    };
    for (const event of traced) {
      if (EXTRAS.has(event.type)) this.#extra(event);
      else {
        const found = matching(units, next, event);
        if (found === undefined) continue;
        this.#contexts.set(event.cpu, event.context);
        tellUntil(found + 1);
      }
    }
    tellUntil(units.length);
    for (const step of waiting) this.#never(step, waitingText(step, steps, this.#locks, names));
    for (const step of unreached) this.#never(step, `not yet: ${stepText(step, this.#locks, names)}`);
  }

  #unit({ step, fact }: Unit): void {
    if (fact === undefined) this.#step(step);
    else this.#fact(step, fact);
  }

  #context(cpu: number): number {
    return this.#contexts.get(cpu) ?? 0;
  }

  #step(step: Step): void {
    const { names } = this.#run;
    const { actor, operations } = step;
    const cpu = cpuOf(actor);
    const flow = flowOf(actor);
    const first = operations[0]!;
    const main = mainOperation(step);
    if (flow !== Flow.BUFFER) {
      this.#flows.set(cpu, actor);
      this.#contexts.set(cpu, contextOf(first));
    }
    const index = this.#builder.next;
    if (first.type === OpType.IRQ_ENTRY) this.#enterInterrupt(cpu, flow, first, index);
    const kind = classOf(first, isRelease(first, this.#locks));
    const text = first.type === OpType.IRQ_ENTRY ? `<${vectorName(first.read)} interrupt>` : this.#text(step);
    this.eventOf.set(step.index, index);
    this.#builder.add({
      cpu,
      flow,
      class: kind,
      text,
      step: step.index,
      context: this.#context(cpu),
      access: accessText(main),
      others: this.#others(step),
      ...(main.address === 0 || kind === 'irq' ? {} : { variable: names.variable(main.address) }),
      ...valuesOf(main),
    });
    if (first.type === OpType.IPI) this.#builder.sends(index, first.written, first.read);
    if (first.type === OpType.IRQ_ENTRY) this.#builder.arrives(index, first.read, cpu);
    for (const operation of operations) this.#memory(operation, cpu, index);
    if (operations.some(({ type }) => type === OpType.IRQ_EXIT)) this.#leaveInterrupt(cpu, flow);
    if (operations.some(({ type }) => type === OpType.END)) this.#close(cpu, (frame) => frame.flow === flow);
  }

  #text(step: Step): string {
    const text = stepText(step, this.#locks, this.#run.names);
    if (text !== '') return text;
    const { type } = step.operations[0]!;
    if (type === OpType.START) return 'begins';
    return type === OpType.IRQ_EXIT ? '</interrupt>' : 'goes on';
  }

  #enterInterrupt(cpu: number, flow: number, { read }: Operation, from: number): void {
    const name = `<${vectorName(read)} interrupt>`;
    this.#builder.open(cpu, { name, symbol: 0, flow, isInterrupt: true, from });
  }

  #leaveInterrupt(cpu: number, flow: number): void {
    this.#close(cpu, (frame) => frame.flow === flow);
    this.#flows.set(cpu, flow === Flow.NESTED ? interruptActor(cpu) : mainActor(cpu));
  }

  /** Ends the frames from the first one on of which that is true, behind the event that was last added. */
  #close(cpu: number, isFirst: (frame: OpenFrame) => boolean): readonly OpenFrame[] {
    const at = this.#builder.frames(cpu).findIndex(isFirst);
    return at < 0 ? [] : this.#builder.closeTo(cpu, at);
  }

  #memory(operation: Operation, cpu: number, at: number): void {
    const { type, address, read, written } = operation;
    const { bands } = this.#builder;
    const { names } = this.#run;
    if (type === OpType.ACQUIRE) bands.takes(address, names.variable(address), cpu, at);
    else if (type !== OpType.BUFFER && isRelease(operation, this.#locks)) bands.gives(address, cpu, at + 1);
    if (type === OpType.LOAD || type === OpType.AWAIT)
      bands.memory(names.variable(address), at, read, undefined);
    if (type === OpType.STORE || type === OpType.RMW || type === OpType.FLUSH)
      bands.memory(names.variable(address), at, read, written);
  }

  /** Who else could have made this step's choice point its own. */
  #others(step: Step): string {
    if (!step.visible) return '';
    return this.#actors
      .filter((actor) => actor !== step.actor && couldGo(step, actor))
      .map(actorText)
      .join(', ');
  }

  #fact(step: Step, fact: Fact): void {
    const { actor, type, a, b, c, d } = fact;
    const cpu = cpuOf(actor);
    const flow = flowOf(actor);
    const builder = this.#builder;
    const shared = { cpu, flow, step: step.index, context: this.#context(cpu) };
    const at = builder.next;
    if (type === EventType.FUNCTION_ENTRY) {
      const name = this.#run.names.symbol(a);
      builder.add({ ...shared, class: 'call', text: `${name}(${callArguments(name, b, c, d)})` });
      builder.open(cpu, { name, symbol: a, flow, isInterrupt: false, from: at });
    } else if (type === EventType.FUNCTION_EXIT) {
      const level = builder.frames(cpu).findLastIndex((frame) => frame.symbol === a && frame.flow === flow);
      if (level >= 0) builder.closeTo(cpu, level, at + 1);
      builder.add({ ...shared, class: 'return', text: `}${resultText(b)} ${this.#run.names.symbol(a)}` });
    } else if (type === EventType.TASK) this.#task(fact, cpu);
    else if (type === EventType.LOCK) this.#lock(fact, cpu, at);
    else {
      const event = { ...blankEvent(cpu), type, a, b, c, d };
      const text = eventText(this.#model, { event, depth: 0, interrupts: 0 });
      const kind = FACT_CLASSES.get(type);
      builder.bands.event(type, cpu, at, a, b, c, d);
      if (text !== undefined && kind !== undefined) builder.add({ ...shared, class: kind, text });
    }
  }

  /** Spinlocks are steps of their own; of a mutex only this tells who has it. */
  #lock({ a, b }: Fact, cpu: number, at: number): void {
    const { bands } = this.#builder;
    if (b === LockOperation.ACQUIRED) bands.takes(a, this.#run.names.variable(a), cpu, at);
    if (b === LockOperation.RELEASED) bands.gives(a, cpu, at);
  }

  /** A task's calls go with it from CPU to CPU. */
  #task({ a: task, c: isHere, d: hasEnded }: Fact, cpu: number): void {
    const builder = this.#builder;
    if (isHere === 0) {
      const frames = this.#close(cpu, ({ flow }) => flow === Flow.MAIN);
      if (hasEnded === 0) this.#away.set(task, frames);
      return;
    }
    for (const frame of this.#away.get(task) ?? []) builder.open(cpu, { ...frame, from: builder.next });
    this.#away.delete(task);
  }

  /** What only the trace knows. */
  #extra(event: TraceEvent): void {
    const { cpu, type, context, a, b, c, d } = event;
    const builder = this.#builder;
    const at = builder.next;
    const before = this.#learn(event);
    const line = { event, depth: 0, interrupts: 0, ...(before === undefined ? {} : { before }) };
    const actor = this.#flows.get(cpu) ?? mainActor(cpu);
    this.#contexts.set(cpu, context);
    builder.bands.event(type, cpu, at, a, b, c, d);
    builder.add({
      cpu,
      flow: flowOf(actor),
      class: type === EventType.INSTRUCTION ? 'instruction' : 'msr',
      text: eventText(this.#model, line) ?? '',
      step: -1,
      context,
    });
    const starts = type === EventType.INSTRUCTION ? startSignal(a) : undefined;
    if (starts !== undefined) builder.arrives(at, starts, cpu);
  }

  #learn({ type, cpu, a, b, c, d }: TraceEvent): bigint | undefined {
    const isCr4 = type === EventType.INSTRUCTION && a === Instruction.MOV_TO_CR4;
    if (type === EventType.INSTRUCTION && !isCr4) return undefined;
    const key = `${cpu} ${isCr4 ? 'cr4' : a}`;
    const before = this.#registers.get(key);
    if (d === 0) this.#registers.set(key, value64(b, c));
    return type === EventType.MSR_READ ? undefined : before;
  }

  /** A step that never happened: behind all that did. */
  #never(step: Step, text: string): void {
    const cpu = cpuOf(step.actor);
    const main = mainOperation(step);
    this.eventOf.set(step.index, this.#builder.next);
    this.#builder.add({
      cpu,
      flow: flowOf(step.actor),
      class: 'never',
      text,
      step: -1,
      context: this.#context(cpu),
      access: accessText(main),
      ...(main.address === 0 ? {} : { variable: this.#run.names.variable(main.address) }),
    });
  }
}

/** The unit an event was recorded with; undefined if none of the next ones is. */
function matching(units: readonly Unit[], from: number, event: TraceEvent): number | undefined {
  for (let at = from; at < Math.min(units.length, from + LOOK_AHEAD); at++) {
    const { step, fact } = units[at]!;
    if (fact !== undefined) {
      const isSame = fact.type === event.type && fact.a === event.a && fact.b === event.b;
      if (isSame && cpuOf(fact.actor) === event.cpu) return at;
    } else if (cpuOf(step.actor) === event.cpu && isOfStep(event, step)) return at;
  }
  return undefined;
}

const MEMORY: ReadonlySet<EventType> = new Set<EventType>([
  EventType.LOAD,
  EventType.STORE,
  EventType.RMW,
  EventType.BULK,
  EventType.FLUSH,
]);

function isOfStep({ type, a }: TraceEvent, { operations }: Step): boolean {
  const first = operations[0]!;
  if (MEMORY.has(type)) return operations.some(({ address }) => address === a);
  if (type === EventType.FENCE) return first.type === OpType.FENCE;
  if (type === EventType.IPI_SEND) return first.type === OpType.IPI;
  return type === EventType.IRQ_ENTRY && first.type === OpType.IRQ_ENTRY;
}

function contextOf({ flags }: Operation): number {
  return (
    ((flags & OpFlag.IRQS_OFF) === 0 ? 0 : ContextFlag.IRQS_OFF) |
    ((flags & OpFlag.HARDIRQ) === 0 ? 0 : ContextFlag.HARDIRQ) |
    ((flags & OpFlag.PREEMPT_OFF) === 0 ? 0 : ContextFlag.PREEMPT_OFF)
  );
}

function blankEvent(cpu: number): TraceEvent {
  return { sequence: 0, type: EventType.FENCE, cpu, context: 0, depth: 0, pid: 0, a: 0, b: 0, c: 0, d: 0 };
}

const FACT_CLASSES: ReadonlyMap<EventType, EventClass> = new Map<EventType, EventClass>([
  [EventType.HOTPLUG, 'hotplug'],
  [EventType.PRINTK, 'printk'],
  [EventType.FINDING, 'finding'],
  [EventType.ALLOCATION, 'allocation'],
]);

const CLASSES: Readonly<Partial<Record<OpType, EventClass>>> = {
  [OpType.LOAD]: 'load',
  [OpType.STORE]: 'store',
  [OpType.RMW]: 'rmw',
  [OpType.FENCE]: 'fence',
  [OpType.ACQUIRE]: 'lock',
  [OpType.AWAIT]: 'wait',
  [OpType.BUFFER]: 'store',
  [OpType.FLUSH]: 'store',
  [OpType.IPI]: 'ipi',
  [OpType.IRQ_ENTRY]: 'irq',
  [OpType.IRQ_EXIT]: 'irq-end',
  [OpType.IRQ_FLAG]: 'flag',
  [OpType.IRQ_DROP]: 'flag',
  [OpType.TIMEOUT]: 'wait',
};

function classOf({ type }: Operation, releases: boolean): EventClass {
  if (releases) return 'unlock';
  return CLASSES[type] ?? 'flow';
}

const READS_ONLY: ReadonlySet<OpType> = new Set<OpType>([OpType.LOAD, OpType.AWAIT]);
const READS_AND_WRITES: ReadonlySet<OpType> = new Set<OpType>([
  OpType.STORE,
  OpType.RMW,
  OpType.ACQUIRE,
  OpType.FLUSH,
  OpType.IRQ_DROP,
]);

function valuesOf({ type, read, written, flags }: Operation): { before?: string; after?: string } {
  if ((flags & OpFlag.FAULTED) !== 0) return {};
  if (READS_ONLY.has(type)) return { before: valueText(read) };
  if (type === OpType.BUFFER) return { after: valueText(written) };
  return READS_AND_WRITES.has(type) ? { before: valueText(read), after: valueText(written) } : {};
}

const FLOW_TEXTS = ['', "'s interrupt", "'s store buffer", "'s nested interrupt"];

export function actorText(actor: Actor): string {
  return `CPU ${cpuOf(actor)}${FLOW_TEXTS[flowOf(actor)]!}`;
}
