/** A machine from the shelf does what a booted one does, whatever it was used for before. */
import {
  MachineShelf,
  ScenarioExecutor,
  compileScenario,
  encodeTrace,
  policyNumber,
  runLitmus,
} from 'smplab';
import { describe, expect, it } from 'vitest';
import { generateLitmus } from '../support/litmus-arbitrary.ts';

const RANDOM = policyNumber('random');
const SEEDS = Array.from({ length: 12 }, (_, index) => index + 1);

interface Seen {
  /** Every run to the last byte: log, events, memory. */
  readonly runs: readonly string[];
  readonly image: number;
  readonly buffer: ArrayBufferLike;
}

async function seen(file: string, memoryModel: 'sc' | 'tso', shelf?: MachineShelf): Promise<Seen> {
  const executor = await ScenarioExecutor.create(await compileScenario(file), { memoryModel, shelf });
  try {
    const { machine } = executor;
    const runs = SEEDS.map((seed) => {
      const { result, events } = executor.trace({ prefix: [], policy: RANDOM, seed });
      const log = result.log.words.slice(0, result.log.records * 8).join();
      const trace = Buffer.from(encodeTrace({ cpus: machine.layout.nrPossible, events, lost: 0 }));
      const said = JSON.stringify([result.stop, result.findings, executor.dmesg()]);
      return `${log} ${trace.toString('hex')} ${said} ${result.finalState}`;
    });
    return { runs, image: executor.imageHash, buffer: machine.bus.buffer };
  } finally {
    await executor.close();
  }
}

describe('a machine from the shelf', () => {
  const others = ['test/programs/deadlock01.ts', 'test/programs/stack.ts', 'test/programs/lazy01.ts'];

  it.each(['sc', 'tso'] as const)('runs as a booted one, byte for byte (%s)', async (model) => {
    const shelf = new MachineShelf();
    const buffers = new Map<string, ArrayBufferLike>();
    let reused = 0;
    for (const file of [...others, ...others.toReversed()]) {
      const [fresh, taken] = [await seen(file, model), await seen(file, model, shelf)];
      expect(taken.runs).toEqual(fresh.runs);
      expect(taken.image).toBe(fresh.image);
      if ([...buffers.values()].includes(taken.buffer)) reused++;
      buffers.set(file, taken.buffer);
    }
    expect(reused).toBeGreaterThan(2);
  });

  it('holds nothing of the scenario before: its values, or what its CPUs were about to do', async () => {
    const shelf = new MachineShelf();
    const state = async (text: string): Promise<string[]> => {
      const { verdict } = await runLitmus(text, 'test', { memoryModel: 'tso', shelf });
      return verdict.states.map(({ text: shown, executions }) => `${shown} in ${executions}`);
    };
    await state(
      'X86_64 one\n{ int64_t x=1099511627776; y=8; }\n P0 | P1 ;\n movl $9,(y) | movl (y),%eax ;\nforall (y=9)',
    );
    const alone = await state(
      'X86_64 two\n{ int64_t x; y; }\n P0 ;\n movq (x),%rax ;\nlocations [x; y;]\nforall (0:rax=0)',
    );
    expect(alone).toEqual(['0:rax=0; [x]=0; [y]=0; in 1']);
  });

  it('a scenario with a set-up boots a machine of its own', async () => {
    const shelf = new MachineShelf();
    const file = 'src/gallery/vcpu-before-cpu-online/scenario.ts';
    const [one, two] = [await seen(file, 'sc', shelf), await seen(file, 'sc', shelf)];
    expect(two.runs).toEqual(one.runs);
    expect(two.buffer).not.toBe(one.buffer);
  });

  it('litmus tests answer the same in any order (seeds 101 to 115)', async () => {
    const seeds = Array.from({ length: 15 }, (_, index) => 101 + index);
    const answers = async (order: readonly number[], shelf: MachineShelf): Promise<Map<number, string>> => {
      const found = new Map<number, string>();
      for (const seed of order) {
        const { verdict, schedules } = await runLitmus(generateLitmus(seed), `seed ${seed}`, {
          memoryModel: seed % 2 === 0 ? 'sc' : 'tso',
          shelf,
        });
        found.set(
          seed,
          `${schedules} ${JSON.stringify(verdict.states.map(({ text, executions }) => [text, executions]))}`,
        );
      }
      return found;
    };
    const shelf = new MachineShelf();
    const there = await answers(seeds, shelf);
    const back = await answers(seeds.toReversed(), shelf);
    for (const seed of seeds) expect(back.get(seed)).toBe(there.get(seed));
  });
});
