import { describe, expect, it } from 'vitest';
import { array, assert, asyncProperty, constantFrom, property } from 'fast-check';
import { Choice, Program } from '../../support/resumable-model.ts';
import { programs } from '../../support/resumable-programs.ts';
import { corpus } from './corpus.ts';

const choices = array(constantFrom(Choice.GO, Choice.PARK, Choice.INTERRUPT), {
  minLength: 1,
  maxLength: 40,
});

describe('compiled functions', () => {
  it.each(Object.entries(corpus))('behave as they stand: %s', async (_about, source) => {
    const program = await Program.make(source);
    assert(
      property(choices, (schedule) => {
        const plain = program.runPlain(schedule);
        expect(program.runPlainForm(schedule)).toEqual(plain);
        expect(program.runResumable(schedule)).toEqual(plain);
      }),
      {
        numRuns: 20,
        examples: [[[Choice.GO]], [[Choice.PARK]], [[Choice.INTERRUPT]], [[Choice.GO, Choice.PARK]]],
      },
    );
  });
});

describe('generated programs', () => {
  it('behave as they stand', async () => {
    await assert(
      asyncProperty(programs, choices, async (source, schedule) => {
        const program = await Program.make(source);
        const plain = program.runPlain(schedule);
        expect(program.runPlainForm(schedule)).toEqual(plain);
        expect(program.runResumable(schedule)).toEqual(plain);
        expect(program.runResumable([Choice.PARK])).toEqual(program.runPlain([Choice.PARK]));
        expect(program.runResumable([Choice.INTERRUPT, Choice.GO])).toEqual(
          program.runPlain([Choice.INTERRUPT, Choice.GO]),
        );
      }),
      { numRuns: Number(process.env['PASS_PROGRAMS'] ?? 200) },
    );
  });
});
