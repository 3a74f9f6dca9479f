/** The canonical shapes, in both models, against the verdicts of the literature (x86-TSO, 2009; herding cats, 2014). */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseLitmus } from '#litmus/parse';
import { enumerateLitmus } from '../../support/litmus-model.ts';

const SHAPES = path.resolve(import.meta.dirname, '../../litmus/shapes');

/** Shapes whose outcome x86-TSO allows; all the others it forbids, and SC forbids all. */
// prettier-ignore
const ALLOWED = new Set([
  'SB', 'SB+mfence+po', 'SB+rfi-pos', 'SB+rfi-po+mfence', 'SB+xchg+po', 'R', 'R+mfence+po', 'RWC', 'RWC+mfence+po',
  'W+RWC', 'WRW+WR', '3.SB', '4.SB', 'Z6.0', 'Z6.4', 'Z6.5',
]);

// prettier-ignore
const FORBIDDEN = new Set([
  'SB+mfences', 'SB+xchgs', 'R+po+mfence', 'R+mfences', 'RWC+po+mfence', 'RWC+mfences', 'W+RWC+po+po+mfence',
  'WRW+WR+po+mfence', '3.SB+mfences', 'MP', 'LB', 'S', '2+2W', 'WRC', 'WWC', 'WRR+2W', 'WRW+2W', 'IRIW', 'ISA2',
  'Z6.1', 'Z6.2', 'Z6.3', 'CoRR', 'CoRW', 'CoWR', 'CoWW',
]);

const files = readdirSync(SHAPES).filter((file) => file.endsWith('.litmus'));

describe('litmus shapes', () => {
  it('every file has its verdict here, and every verdict its file', () => {
    const names = files.map((file) => path.basename(file, '.litmus')).toSorted();
    expect(names).toEqual([...ALLOWED, ...FORBIDDEN].toSorted());
  });

  it('both dialects are among the files', () => {
    const dialects = files.map((file) => readFileSync(path.join(SHAPES, file), 'utf8').split(' ')[0]);
    expect(new Set(dialects)).toEqual(new Set(['X86', 'X86_64']));
  });

  for (const file of files) {
    const program = parseLitmus(readFileSync(path.join(SHAPES, file), 'utf8'), file);
    const allowed = ALLOWED.has(program.name);
    it(`${program.name}: forbidden by sc, ${allowed ? 'allowed' : 'forbidden'} by tso`, () => {
      const sc = enumerateLitmus(program, 'sc');
      const tso = enumerateLitmus(program, 'tso');
      expect([sc.complete, tso.complete]).toEqual([true, true]);
      expect(sc.verdict.observation).toBe('Never');
      expect(tso.verdict.observation).toBe(allowed ? 'Sometimes' : 'Never');
      // Whatever sc can do, tso can: its buffers may be emptied at once.
      const reached = new Set(tso.verdict.states.map(({ text }) => text));
      expect(sc.verdict.states.filter(({ text }) => !reached.has(text))).toEqual([]);
    });
  }
});
