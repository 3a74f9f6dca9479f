/** What every view is made from: a machine's events, and names for what they mention. */
import { EventType, type TraceEvent } from '#trace/events';

/** One record of the simulated log. */
export interface LogLine {
  /** Number of the record: what a PRINTK event's `a` says. */
  readonly record: number;
  readonly cpu: number;
  /** KERN_EMERG (0) .. KERN_DEBUG (7) */
  readonly level: number;
  readonly text: string;
}

/** What the simulated kernel said about itself. */
export interface Finding {
  readonly kind: string;
  readonly title: string;
  readonly cpu: number;
  /** Innermost call first. */
  readonly stack: readonly string[];
  readonly detail?: string;
}

export interface TraceModel {
  /** In machine order. */
  readonly events: readonly TraceEvent[];
  /** Name of the kernel function at an address. */
  readonly symbols: (address: number) => string | undefined;
  /** Name of the variable at an address, where somebody knows. */
  readonly variables?: (address: number) => string | undefined;
  /** CPUs the machine can have: as many columns. */
  readonly cpus: number;
  /** Events that did not fit. */
  readonly lost: number;
  /** Of a part of a trace: what came before. Views take from it what registers held, and show none of it. */
  readonly earlier?: readonly TraceEvent[];
  /** Words for PRINTK events. */
  readonly log?: readonly LogLine[];
  /** Words for FINDING events, by their number. */
  readonly findings?: readonly Finding[];
}

/** Name of a function, or its address where it has none. */
export function symbolAt(model: TraceModel, address: number): string {
  return model.symbols(address) ?? `0x${address.toString(16)}`;
}

/** The log record with that number. Records are few: a look through them is quick enough. */
export function logRecord(model: TraceModel, record: number): LogLine | undefined {
  return model.log?.find((line) => line.record === record);
}

/** The part of a trace between two sequence numbers, both included. */
export function sliceTrace(model: TraceModel, from: number, to: number): TraceModel {
  const earlier = model.events.filter(({ sequence }) => sequence < from);
  return {
    ...model,
    events: model.events.filter(({ sequence }) => sequence >= from && sequence <= to),
    earlier: [...(model.earlier ?? []), ...earlier],
  };
}

/**
 * The part of a trace that happens while a call of `symbol` runs: its CPU's flow below the call, and all other CPUs.
 * A call that never returned lasts to the end. Undefined if there is no such call.
 * @param nth which call, counted from 0
 */
export function traceBelow(model: TraceModel, symbol: string, nth = 0): TraceModel | undefined {
  const calls = model.events.filter(
    ({ type, a }) => type === EventType.FUNCTION_ENTRY && model.symbols(a) === symbol,
  );
  const call = calls[nth];
  if (call === undefined) return undefined;
  const end = model.events.find(
    (event) =>
      event.sequence > call.sequence &&
      event.type === EventType.FUNCTION_EXIT &&
      event.a === call.a &&
      event.pid === call.pid &&
      event.depth === call.depth,
  );
  return sliceTrace(model, call.sequence, end?.sequence ?? Infinity);
}
