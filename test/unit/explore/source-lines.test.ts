import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import vm from 'node:vm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arrays } from '#base/callbacks';
import { type Resumable, both, hold, resumable, turn } from '#base/resumable';
import { compileScenario } from '#explore/compile';
import { SourceLines } from '#explore/source-lines';
import type { ScenarioSource } from '#machine/scenario';

const HELPER = `
interface Padding { readonly a: number }
type Nothing = undefined;

export const fails = (padding: Padding): never => {
  padding.a;
  throw new Error('on line 7');
};
`;
const SCENARIO = `import { fails } from './helper.ts';
interface Other {
  readonly padding: number;
}
const { x } = { x: 1 } as { x: number };

function main(v: Other): void {
  const { padding } = v;
  for (let i = 0; i < 1; i++)
    fails({ a: padding + x });
}
export default main;
`;

describe('source-lines', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'smplab-lines-'));
    writeFileSync(path.join(folder, 'helper.ts'), HELPER);
    writeFileSync(path.join(folder, 'scenario.ts'), SCENARIO);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  /** Runs what was compiled, as scenario/program.ts does, and answers the stack of what it throws. */
  function stackOf(source: ScenarioSource): string {
    const code = `(function (exports, require, module) {${source.resumable ?? source.code}\n})`;
    const run = vm.runInThisContext(code, { filename: source.file }) as (...args: object[]) => void;
    const module: { exports: { default?: { (v: object): void; $?: (v: object) => Resumable } } } = {
      exports: {},
    };
    run(module.exports, () => ({ resumable, hold, both, turn, arrays }), module);
    const main = module.exports.default!;
    try {
      if (main.$ === undefined) main({ padding: 1 });
      else main.$({ padding: 1 }).next();
    } catch (error) {
      return (error as Error).stack!;
    }
    return 'nothing was thrown';
  }

  it.each(['fibers', 'threads'] as const)(
    'a stack names the author’s files and lines (executor=%s)',
    async (executor) => {
      const source = await compileScenario(path.join(folder, 'scenario.ts'), executor);
      const raw = stackOf(source);
      const lines = new SourceLines(source).readable(raw).split('\n');
      const shown = path.dirname(source.file);
      expect(lines[0]).toBe('Error: on line 7');
      expect(lines[1]).toContain(`${path.join(shown, 'helper.ts')}:7:`);
      expect(lines[2]).toContain(`${path.join(shown, 'scenario.ts')}:10:`);
    },
  );

  it('a stack stays as it is where there is no map', () => {
    const stack = 'Error: no\n    at f (some.ts:3:4)\n    at Generator.next (<anonymous>)';
    expect(new SourceLines({ file: 'some.ts', code: 'f();' }).readable(stack)).toBe(stack);
  });
});
