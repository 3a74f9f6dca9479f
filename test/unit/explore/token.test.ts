import {
  type Arbitrary,
  array,
  assert,
  constantFrom,
  integer,
  property,
  record,
  string,
  tuple,
} from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SmplabError } from '#base/errors';
import type { Segment } from '#explore/executor';
import { joined } from '#explore/schedule';
import { type Token, type TokenIdentity, checkpointSegments, decodeToken, encodeToken } from '#explore/token';
import { crc32 } from '#explore/token-bytes';
import { type TolerantSchedule, decodeLongToken, encodeLongToken } from '#explore/tolerant';

const here: Required<Omit<TokenIdentity, 'faults'>> = {
  version: '0.1.0',
  imageHash: 0x12345678,
  scenario: 'lost-update',
  scenarioHash: 0xfedcba98,
  cpus: 2,
  vendor: 'amd',
  memoryModel: 'sc',
  stepsMax: 0,
  optionsHash: 0,
};

function tokenOf(schedule: readonly Segment[], over: Partial<Token> = {}): Token {
  const checkpoints = checkpointSegments(schedule.length).map((at) => (at * 7) & 15);
  return { ...here, schedule, logDigest: 0xcafebabe, checkpoints, ...over };
}

const word = integer({ min: 0, max: 0xffffffff });
const segment: Arbitrary<Segment> = record({
  actor: integer({ min: 0, max: 12 }),
  steps: integer({ min: 1, max: 300 }),
});
const anyToken: Arbitrary<Token> = tuple(
  record({
    version: constantFrom('0.1.0', '12.0.300', '1.0.0-rc.1', '127.1.1', '01.2.3'),
    imageHash: word,
    scenario: string({ unit: 'grapheme', maxLength: 20 }),
    scenarioHash: word,
    cpus: integer({ min: 1, max: 256 }),
    vendor: constantFrom<'amd' | 'intel'>('amd', 'intel'),
    memoryModel: constantFrom<'sc' | 'tso'>('sc', 'tso'),
    stepsMax: constantFrom(0, 1, 2_000_000),
    optionsHash: constantFrom(0, 1, 0xffffffff),
    faults: constantFrom(undefined, 'seed=7 kmalloc,nth=2 misc_register=EBUSY'),
    logDigest: word,
  }),
  array(segment, { maxLength: 40 }),
).map(([rest, segments]) => {
  const schedule = joined(segments);
  return { ...rest, schedule, checkpoints: checkpointSegments(schedule.length).map((at) => (at * 5) & 15) };
});

