import { describe, expect, it } from 'vitest';
import { type ChromeEvent, perfettoTrace } from '#report/perfetto';
import { call, loading, modelOf } from './trace.ts';

/** No slice of a track ends inside another one that began later. */
function nested(events: readonly ChromeEvent[]): boolean {
  const slices = events.filter(({ ph }) => ph === 'X');
  return slices.every((a) =>
    slices.every((b) => {
      const [from, to, first, last] = [a.ts!, a.ts! + a.dur!, b.ts!, b.ts! + b.dur!];
      return (
        a.tid !== b.tid ||
        to <= first ||
        last <= from ||
        (from <= first && last <= to) ||
        (first <= from && to <= last)
      );
    }),
  );
}

describe('perfettoTrace', () => {
  it('has a track for each CPU, slices inside each other, and one arrow for the IPI', () => {
    const { traceEvents } = perfettoTrace(modelOf(loading));
    expect(traceEvents.filter(({ name }) => name === 'thread_name').map(({ args }) => args)).toEqual([
      { name: 'CPU 0' },
      { name: 'CPU 1' },
    ]);
    expect(nested(traceEvents)).toBe(true);
    const arrows = traceEvents.filter(({ ph }) => ph === 's' || ph === 'f');
    expect(arrows.map(({ ph, tid, ts, id }) => ({ ph, tid, ts, id }))).toEqual([
      { ph: 's', tid: 1, ts: 7, id: 1 },
      { ph: 'f', tid: 0, ts: 8, id: 1 },
    ]);
  });

  it('ends what was still running when the trace ended, and what a cut stack left open', () => {
    const events = [call(1, 'sys_init_module', 0), call(2, 'svm_init', 1), call(3, 'kmalloc', 0)];
    const { traceEvents } = perfettoTrace(modelOf(events));
    expect(nested(traceEvents)).toBe(true);
    const slices = traceEvents.filter(({ ph }) => ph === 'X');
    expect(slices.map(({ name, ts, dur }) => ({ name, from: ts, to: ts! + dur! }))).toEqual([
      { name: 'sys_init_module', from: 1, to: 3 },
      { name: 'svm_init', from: 2, to: 3 },
      { name: 'kmalloc', from: 3, to: 4 },
    ]);
  });

  it('names an error a call answered, and counts lost events', () => {
    const trace = perfettoTrace(modelOf(loading, { lost: 4 }));
    expect(trace.otherData['lost']).toBe(4);
    expect(trace.traceEvents.find(({ ph, name }) => ph === 'X' && name === 'svm_init')?.args).toMatchObject({
      result: '-ENOMEM',
    });
  });
});
