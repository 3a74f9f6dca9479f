/**
 * The JSON against two readers that are not ours: a schema of what the published Trace Event Format asks of the events used
 * here, and the parser of the browser's own performance tools, which finds the slices of each thread and both ends of arrows.
 */
import { Ajv } from 'ajv';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import * as Engine from '@paulirish/trace_engine';
import { EventType, Instruction } from '#trace/events';
import { type ChromeTrace, perfettoTrace } from '#report/perfetto';
import { call, end, event, loading, modelOf } from './trace.ts';

const SCHEMA = path.join(import.meta.dirname, '../../../schemas/smplab.perfetto.1.schema.json');

const validates = new Ajv({ strict: true, allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(SCHEMA, 'utf8')) as object,
);

/** INIT and STARTUP that are taken, an interrupt that is dropped, and calls that never return. */
const starting = [
  call(1, 'sys_init_module', 0),
  event(2, EventType.IPI_SEND, { depth: 1, a: 0x200, b: 0 }),
  event(3, EventType.IPI_SEND, { depth: 1, a: 0x400, b: 0 }),
  event(4, EventType.INSTRUCTION, { cpu: 0, pid: 0, a: Instruction.INIT }),
  event(5, EventType.INSTRUCTION, { cpu: 0, pid: 0, a: Instruction.SIPI }),
  call(6, 'cpu_idle', 0, { cpu: 0, pid: 0 }),
  event(7, EventType.IPI_SEND, { depth: 1, a: 1, b: 0 }),
  call(8, 'svm_init', 1),
  end(9, 'svm_init', 1),
];

interface Thread {
  readonly name: string;
  readonly entries: readonly { readonly name: string }[];
  readonly tree: { readonly maxDepth: number };
}

/** What the browser's tools make of it. */
async function parsed({ traceEvents }: ChromeTrace) {
  const engine = Engine.Processor.TraceProcessor.createWithAllHandlers();
  await engine.parse(traceEvents as never, {});
  const { Renderer, Flows } = engine.data as unknown as {
    Renderer: { processes: ReadonlyMap<number, { threads: ReadonlyMap<number, Thread> }> };
    Flows: { flows: readonly (readonly { readonly name: string }[])[] };
  };
  const threads = [...Renderer.processes.values()].flatMap((process) => [...process.threads]);
  return {
    threads: threads
      .toSorted(([a], [b]) => a - b)
      .map(([, { name, entries, tree }]) => ({
        name,
        depth: tree.maxDepth,
        slices: entries.map((entry) => entry.name),
      })),
    flows: Flows.flows.map((flow) => flow.map(({ name }) => name)),
  };
}

describe('perfettoTrace, read by others', () => {
  beforeEach(() => {
    // It has one outside of a browser only if it is given one; it never draws here.
    vi.stubGlobal('DOMRect', function DOMRect() {});
    vi.stubGlobal('window', globalThis);
    vi.spyOn(console, 'error');
    vi.spyOn(console, 'warn');
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  it.each([
    { name: 'a module load', events: loading },
    { name: 'a CPU that is started', events: starting },
    { name: 'nothing', events: [] },
  ])('follows the published format: $name', ({ events }) => {
    validates(perfettoTrace(modelOf(events)));
    expect(validates.errors ?? []).toEqual([]);
  });

  it.each([
    { name: 'a slice without a length', change: { dur: undefined } },
    { name: 'a time that is no number', change: { ts: '7' } },
    { name: 'a key that the format does not have', change: { color: 'red' } },
    { name: 'an instant that is as wide as a planet', change: { ph: 'i', dur: undefined, s: 'x' } },
  ])('is told apart from what does not follow it: $name', ({ change }) => {
    const trace = perfettoTrace(modelOf(loading));
    const traceEvents = trace.traceEvents.map((one) => (one.ph === 'X' ? { ...one, ...change } : one));
    expect(validates(JSON.parse(JSON.stringify({ ...trace, traceEvents })))).toBe(false);
  });

  it('gives every CPU its slices and the IPI an arrow from its sender to the interrupt', async () => {
    const { threads, flows } = await parsed(perfettoTrace(modelOf(loading)));
    expect(threads).toEqual([
      {
        name: 'CPU 0',
        depth: 3,
        slices: ['call-function interrupt', 'smp_call_function_interrupt', 'hardware_enable'],
      },
      {
        name: 'CPU 1',
        depth: 3,
        slices: ['sys_init_module', 'svm_init', 'kmalloc', 'kmalloc', 'hardware_enable'],
      },
    ]);
    expect(flows).toEqual([['call-function IPI to CPU 0', 'call-function interrupt']]);
    expect(console.error).not.toHaveBeenCalled();
    expect(console.warn).not.toHaveBeenCalled();
  });

  it('draws the arrows of a start, and none for what nobody took', async () => {
    const { flows } = await parsed(perfettoTrace(modelOf(starting)));
    expect(flows).toEqual([
      ['INIT to CPU 0', 'INIT taken'],
      ['STARTUP to CPU 0', 'STARTUP taken'],
    ]);
  });
});
