/** A scenario's file as CPU threads take it: one script, with everything it imports but `smplab` itself. */
import path from 'node:path';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { BuildFailure, Plugin } from 'esbuild';
import { SmplabError } from '#base/errors';
import { mayKeepState } from '#fibers/outside';
import { PassError, makeResumable } from '#fibers/pass';
import type { ExecutorKind } from '#machine/runner';
import type { ScenarioSource } from '#machine/scenario';

/** As scenario/program.ts answers for it. */
const RUNTIME = 'smplab/resumable';

/**
 * Compiles a scenario from TypeScript or JavaScript.
 * @param executor what it is to run on: fibers need functions that can be suspended
 * @throws SmplabError SMPLAB_BAD_SCENARIO if the file is not there or cannot be compiled: file, line and reason
 */
export async function compileScenario(
  file: string,
  executor: ExecutorKind = 'fibers',
): Promise<ScenarioSource> {
  const shown = path.relative(process.cwd(), path.resolve(file)) || file;
  try {
    if (executor === 'threads') return { file: shown, code: await bundle(file, []) };
    let keepsState = false;
    const plugin = resumablePlugin(() => {
      keepsState = true;
    });
    const [code, resumable] = await Promise.all([bundle(file, []), bundle(file, [plugin])]);
    return { file: shown, code, resumable, keepsState };
  } catch (error) {
    throw new SmplabError('SMPLAB_BAD_SCENARIO', `${shown}: ${reasonOf(error)}`);
  }
}

const resumablePlugin = (onState: () => void): Plugin => ({
  name: 'resumable',
  setup(building) {
    building.onLoad({ filter: /\.[cm]?[jt]s$/ }, async ({ path: file }) => {
      const code = await readFile(file, 'utf8');
      try {
        const contents = await makeResumable(code, {
          file: path.basename(file),
          runtime: { resumable: RUNTIME, callbacks: RUNTIME },
          computed: true,
          strict: true,
          loops: true,
        });
        if (mayKeepState(code, (source) => codeBeside(file, source))) onState();
        return { contents, loader: /\.[cm]?ts$/.test(file) ? 'ts' : 'js' };
      } catch (error) {
        if (!(error instanceof PassError)) throw error;
        return { errors: [{ text: error.message, location: { file, line: error.line } }] };
      }
    });
  },
});

/** The code of a module that a file imports, if it names that by its path. */
function codeBeside(file: string, source: string): string | undefined {
  if (!source.startsWith('.')) return undefined;
  try {
    return readFileSync(path.resolve(path.dirname(file), source), 'utf8');
  } catch {
    // Without an extension, or from where esbuild alone finds it.
    return undefined;
  }
}

async function bundle(file: string, plugins: Plugin[]): Promise<string> {
  // Loaded here: most commands compile nothing.
  const { build } = await import('esbuild');
  const result = await build({
    entryPoints: [path.resolve(file)],
    // Names in the code are as seen from the scenario: a copy elsewhere is the same scenario, and a token fits it.
    absWorkingDir: path.dirname(path.resolve(file)),
    bundle: true,
    write: false,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    external: ['smplab', RUNTIME],
    plugins,
    // Functions are called what their author called them, however the bundle renames them.
    keepNames: true,
    minify: false,
    legalComments: 'none',
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'silent',
    // What a person's own tsconfig says about paths and decorators is no business of a scenario.
    tsconfigRaw: {},
  });
  return result.outputFiles[0]!.text;
}

function reasonOf(error: unknown): string {
  const [first] = (error as Partial<BuildFailure>).errors ?? [];
  if (first === undefined) return error instanceof Error ? error.message : String(error);
  const place = first.location === null ? '' : `line ${first.location.line}: `;
  return `${place}${first.text}`;
}