function refusal(text: string, identity?: TokenIdentity): string {
  try {
    decodeToken(text, identity);
  } catch (error) {
    if (error instanceof SmplabError && error.code === 'SMPLAB_BAD_TOKEN') return error.message;
    throw error;
  }
  throw new Error(`accepted ${text}`);
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_:.%/ +=\u{e9}';

describe('token', () => {
  it('says all that it was given, again (500 random tokens)', () => {
    assert(
      property(anyToken, (token) => {
        expect(decodeToken(encodeToken(token))).toEqual(token);
      }),
      { numRuns: 500, seed: 0x70 },
    );
  });

  it('is refused when any one character is another (every place, every letter)', () => {
    const text = encodeToken(
      tokenOf([
        { actor: 0, steps: 3 },
        { actor: 4, steps: 5 },
        { actor: 0, steps: 2 },
      ]),
    );
    let tried = 0;
    for (let at = 0; at < text.length; at++) {
      for (const letter of ALPHABET) {
        if (letter === text[at]) continue;
        expect(refusal(text.slice(0, at) + letter + text.slice(at + 1))).toMatch(/^the token is /);
        tried++;
      }
    }
    expect(tried).toBeGreaterThan(text.length * 60);
  });

  it('is refused when any one character is another (random tokens)', () => {
    const change = tuple(anyToken, integer({ min: 0 }), integer({ min: 0, max: ALPHABET.length - 1 }));
    assert(
      property(change, ([token, where, which]) => {
        const text = encodeToken(token);
        const at = where % text.length;
        const changed = text.slice(0, at) + ALPHABET[which]! + text.slice(at + 1);
        if (changed !== text) expect(refusal(changed)).toMatch(/^the token is /);
      }),
      { numRuns: 1000, seed: 0x71 },
    );
  });

  it('is refused when bits that no byte uses are set in its last letter (payloads of every length modulo 3)', () => {
    const lengths = new Set<number>();
    for (const scenario of ['a', 'b']) {
      for (let segments = 1; segments <= 4; segments++) {
        const schedule = Array.from({ length: segments }, (_, at) => ({ actor: (at % 2) * 4, steps: 2 }));
        const text = encodeToken(tokenOf(schedule, { scenario }));
        lengths.add((text.length - text.lastIndexOf(':') - 1) % 4);
        for (const letter of ALPHABET.slice(0, 64)) {
          if (text.endsWith(letter)) continue;
          expect(refusal(text.slice(0, -1) + letter)).toMatch(/^the token is damaged/);
        }
      }
    }
    expect([...lengths].toSorted((a, b) => a - b)).toEqual([0, 2, 3]);
  });

  it('is refused when a part of it is missing', () => {
    const text = encodeToken(
      tokenOf([
        { actor: 0, steps: 3 },
        { actor: 4, steps: 5 },
      ]),
    );
    for (let length = 0; length < text.length; length++) {
      expect(refusal(text.slice(0, length))).toMatch(/^the token is damaged/);
    }
  });

  it('fits 80 characters for three CPUs and a dozen switches', () => {
    const schedule = Array.from({ length: 13 }, (_, at) => ({
      actor: (at % 3) * 4,
      steps: 1 + ((at * 5) % 17),
    }));
    const text = encodeToken(tokenOf(schedule, { scenario: 'reorder_3' }));
    expect(text.length).toBeLessThan(80);
  });

  it('writes the rounds of a livelock once, however many there are', () => {
    const round = [
      { actor: 0, steps: 2 },
      { actor: 4, steps: 3 },
      { actor: 8, steps: 1 },
    ];
    const schedule = Array.from({ length: 30_000 }, (_, at) => round[at % 3]!);
    const text = encodeToken(tokenOf(schedule));
    expect(text.length).toBeLessThan(90);
    expect(decodeToken(text).schedule).toEqual(schedule);
  });

  it('is the same text whenever and wherever it is made', () => {
    const text = encodeToken(
      tokenOf([
        { actor: 0, steps: 3 },
        { actor: 4, steps: 5 },
      ]),
    );
    expect(text).toBe(encodeToken(decodeToken(text)));
    expect(text).toMatch(/^smp1:lost-update:[\w-]+$/);
  });

  it('keeps a path readable, and any other character safe for a shell', () => {
    const text = encodeToken(tokenOf([{ actor: 0, steps: 1 }], { scenario: "./my tests/it's é.ts" }));
    expect(text).toMatch(/^smp1:\.\/my%20tests\/it%27s%20%C3%A9\.ts:[\w-]+$/);
    expect(decodeToken(text).scenario).toBe("./my tests/it's é.ts");
  });

  const edits: readonly [Partial<TokenIdentity>, RegExp][] = [
    [{ version: '0.2.0' }, /another version: made with 0\.1\.0, got 0\.2\.0/],
    [{ imageHash: 1 }, /another kernel image: made with 0x12345678, got 0x00000001/],
    [{ scenario: 'other' }, /another scenario: made with lost-update, got other/],
    [
      { scenarioHash: 2 },
      /another state of its scenario: made with 0xfedcba98, got 0x00000002; lost-update was edited/,
    ],
    [{ cpus: 4 }, /another configuration: made with cpus=2, got cpus=4/],
    [{ vendor: 'intel' }, /another configuration: made with vendor=amd, got vendor=intel/],
    [{ memoryModel: 'tso' }, /another configuration: made with memory-model=sc, got memory-model=tso/],
    [{ stepsMax: 9 }, /another configuration: made with steps-max=0, got steps-max=9/],
    [{ optionsHash: 3 }, /another configuration: made with options 0x00000000, got options 0x00000003/],
  ];
  it.each(edits)('is refused where %o, in one line that says so', (edit, expected) => {
    const text = encodeToken(tokenOf([{ actor: 0, steps: 1 }]));
    expect(decodeToken(text, here).cpus).toBe(2);
    const message = refusal(text, { ...here, ...edit });
    expect(message).toMatch(expected);
    expect(message).not.toContain('\n');
  });

  it('says that it does not know a later format, and not that the token is damaged', () => {
    const text = encodeToken(tokenOf([{ actor: 0, steps: 1 }]));
    expect(refusal(text.replace('smp1', 'smp2'))).toBe(
      'the token is of another format: expected smp1, got smp2',
    );
  });

  it('refuses to write a schedule whose neighbours are one actor: it would read back otherwise', () => {
    const twice = [
      { actor: 0, steps: 1 },
      { actor: 0, steps: 2 },
    ];
    expect(() => encodeToken(tokenOf(twice))).toThrow(RangeError);
  });
});

describe('crc32', () => {
  it('gives the check value of its standard', () => {
    expect(crc32(new TextEncoder().encode('123456789'))).toBe(0xcbf43926);
  });

  it('goes on from the bytes before', () => {
    const bytes = new TextEncoder().encode('123456789');
    expect(crc32(bytes.subarray(4), crc32(bytes.subarray(0, 4)))).toBe(0xcbf43926);
  });
});

describe('long token', () => {
  const schedule: TolerantSchedule = [
    { actor: 0, type: 'load', site: 'increment', variable: 'counter', occurrence: 1 },
    { actor: 4, type: 'store', site: 'increment', variable: 'counter', occurrence: 2 },
  ];
  const token = tokenOf([
    { actor: 0, steps: 2 },
    { actor: 4, steps: 3 },
  ]);

  it('says the schedule by names beside the token', () => {
    expect(decodeLongToken(encodeLongToken(token, schedule))).toEqual({ token, schedule });
  });

  it('is optional: the short form has no names', () => {
    expect(decodeLongToken(encodeToken(token))).toEqual({ token, schedule: undefined });
  });

  it('is refused when any one character is another', () => {
    const text = encodeLongToken(token, schedule);
    for (let at = 0; at < text.length; at++) {
      for (const letter of 'Az09-_+') {
        if (letter === text[at]) continue;
        const changed = text.slice(0, at) + letter + text.slice(at + 1);
        expect(() => decodeLongToken(changed), changed).toThrow(SmplabError);
      }
    }
  });
});
