/**
 * The call tree: one line for each event, a column for each CPU, in the order the machine did it.
 *
 *      seq  cpu      irq
 *      412  . 1 . .  ...  svm_init()
 *      430  0 . . .  d..    <call-function interrupt>
 */
import { ContextFlag, EventType } from '#trace/events';
import { columnLines } from './columns.ts';
import { eventText } from './event-text.ts';
import { type FlowLine, type FlowOptions, flowLines } from './flow.ts';
import { type TraceModel, traceBelow } from './model.ts';
import { type Paint, plain } from './paint.ts';

export interface CallTreeOptions extends FlowOptions {
  readonly paint?: Paint;
  /** Show only what happens while this function runs. */
  readonly below?: string;
  /** Kinds of event to show. Default: everything that is not a memory operation, a lock, an allocation or a task switch. */
  readonly kinds?: ReadonlySet<EventType>;
  /** So many calls of one function, one after the other on one CPU with nothing shown below them, become one line. */
  readonly collapse?: number;
  /** More precise than the other options: false drops the line. */
  readonly keep?: (line: FlowLine) => boolean;
  /** Deeper calls are not shown. */
  readonly depthMax?: number;
  /** Without the head line. */
  readonly bare?: boolean;
  /** Longer lines are cut. */
  readonly width?: number;
}

export const TREE_KINDS: ReadonlySet<EventType> = new Set<EventType>([
  EventType.FUNCTION_ENTRY,
  EventType.IRQ_ENTRY,
  EventType.IPI_SEND,
  EventType.MSR_READ,
  EventType.MSR_WRITE,
  EventType.INSTRUCTION,
  EventType.HOTPLUG,
  EventType.PRINTK,
  EventType.FINDING,
]);

/** Machines with more CPUs get a number instead of columns. */
const COLUMNS_MAX = 16;
const SEQUENCE_WIDTH = 6;
const COLUMNS_WIDTH = 100;

interface Row {
  readonly line: FlowLine;
  readonly text: string;
}

/** The tree as lines of text. Empty if `below` names a function that was not called. */
export function callTree(model: TraceModel, options: CallTreeOptions = {}): string[] {
  const part = options.below === undefined ? model : traceBelow(model, options.below);
  if (part === undefined) return [];
  const rows = treeRows(part, options);
  const paint = options.paint ?? plain;
  const head = options.bare === true ? [] : [paint.faint(headLine(model.cpus))];
  const lost = model.lost === 0 ? [] : [paint.bad(`(${model.lost} events did not fit and are missing)`)];
  return [...head, ...rows.map((row) => rowText(row, model.cpus, options, paint)), ...lost];
}

/** The same events in columns: one for each CPU, each indented by itself. */
export function callColumns(model: TraceModel, options: CallTreeOptions = {}): string[] {
  const paint = options.paint ?? plain;
  const rows = treeRows(model, options).map(({ line, text }) => ({
    column: line.event.cpu,
    indent: line.depth * 2,
    text,
  }));
  const heads = Array.from({ length: model.cpus }, (_, cpu) => `CPU ${cpu}`);
  return columnLines(heads, rows, options.width ?? COLUMNS_WIDTH, ({ column }, text) =>
    paint.cpu(column, text),
  );
}

function treeRows(model: TraceModel, options: CallTreeOptions): Row[] {
  const kinds = options.kinds ?? TREE_KINDS;
  const rows: Row[] = [];
  for (const line of flowLines(model, options)) {
    if (!kinds.has(line.event.type) || options.keep?.(line) === false) continue;
    if (line.depth > (options.depthMax ?? Infinity)) continue;
    const text = eventText(model, line);
    if (text !== undefined) rows.push({ line, text });
  }
  return options.collapse === undefined ? rows : collapsed(rows, options.collapse);
}

/** Runs of at least `least` calls of one function as one row: the first, and how many. */
function collapsed(rows: readonly Row[], least: number): Row[] {
  const result: Row[] = [];
  for (let at = 0; at < rows.length;) {
    let end = at + 1;
    while (end < rows.length && repeats(rows[end - 1]!.line, rows[end]!.line)) end++;
    const run = rows.slice(at, end);
    if (run.length < least) result.push(...run);
    else
      result.push({
        line: run[0]!.line,
        text: `${range(run[0]!.text, run.at(-1)!.text)}  ${run.length} calls`,
      });
    at = end;
  }
  return result;
}

/** `svm_cpu_init(cpu 0) ... (cpu 3)` */
function range(first: string, last: string): string {
  return first === last ? first : `${first} ... ${last.slice(last.indexOf('('))}`;
}

/** The same call again, right after the other one, on the same CPU: with nothing shown in between. */
function repeats(last: FlowLine, next: FlowLine): boolean {
  return (
    last.event.type === EventType.FUNCTION_ENTRY &&
    next.event.type === EventType.FUNCTION_ENTRY &&
    last.symbol === next.symbol &&
    last.event.cpu === next.event.cpu &&
    last.depth === next.depth &&
    last.interrupts === next.interrupts
  );
}

function headLine(cpus: number): string {
  return `${'seq'.padStart(SEQUENCE_WIDTH)}  ${'cpu'.padEnd(lanes(cpus, -1).length)}  ctx`;
}

/** `. 1 . .` for CPU 1 of 4; `cpu  17` where columns would not fit. */
function lanes(cpus: number, cpu: number): string {
  if (cpus > COLUMNS_MAX) return cpu < 0 ? '       ' : `cpu ${String(cpu).padStart(3)}`;
  return Array.from({ length: cpus }, (_, lane) =>
    (lane === cpu ? String(cpu) : '.').padStart(cpus > 10 ? 2 : 1),
  ).join(' ');
}

/** As ftrace's latency format: d = interrupts off, h = in a hardware interrupt, p = preemption off. */
export function contextText(context: number): string {
  return [
    (context & ContextFlag.IRQS_OFF) === 0 ? '.' : 'd',
    (context & ContextFlag.HARDIRQ) === 0 ? '.' : 'h',
    (context & ContextFlag.PREEMPT_OFF) === 0 ? '.' : 'p',
  ].join('');
}

export const CONTEXT_LEGEND = 'ctx: d = interrupts off, h = in an interrupt, p = preemption off';

function rowText({ line, text }: Row, cpus: number, options: CallTreeOptions, paint: Paint): string {
  const { event, depth } = line;
  const head = `${String(event.sequence).padStart(SEQUENCE_WIDTH)}  `;
  const context = contextText(event.context);
  const lane = lanes(cpus, event.cpu);
  const space = (options.width ?? Infinity) - head.length - lane.length - context.length - 4;
  const body = `${'  '.repeat(depth)}${text}`;
  const cut = body.length <= space ? body : `${body.slice(0, space - 3)}...`;
  const painted = event.type === EventType.FUNCTION_ENTRY ? cut : emphasis(event.type, cut, paint);
  return `${paint.faint(head)}${paint.cpu(event.cpu, lane)}  ${paint.faint(context)}  ${painted}`.trimEnd();
}

function emphasis(type: EventType, text: string, paint: Paint): string {
  if (type === EventType.FINDING) return paint.bad(text);
  if (type === EventType.PRINTK) return paint.good(text);
  if (type === EventType.MSR_WRITE || type === EventType.INSTRUCTION) return paint.strong(text);
  return type === EventType.IRQ_ENTRY ? paint.faint(text) : text;
}
