import fc from 'fast-check';
import { expect, it } from 'vitest';
import { anyProgram, byDpor, byForce, machineOf, type ToyProgram } from './dpor-programs.ts';

const RUNS = Number(process.env['RUNS'] ?? 300);
const SEED = Number(process.env['SEED'] ?? 1);
const SIZE = Number(process.env['SIZE'] ?? 6);
for (const irq of [false, true])
  for (const model of ['sc', 'tso'] as const)
    it(`fuzz irq=${irq} ${model}`, () => {
      let misses = 0,
        executions = 0,
        redundant = 0,
        skipped = 0,
        redundantPrograms = 0,
        forced = 0;
      const stats: string[] = [];
      const check = (program: ToyProgram): void => {
        const force = byForce(machineOf(program, model), 60000);
        if (!force.isComplete) {
          skipped++;
          return;
        }
        const dpor = byDpor(machineOf(program, model));
        executions += dpor.search.executions;
        redundant += dpor.search.redundant;
        misses += dpor.search.misses;
        forced += force.traces.size;
        if (dpor.search.redundant > dpor.search.misses) {
          redundantPrograms++;
          if (stats.length < 3)
            stats.push(`${dpor.search.executions}/${dpor.search.redundant} ` + JSON.stringify(program));
        }
        expect([...dpor.states].sort()).toEqual([...force.states].sort());
        expect(dpor.search.isComplete).toBe(true);
        expect(dpor.twice).toBe(0);
        expect(dpor.traces.size).toBe(force.traces.size);
      };
      try {
        fc.assert(fc.property(anyProgram(SIZE, irq), check), { numRuns: RUNS, seed: SEED });
      } finally {
        console.log(
          `irq=${irq} ${model} executions ${executions} traces ${forced} redundant ${redundant} misses ${misses} in ${redundantPrograms} programs, skipped ${skipped}\n` +
            stats.join('\n'),
        );
      }
    }, 600000);
