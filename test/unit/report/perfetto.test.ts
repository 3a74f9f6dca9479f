import { describe, expect, it } from 'vitest';
import { type ChromeEvent, perfettoTrace } from '#report/perfetto';
import { call, loading, modelOf } from './trace.ts';

/** Every slice that begins ends on its track, innermost first. */
function openAtEnd(events: readonly ChromeEvent[]): string[] {
  const stacks = new Map<number, string[]>();
  for (const { ph, tid, name } of events) {
    const stack = stacks.get(tid) ?? [];
    stacks.set(tid, stack);
    if (ph === 'B') stack.push(name);
    if (ph === 'E') expect(stack.pop()).toBe(name);
  }
  return [...stacks.values()].flat();
}

describe('perfettoTrace', () => {
  it('has a track for each CPU, slices that balance, and one arrow for the IPI', () => {
    const { traceEvents } = perfettoTrace(modelOf(loading));
    expect(traceEvents.filter(({ name }) => name === 'thread_name').map(({ args }) => args)).toEqual([
      { name: 'CPU 0' },
      { name: 'CPU 1' },
    ]);
    expect(openAtEnd(traceEvents)).toEqual([]);
    const arrows = traceEvents.filter(({ ph }) => ph === 's' || ph === 'f');
    expect(arrows.map(({ ph, tid, ts, id }) => ({ ph, tid, ts, id }))).toEqual([
      { ph: 's', tid: 1, ts: 7, id: 1 },
      { ph: 'f', tid: 0, ts: 8, id: 1 },
    ]);
  });

  it('ends what was still running when the trace ended, and what a cut stack left open', () => {
    const events = [call(1, 'sys_init_module', 0), call(2, 'svm_init', 1), call(3, 'kmalloc', 0)];
    const { traceEvents } = perfettoTrace(modelOf(events));
    expect(openAtEnd(traceEvents)).toEqual([]);
    expect(traceEvents.filter(({ ph }) => ph === 'E')).toHaveLength(3);
  });

  it('names an error a call answered, and counts lost events', () => {
    const trace = perfettoTrace(modelOf(loading, { lost: 4 }));
    expect(trace.otherData['lost']).toBe(4);
    expect(trace.traceEvents.find(({ ph, name }) => ph === 'E' && name === 'svm_init')?.args).toEqual({
      result: '-ENOMEM',
    });
  });
});
