/**
 * What each event means where it stands: how deep below what is shown, inside how many interrupts, what a call answered,
 * what a register held before. All text views are made from these lines.
 */
import { EventType, Instruction, Outcome, type TraceEvent } from '#trace/events';
import { type TraceModel, symbolAt } from './model.ts';

export interface FlowLine {
  readonly event: TraceEvent;
  /** Shown calls and interrupts around it on its CPU. */
  readonly depth: number;
  /** Interrupts it is inside of, its own included for IRQ_ENTRY. */
  readonly interrupts: number;
  /** Of a call or its end: the function's name. */
  readonly symbol?: string;
  /** Of a call: its end, unless the trace ends first. */
  readonly exit?: TraceEvent;
  /** Of an MSR or CR4 write: what was read or written there last on that CPU, as far as the trace tells. */
  readonly before?: bigint;
}

export interface FlowOptions {
  /** Functions that are not shown themselves; what they call moves up. */
  readonly omit?: ReadonlySet<string>;
  /** If given, only these functions are shown; the others are omitted. */
  readonly show?: ReadonlySet<string>;
  /** Functions shown without what is below them. Interrupts that land there are shown. */
  readonly fold?: ReadonlySet<string>;
}

/** A call, an interrupt, or the bottom of a task on one CPU's stack. */
interface Frame {
  /** Of a call its depth; half a call less for the others, which stand between calls. */
  readonly depth: number;
  readonly kind: 'call' | 'interrupt' | 'bottom';
  readonly shown: boolean;
  readonly folds: boolean;
}

const CR4 = -1;

function value64(event: TraceEvent): bigint {
  return (BigInt(event.c) << 32n) | BigInt(event.b);
}

/** One CPU's flow while the events go by. */
class CpuFlow {
  readonly #frames: Frame[] = [];
  readonly #registers = new Map<number, bigint>();

