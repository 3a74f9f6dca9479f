/**
 * The trace as ftrace's function_graph tracer prints it, for eyes and scripts that know that form.
 * The machine has no clock worth a column: where ftrace has a duration, this has the sequence number.
 */
import { EventType, type TraceEvent } from '#trace/events';
import { eventText } from './event-text.ts';
import { type FlowLine, flowLines } from './flow.ts';
import { type TraceModel, symbolAt, traceBelow } from './model.ts';
import { callArguments } from './names.ts';

export interface FtraceOptions {
  /** Show only what happens while this function runs. */
  readonly below?: string;
}

const COMMENTED: ReadonlySet<EventType> = new Set<EventType>([
  EventType.MSR_READ,
  EventType.MSR_WRITE,
  EventType.INSTRUCTION,
  EventType.HOTPLUG,
  EventType.PRINTK,
  EventType.IPI_SEND,
  EventType.FINDING,
]);

const SHOWN: ReadonlySet<EventType> = new Set<EventType>([
  ...COMMENTED,
  EventType.FUNCTION_ENTRY,
  EventType.FUNCTION_EXIT,
  EventType.IRQ_ENTRY,
  EventType.IRQ_EXIT,
  EventType.TASK,
]);

const HEAD = [
  '# tracer: function_graph',
  '#',
  '# CPU  SEQUENCE                FUNCTION CALLS',
  '# |      |                     |   |   |   |',
] as const;

export function ftraceText(model: TraceModel, options: FtraceOptions = {}): string[] {
  const part = options.below === undefined ? model : traceBelow(model, options.below);
  if (part === undefined) return [];
  const lines = flowLines(part).filter(({ event }) => SHOWN.has(event.type));
  const next = successors(lines);
  const leaves = new Set<TraceEvent>();
  const running = new Map<number, number>();
  const body = lines.flatMap((line, index) => {
    const { event } = line;
    if (event.type === EventType.TASK) return taskSwitch(event, running);
    if (event.type === EventType.FUNCTION_ENTRY && line.exit !== undefined && next[index] === line.exit) {
      leaves.add(line.exit);
      return [row(line, `${callText(model, line)};`)];
    }
    return leaves.has(event) ? [] : eventRows(model, line);
  });
  const lost = model.lost === 0 ? [] : [`# ${model.lost} events lost`];
  return [...HEAD, ...body, ...lost];
}

/** For each line, the next event on the same CPU. */
function successors(lines: readonly FlowLine[]): (TraceEvent | undefined)[] {
  const latest = new Map<number, TraceEvent>();
  const next: (TraceEvent | undefined)[] = Array.from({ length: lines.length });
  for (let index = lines.length - 1; index >= 0; index--) {
    const { event } = lines[index]!;
    next[index] = latest.get(event.cpu);
    latest.set(event.cpu, event);
  }
  return next;
}

function callText(model: TraceModel, { event }: FlowLine): string {
  const symbol = symbolAt(model, event.a);
  return `${symbol}(${callArguments(symbol, event.b, event.c, event.d)})`;
}

function cpuColumn(cpu: number): string {
  return `${String(cpu).padStart(3)})`;
}

function row({ event, depth }: FlowLine, text: string): string {
  return `${cpuColumn(event.cpu)} ${String(event.sequence).padStart(8)}  |  ${'  '.repeat(depth)}${text}`;
}

function eventRows(model: TraceModel, line: FlowLine): string[] {
  const { event } = line;
  const { type, cpu } = event;
  if (type === EventType.FUNCTION_ENTRY) return [row(line, `${callText(model, line)} {`)];
  if (type === EventType.FUNCTION_EXIT) {
    return [row(line, `} /* ${line.symbol ?? symbolAt(model, event.a)} */`)];
  }
  if (type === EventType.IRQ_ENTRY) return [`${cpuColumn(cpu)}   ==========> |`];
  if (type === EventType.IRQ_EXIT) return [`${cpuColumn(cpu)}   <========== |`];
  return COMMENTED.has(type) ? [row(line, `/* ${eventText(model, line) ?? ''} */`)] : [];
}

/** ftrace's rule between two tasks on one CPU. */
function taskSwitch(event: TraceEvent, running: Map<number, number>): string[] {
  const before = running.get(event.cpu) ?? 0;
  const after = event.c === 1 ? event.b : 0;
  running.set(event.cpu, after);
  if (before === after) return [];
  const rule = ' ------------------------------------------';
  return [rule, `${cpuColumn(event.cpu)}  ${taskName(before)} => ${taskName(after)}`, rule, ''];
}

function taskName(pid: number): string {
  return pid === 0 ? '<idle>-0' : `task-${pid}`;
}
