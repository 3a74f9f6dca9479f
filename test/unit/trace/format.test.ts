import { type Arbitrary, array, assert, integer, property, record } from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TraceEvent } from '#trace/events';
import { TRACE_FORMAT, decodeTrace, encodeTrace } from '#trace/format';

const word = integer({ min: 0, max: 0xffffffff });
const byte = integer({ min: 0, max: 0xff });
const event = record({
  sequence: word,
  type: integer({ min: 1, max: 20 }),
  cpu: byte,
  context: byte,
  depth: integer({ min: 0, max: 0xffff }),
  pid: integer({ min: 0, max: 0xffffff }),
  a: word,
  b: word,
  c: word,
  d: word,
}) as Arbitrary<TraceEvent>;

const one: TraceEvent = {
  sequence: 0x01020304,
  type: 3,
  cpu: 5,
  context: 6,
  depth: 7,
  pid: 8,
  a: 0xfffffffe,
  b: 2,
  c: 3,
  d: 4,
};

describe('smp-trace/1', () => {
  it('gives back what it was made from', () => {
    assert(
      property(array(event), integer({ min: 1, max: 256 }), word, (events, cpus, lost) => {
        expect(decodeTrace(encodeTrace({ cpus, events, lost }))).toEqual({ cpus, events, lost });
      }),
    );
  });

  it('has the same bytes for ever: the header, then eight little-endian words for each event', () => {
    const hex = Buffer.from(encodeTrace({ cpus: 4, events: [one], lost: 9 })).toString('hex');
    expect(hex).toBe(
      [
        Buffer.from(`${TRACE_FORMAT}\0`).toString('hex'),
        '2000000004000000010000000900000000000000',
        '040302010308000005060700',
        'feffffff02000000030000000400000000000000',
      ].join(''),
    );
  });

  it.each([
    ['nothing', new Uint8Array(0), /expected the format smp-trace\/1/],
    ['another version', Buffer.from('smp-trace/2\0'.padEnd(32, '\0')), /expected the format smp-trace\/1/],
    ['half a header', encodeTrace({ cpus: 1, events: [], lost: 0 }).slice(0, 20), /expected the format/],
    ['a cut trace', encodeTrace({ cpus: 1, events: [one], lost: 0 }).slice(0, -1), /63 bytes: expected 64/],
  ])('refuses %s with a reason', (_what, bytes, reason) => {
    expect(() => decodeTrace(bytes)).toThrow(reason);
  });

  it('reads a trace that does not begin at the start of its buffer', () => {
    const bytes = encodeTrace({ cpus: 2, events: [one], lost: 0 });
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeTrace(shifted.subarray(3)).events).toEqual([one]);
  });
});
