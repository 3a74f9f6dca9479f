/** A scenario's file as CPU threads take it: one script, with everything it imports but `smplab` itself. */
import path from 'node:path';
import { type BuildFailure, build } from 'esbuild';
import { SmplabError } from '#base/errors';
import type { ScenarioSource } from '#machine/scenario';

/**
 * Compiles a scenario from TypeScript or JavaScript.
 * @throws SmplabError SMPLAB_BAD_SCENARIO if the file is not there or cannot be compiled: file, line and reason
 */
export async function compileScenario(file: string): Promise<ScenarioSource> {
  const shown = path.relative(process.cwd(), path.resolve(file)) || file;
  try {
    const result = await build({
      entryPoints: [path.resolve(file)],
      // Names in the code are as seen from the scenario: a copy elsewhere is the same scenario, and a token fits it.
      absWorkingDir: path.dirname(path.resolve(file)),
      bundle: true,
      write: false,
      format: 'cjs',
      platform: 'node',
      target: 'node20',
      external: ['smplab'],
      keepNames: false,
      minify: false,
      legalComments: 'none',
      sourcemap: 'inline',
      sourcesContent: false,
      logLevel: 'silent',
      // What a person's own tsconfig says about paths and decorators is no business of a scenario.
      tsconfigRaw: {},
    });
    return { file: shown, code: result.outputFiles[0]!.text };
  } catch (error) {
    throw new SmplabError('SMPLAB_BAD_SCENARIO', `${shown}: ${reasonOf(error)}`);
  }
}

function reasonOf(error: unknown): string {
  const [first] = (error as Partial<BuildFailure>).errors ?? [];
  if (first === undefined) return error instanceof Error ? error.message : String(error);
  const place = first.location === null ? '' : `line ${first.location.line}: `;
  return `${place}${first.text}`;
}
