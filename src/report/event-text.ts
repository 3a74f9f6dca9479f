/** One event in words. */
import { EventType } from '#trace/events';
import type { FlowLine } from './flow.ts';
import { type TraceModel, logRecord } from './model.ts';
import {
  callArguments,
  hex,
  instructionText,
  milestoneText,
  msrName,
  resultText,
  vectorName,
} from './names.ts';

/** The two words of an event that are one number. */
export function value64(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}

/** `svm_cpu_init(cpu 2)`, with ` = -ENOMEM` where the call failed. */
export function callText({ event, symbol, exit }: FlowLine): string {
  const name = symbol ?? hex(event.a);
  const result = exit === undefined ? '' : resultText(exit.b);
  return `${name}(${callArguments(name, event.b, event.c, event.d)})${result}`;
}

/** `wrmsr EFER 0xd01 -> 0x1d01`: what it held before, where the trace knows it, and what it holds now. */
function msrText({ event, before }: FlowLine): string {
  const name = msrName(event.a);
  const value = hex(value64(event.b, event.c));
  if (event.type === EventType.MSR_READ) return `rdmsr ${name} ${event.d === 0 ? value : '-> #GP'}`;
  const change = before === undefined ? value : `${hex(before)} -> ${value}`;
  return `wrmsr ${name} ${change}${event.d === 0 ? '' : ' -> #GP'}`;
}

function cr4Text({ event, before }: FlowLine): string {
  const change = before === undefined ? hex(event.b) : `${hex(before)} -> ${hex(event.b)}`;
  return `mov to CR4 ${change}${event.d === 0 ? '' : ' -> #GP'}`;
}

/** What a line says, without depth, CPU or colour. Undefined for events that no tree shows (memory operations). */
export function eventText(model: TraceModel, line: FlowLine): string | undefined {
  const { event } = line;
  const { a, b, c, d } = event;
  switch (event.type) {
    case EventType.FUNCTION_ENTRY:
      return callText(line);
    case EventType.IRQ_ENTRY:
      return `<${vectorName(a)} interrupt>`;
    case EventType.IPI_SEND:
      return `${vectorName(a)}${a >= INIT ? '' : ' IPI'} to CPU ${b}`;
    case EventType.MSR_READ:
    case EventType.MSR_WRITE:
      return msrText(line);
    case EventType.INSTRUCTION:
      return line.before === undefined ? instructionText(a, value64(b, c), d) : cr4Text(line);
    case EventType.HOTPLUG:
      return milestoneText(a, b);
    case EventType.PRINTK:
      return `"${logRecord(model, a)?.text ?? `record ${a}`}"`;
    case EventType.TASK:
      return `task ${b} ${c === 1 ? 'starts' : 'ends'}`;
    case EventType.ALLOCATION:
      return `${['frees', 'allocates', 'makes a slab of'][d] ?? `allocation ${d}`} ${b} bytes at ${hex(a)}`;
    case EventType.LOCK:
      return `${['', 'takes', 'releases', 'waits for'][b] ?? `lock ${b}`} lock ${hex(a)}`;
    case EventType.FINDING:
      return `REPORT: ${model.findings?.[a]?.title ?? `finding ${a}`}`;
    case EventType.FUNCTION_EXIT:
    case EventType.IRQ_EXIT:
    case EventType.LOAD:
    case EventType.STORE:
    case EventType.RMW:
    case EventType.FENCE:
    case EventType.BULK:
    case EventType.WAIT:
    case EventType.FLUSH:
      return undefined;
    default: {
      const unknown: never = event.type;
      return `event ${String(unknown)}`;
    }
  }
}

/** First of the vectors that are no interrupts: INIT and STARTUP. */
const INIT = 0x200;