  /** Drops every frame that an event at this depth cannot be inside of. */
  unwind(depth: number): void {
    while (this.#frames.length > 0 && this.#frames.at(-1)!.depth >= depth) this.#frames.pop();
  }

  push(frame: Frame): void {
    this.#frames.push(frame);
  }

  /** Back to below the innermost frame of that kind, if there is one. */
  end(kind: Frame['kind']): void {
    const at = this.#frames.findLastIndex((frame) => frame.kind === kind);
    if (at >= 0) this.#frames.length = at;
  }

  get depth(): number {
    let depth = 0;
    for (const { kind, shown } of this.#frames) {
      if (kind === 'bottom') depth = 0;
      else if (shown) depth++;
    }
    return depth;
  }

  get interrupts(): number {
    return this.#frames.filter(({ kind }) => kind === 'interrupt').length;
  }

  /** Below a folded function, unless an interrupt stands between. */
  get folded(): boolean {
    for (let at = this.#frames.length - 1; at >= 0; at--) {
      const frame = this.#frames[at]!;
      if (frame.kind !== 'call') return false;
      if (frame.folds) return true;
    }
    return false;
  }

  known(register: number): bigint | undefined {
    return this.#registers.get(register);
  }

  learn(register: number, value: bigint): void {
    this.#registers.set(register, value);
  }

  forget(): void {
    this.#registers.clear();
  }
}

/** Pairs every call with its end. */
function exits(events: readonly TraceEvent[]): Map<TraceEvent, TraceEvent> {
  const open = new Map<string, TraceEvent[]>();
  const found = new Map<TraceEvent, TraceEvent>();
  for (const event of events) {
    if (event.type !== EventType.FUNCTION_ENTRY && event.type !== EventType.FUNCTION_EXIT) continue;
    // By task and not by CPU: a task may move. Idle flows have no task, so there the CPU counts.
    const key = event.pid === 0 ? `cpu ${event.cpu} ${event.a}` : `pid ${event.pid} ${event.a}`;
    const waiting = open.get(key) ?? [];
    open.set(key, waiting);
    if (event.type === EventType.FUNCTION_ENTRY) waiting.push(event);
    else {
      const call = waiting.pop();
      if (call !== undefined) found.set(call, event);
    }
  }
  return found;
}

/** Every event as a line; of functions that are folded or omitted as the options say. */
export function flowLines(model: TraceModel, options: FlowOptions = {}): FlowLine[] {
  const ends = exits(model.events);
  const flows = new Map<number, CpuFlow>();
  const lines: FlowLine[] = [];
  const flowOf = (cpu: number): CpuFlow => {
    const flow = flows.get(cpu) ?? new CpuFlow();
    flows.set(cpu, flow);
    return flow;
  };
  for (const event of model.earlier ?? []) {
    forgetReset(flowOf, event);
    learn(flowOf(event.cpu), event);
  }
  for (const event of model.events) {
    const flow = flowOf(event.cpu);
    forgetReset(flowOf, event);
    const line = step(model, flow, event, ends.get(event), options);
    if (line !== undefined) lines.push(line);
  }
  return lines;
}

function step(
  model: TraceModel,
  flow: CpuFlow,
  event: TraceEvent,
  exit: TraceEvent | undefined,
  options: FlowOptions,
): FlowLine | undefined {
  flow.unwind(event.depth);
  const at = { event, depth: flow.depth, interrupts: flow.interrupts };
  if (event.type === EventType.FUNCTION_ENTRY) return enter(model, flow, at, exit, options);
  if (event.type === EventType.FUNCTION_EXIT) {
    const symbol = symbolAt(model, event.a);
    return flow.folded || !isShown(symbol, options) ? undefined : { ...at, symbol };
  }
  if (event.type === EventType.IRQ_ENTRY) {
    flow.push(boundary('interrupt', event.depth));
    return { ...at, interrupts: flow.interrupts };
  }
  if (event.type === EventType.IRQ_EXIT) {
    flow.end('interrupt');
    return { event, depth: flow.depth, interrupts: flow.interrupts };
  }
  if (event.type === EventType.TASK) {
    if (event.c === 1) flow.push(boundary('bottom', event.depth));
    else flow.end('bottom');
    return flow.folded ? undefined : at;
  }
  const before = learn(flow, event);
  const isSaid = event.type === EventType.PRINTK || event.type === EventType.FINDING;
  if (flow.folded && !isSaid) return undefined;
  return before === undefined ? at : { ...at, before };
}

function enter(
  model: TraceModel,
  flow: CpuFlow,
  at: FlowLine,
  exit: TraceEvent | undefined,
  options: FlowOptions,
): FlowLine | undefined {
  const { depth, a } = at.event;
  const symbol = symbolAt(model, a);
  const shown = !flow.folded && isShown(symbol, options);
  flow.push({ depth, kind: 'call', shown, folds: options.fold?.has(symbol) === true });
  // What runs on an idle CPU is not shown as the idle loop's work.
  if (symbol === 'cpu_idle') flow.push(boundary('bottom', depth + 1));
  return shown ? { ...at, symbol, ...(exit === undefined ? {} : { exit }) } : undefined;
}

function isShown(symbol: string, { omit, show }: FlowOptions): boolean {
  return omit?.has(symbol) !== true && (show === undefined || show.has(symbol));
}

function boundary(kind: 'interrupt' | 'bottom', depth: number): Frame {
  return { depth: depth - 0.5, kind, shown: kind === 'interrupt', folds: false };
}

/**
 * INIT clears some registers and RESET all of them, without an event for each: what was known of that CPU's is not known any
 * more. Of an INIT that is too much, which costs a few "before" values; to keep one that is gone would be wrong.
 */
function forgetReset(flowOf: (cpu: number) => CpuFlow, { type, cpu, a, b, d }: TraceEvent): void {
  if (type !== EventType.INSTRUCTION || d !== Outcome.SUCCESS) return;
  if (a === Instruction.INIT) flowOf(cpu).forget();
  else if (a === Instruction.RESET) flowOf(b).forget();
}

/** Notes what a register holds now; answers what a written one held before. */
function learn(flow: CpuFlow, event: TraceEvent): bigint | undefined {
  const isMsr = event.type === EventType.MSR_READ || event.type === EventType.MSR_WRITE;
  const isCr4 = event.type === EventType.INSTRUCTION && event.a === Instruction.MOV_TO_CR4;
  if (!isMsr && !isCr4) return undefined;
  const which = isCr4 ? CR4 : event.a;
  const before = flow.known(which);
  if (event.d === 0) flow.learn(which, value64(event));
  return event.type === EventType.MSR_READ ? undefined : before;
}
