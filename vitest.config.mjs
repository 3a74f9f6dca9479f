// @ts-check
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { defineConfig } from 'vitest/config';
import { vitePages } from './scripts/pages.mjs';
import { viteResumable } from './scripts/resumable.mjs';

/** On a busy host everything takes ten times what it takes. What hangs is told by the laboratory's own limits, and long before. */
const TEST_TIMEOUT_MILLISECONDS = 120_000;

/**
 * Tests on the built package, imported by its own name: a worker on Node 20 cannot load .ts. Each starts machines full of threads,
 * and passes with others beside it: nothing here is timed.
 */
const builtSuites = ['threads'];

/** Those of them that run commands: most of the time each is one process on one core, so two files at once are no fight. */
const commandSuites = ['replay', 'cli', 'package'];

/** Those of them that search on fibers: one thread each, so that two files at once have a core each. */
const searchSuites = ['litmus', 'gallery', 'explore', 'pages'];

/** What dist holds stays with Node: the test and the threads it starts then load the very same modules. */
const outsideVite = [path.join(import.meta.dirname, 'dist')];

/**
 * `#room/file` is the source here (package.json "imports"), also in what tests of the package share; the package itself is what
 * was built (its "exports" know no sources).
 * @param {string} name @param {readonly string[]} folders
 */
function suites(name, folders) {
  const conditions = ['smplab-source', 'import', 'node', 'default'];
  return {
    extends: /** @type {const} */ (true),
    resolve: { conditions },
    ssr: { resolve: { conditions } },
    test: {
      name,
      include: folders.map((folder) => `test/${folder}/**/*.test.ts`),
      server: { deps: { external: outsideVite } },
    },
  };
}

export default defineConfig({
  plugins: [viteResumable(), vitePages()],
  test: {
    testTimeout: TEST_TIMEOUT_MILLISECONDS,
    hookTimeout: TEST_TIMEOUT_MILLISECONDS,
    // An empty house is a broken gate, not a green one.
    passWithNoTests: false,
    // By itself vitest leaves one core to itself: of two that is half, and it does next to nothing meanwhile.
    maxWorkers: availableParallelism(),
    projects: [
      suites('unit', ['unit', 'property']),
      suites('searched', searchSuites),
      suites('commands', commandSuites),
      suites('built', builtSuites),
    ],
  },
});
