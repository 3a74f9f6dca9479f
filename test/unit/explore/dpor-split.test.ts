import fc from 'fast-check';
import { expect, it } from 'vitest';
import { DporSearch } from '#explore/dpor';
import type { DporTask } from '#explore/dpor-task';
import { runSearch } from '#explore/search';
import type { ModelMachine } from '../../support/model-machine.ts';
import { anyProgram, byDpor, machineOf, note, nothing, type Found } from './dpor-programs.ts';

/** Explores with work given away every `every` runs, each part on the same machine: what is shared stays known. */
function inParts(machine: ModelMachine, every: number): Found & { parts: number; isComplete: boolean } {
  const found = nothing();
  const waiting = [new DporSearch()];
  let parts = 0;
  let isComplete = true;
  for (let search = waiting.pop(); search !== undefined; search = waiting.pop()) {
    const own = search;
    let { redundant } = own;
    parts++;
    runSearch(own, machine, (result, run) => {
      if (own.redundant === redundant) note(found, result);
      ({ redundant } = own);
      const task = run % every === 0 ? own.split() : undefined;
      if (task !== undefined) waiting.push(DporSearch.from(JSON.parse(JSON.stringify(task)) as DporTask));
      return false;
    });
    isComplete &&= own.isComplete;
  }
  return { ...found, parts, isComplete };
}

it.each([
  ['sc', 1],
  ['sc', 3],
  ['tso', 1],
  ['tso', 2],
] as const)(
  'dpor: parts find what the whole finds, each trace once (%s, given away every %i runs)',
  (model, every) => {
    const seed = Number(process.env['SEED'] ?? 11);
    let given = 0;
    const check = (program: Parameters<typeof machineOf>[0]): void => {
      const machine = machineOf(program, model);
      const whole = byDpor(machine);
      const parts = inParts(machine, every);
      given += parts.parts - 1;
      expect(parts.isComplete).toBe(true);
      expect([...parts.states].toSorted()).toEqual([...whole.states].toSorted());
      expect([...parts.traces].toSorted()).toEqual([...whole.traces].toSorted());
      expect(parts.twice).toBe(0);
    };
    fc.assert(fc.property(anyProgram(7, false), check), {
      numRuns: Number(process.env['RUNS'] ?? 100),
      seed,
    });
    expect(given).toBeGreaterThan(20);
  },
);
