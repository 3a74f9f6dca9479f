/**
 * Litmus tests on the simulated machine, every interleaving, against an operational model that shares no code with it
 * (test/support/litmus-model.ts).
 */
import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type LitmusProgram,
  MachineShelf,
  closeSharedPool,
  litmusJson,
  parseLitmus,
  runLitmus,
} from 'smplab';
import { generateLitmus } from '../support/litmus-arbitrary.ts';
import { enumerateLitmus } from '../support/litmus-model.ts';

const shapes = path.join(import.meta.dirname, 'shapes');
const MODELS = ['sc', 'tso'] as const;
const GENERATED = process.env['SMPLAB_LONG'] === '1' ? 300 : 25;

afterAll(closeSharedPool);

/** What the model says, in the words of the machine's answer. */
function expected(program: LitmusProgram, model: 'sc' | 'tso'): object {
  const { verdict, complete } = enumerateLitmus(program, model);
  const { states, observation, positive, negative } = litmusJson(verdict, model, complete);
  return { states, observation, positive, negative };
}

/** As `smplab litmus` has one for all its files. */
const shelf = new MachineShelf();

async function onMachine(text: string, file: string, model: 'sc' | 'tso'): Promise<object> {
  const { verdict, complete, incomplete } = await runLitmus(text, file, { memoryModel: model, shelf });
  expect(complete, incomplete).toBe(true);
  const { states, observation, positive, negative } = litmusJson(verdict, model, complete);
  return { states, observation, positive, negative };
}

describe.each(MODELS)('%s', (model) => {
  for (const file of readdirSync(shapes).filter((name) => name.endsWith('.litmus'))) {
    it(`${file}: the same states and executions as the model`, async () => {
      const text = readFileSync(path.join(shapes, file), 'utf8');
      expect(await onMachine(text, file, model)).toEqual(expected(parseLitmus(text, file), model));
    });
  }

  it(`${GENERATED} generated tests (seeds 1 to ${GENERATED}): the same states as the model`, async () => {
    for (let seed = 1; seed <= GENERATED; seed++) {
      const text = generateLitmus(seed);
      const wanted = expected(parseLitmus(text, `seed ${seed}`), model);
      const found = await onMachine(text, `seed ${seed}`, model);
      expect({ seed, text, ...found }).toEqual({ seed, text, ...wanted });
    }
  }, 120_000);
});
