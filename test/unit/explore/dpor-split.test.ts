import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { DporSearch } from '#explore/dpor';
import type { DporTask } from '#explore/dpor-task';
import { runSearch } from '#explore/search';
import type { ModelMachine } from '../../support/model-machine.ts';
import { anyProgram, byDpor, machineOf, note, nothing, type Found } from './dpor-programs.ts';

interface InParts extends Found {
  parts: number;
  isComplete: boolean;
}

/** One part of a search, and those it gives away, each as another process would get it. */
function explorePart(machine: ModelMachine, search: DporSearch, every: number, all: InParts): void {
  let found = nothing();
  let given: DporSearch[] = [];
  let { redundant, restarts } = search;
  runSearch(search, machine, (result, run) => {
    if (search.restarts > restarts) {
      ({ restarts } = search);
      found = nothing();
      given = [];
    } else if (search.redundant === redundant) note(found, result);
    ({ redundant } = search);
    const task = run % every === 0 ? search.split() : undefined;
    if (task !== undefined) given.push(DporSearch.from(JSON.parse(JSON.stringify(task)) as DporTask));
    return false;
  });
  all.parts++;
  all.isComplete &&= search.isComplete || (search.cutShort === 0 && search.timeouts > 0);
  all.twice += found.twice;
  for (const state of found.states) all.states.add(state);
  for (const trace of found.traces) {
    if (all.traces.has(trace)) all.twice++;
    all.traces.add(trace);
  }
  for (const part of given) explorePart(machine, part, every, all);
}

it.each([
  ['sc', 1, false],
  ['sc', 3, false],
  ['tso', 1, false],
  ['tso', 2, false],
  ['sc', 1, true],
  ['tso', 2, true],
] as const)(
  'dpor: parts find what the whole finds, each trace once (%s, given away every %i runs, interrupts %s)',
  (model, every, irq) => {
    const seed = Number(process.env['SEED'] ?? 11);
    let given = 0;
    const check = (program: Parameters<typeof machineOf>[0]): void => {
      const machine = machineOf(program, model);
      const whole = byDpor(machine);
      const all: InParts = { ...nothing(), parts: 0, isComplete: true };
      explorePart(machine, new DporSearch(), every, all);
      given += all.parts - 1;
      expect(all.isComplete).toBe(true);
      expect([...all.states].toSorted()).toEqual([...whole.states].toSorted());
      expect([...all.traces].toSorted()).toEqual([...whole.traces].toSorted());
      expect(all.twice).toBe(0);
    };
    fc.assert(fc.property(anyProgram(7, irq), check), { numRuns: Number(process.env['RUNS'] ?? 100), seed });
    if (model === 'sc' || !irq) expect(given).toBeGreaterThan(20);
  },
);
