import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { DporSearch } from '#explore/dpor';
import { enumerateAll } from '#explore/dpor-enumerate';
import type { RunResult } from '#explore/executor';
import { runSearch } from '#explore/search';
import {
  type Toy,
  type ToyProgram,
  anyBusyProgram,
  anyProgram,
  anySizedProgram,
  anyStartingProgram,
  byDpor,
  byForce,
  machineOf,
} from './dpor-programs.ts';

/** Schedules brute force may need before a program is passed over: the rest is enough. */
const SCHEDULES_MAX = 15_000;

const BUSY_SCHEDULES_MAX = 1_000;

/** For a longer look: as many times the programs. */
const TIMES = Number(process.env['TIMES'] ?? 1);

function waits(body: readonly Toy[]): boolean {
  return body.some(
    (toy) => toy.op === 'await' || toy.op === 'await2' || toy.op === 'either' || toy.op === 'await-for',
  );
}

/** Programs of at most 8 operations; with interrupts fewer, since brute force tries them everywhere. */
it.each([
  ['sc', 8, false, 120],
  ['tso', 7, false, 90],
  ['sc', 6, true, 60],
  ['tso', 5, true, 30],
] as const)(
  'dpor: the states and traces of brute force, no trace twice (%s, %i operations, interrupts %s, %i programs)',
  (model, most, withInterrupts, programs) => {
    const seed = Number(process.env['SEED'] ?? 20_260_101);
    let compared = 0;
    const check = (program: ToyProgram): void => {
      const force = byForce(machineOf(program, model), SCHEDULES_MAX);
      if (!force.isComplete) return;
      compared++;
      const { search, states, traces, twice } = byDpor(machineOf(program, model));
      expect(search.isComplete).toBe(true);
      expect([...states].toSorted()).toEqual([...force.states].toSorted());
      expect([...traces].toSorted()).toEqual([...force.traces].toSorted());
      expect(twice).toBe(0);
      expect(search.executions - search.redundant).toBe(traces.size);
      // Only a wait, or an interrupt that may have been there from the start, has to be guessed.
      if (!withInterrupts && !program.flows.some(waits)) expect(search.redundant).toBe(0);
    };
    fc.assert(fc.property(anyProgram(most, withInterrupts), check), { numRuns: programs * TIMES, seed });
    expect(compared).toBeGreaterThan((programs * TIMES) / 2);
  },
);

it.each([
  ['sc', 7, false, 100],
  ['tso', 6, false, 60],
  ['sc', 6, true, 40],
] as const)(
  'dpor: where a failure ends the run, the failures of brute force (%s, %i operations, interrupts %s, %i programs)',
  (model, most, withInterrupts, programs) => {
    const seed = Number(process.env['SEED'] ?? 20_260_102);
    let failures = 0;
    const check = (program: ToyProgram): void => {
      const titles = { force: new Set<string>(), dpor: new Set<string>() };
      const note = (all: Set<string>, { findings }: RunResult): void => {
        for (const { title } of findings) all.add(title);
      };
      const { isComplete } = enumerateAll(
        machineOf(program, model),
        (result) => note(titles.force, result),
        () => titles.force.clear(),
        SCHEDULES_MAX,
      );
      if (!isComplete) return;
      const search = new DporSearch();
      runSearch(search, machineOf(program, model), (result) => {
        note(titles.dpor, result);
        return false;
      });
      failures += titles.dpor.size;
      expect(search.isComplete).toBe(true);
      expect([...titles.dpor].toSorted()).toEqual([...titles.force].toSorted());
    };
    fc.assert(fc.property(anyProgram(most, withInterrupts, 6), check), { numRuns: programs * TIMES, seed });
    expect(failures).toBeGreaterThan((programs * TIMES) / 2);
  },
);

/** What a flow that never begins, or waits for ever, has not yet done for itself is in no trace: only shared memory is compared. */
it.each([
  ['interrupt each other, nested and with preemption', 'sc', 6, 40],
  ['interrupt each other, nested and with preemption', 'tso', 5, 15],
  ['start others, whole or in pieces', 'sc', 7, 80],
  ['start others, whole or in pieces', 'tso', 6, 40],
  ['use parts of words, and many at once', 'sc', 6, 30],
  ['use parts of words, and many at once', 'tso', 6, 30],
] as const)(
  'dpor: the states and traces of brute force where CPUs %s (%s, %i operations, %i programs)',
  (what, model, most, programs) => {
    const anySuch = what.startsWith('start')
      ? anyStartingProgram
      : what.startsWith('use')
        ? anySizedProgram
        : anyBusyProgram;
    const seed = Number(process.env['SEED'] ?? 20_260_103);
    let compared = 0;
    const check = (program: ToyProgram): void => {
      const force = byForce(machineOf(program, model, true), BUSY_SCHEDULES_MAX);
      if (!force.isComplete) return;
      const { search, traces, states, twice } = byDpor(machineOf(program, model, true));
      expect(twice).toBe(0);
      const gap = search.statement().unproved;
      if (gap !== undefined) {
        // A covered step under a thread may be the only one the log tells of: then it says so, and claims nothing.
        expect(gap).toMatch(/INIT twice|could not follow up/);
        return;
      }
      compared++;
      expect([...traces].toSorted()).toEqual([...force.traces].toSorted());
      expect([...states].toSorted()).toEqual([...force.states].toSorted());
    };
    fc.assert(fc.property(anySuch(most), check), { numRuns: programs * TIMES, seed });
    expect(compared).toBeGreaterThan((programs * TIMES) / 3);
  },
);
