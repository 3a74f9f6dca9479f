// @ts-check
/**
 * The whole gate, cheapest first: the same here and in CI. A failing step does not stop the next one.
 * Last line: `N passed, N failed`, where every test is one and every other gate is one.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { ensureDependencies, root } from './prepare.mjs';

const COUNTS = '.cache/vitest.json';

/** @type {readonly (readonly [name: string, script: string, ...given: string[]])[]} */
const gates = [
  ['graph', 'scripts/graph.mjs', '--check'],
  ['tidy', 'scripts/tidy.mjs'],
  ['gallery record', 'scripts/gallery-record.mjs', '--check'],
  ['walls', 'scripts/walls.mjs'],
  ['layers', 'scripts/layers.mjs'],
  ['types', 'scripts/typecheck.mjs'],
  ['lint', 'node_modules/oxlint/bin/oxlint'],
  ['format', 'node_modules/prettier/bin/prettier.cjs', '--check', '--log-level', 'warn', '.'],
  ['build', 'scripts/build.mjs'],
  // Every scenario there is, on fibers and on threads: npm test does it with four.
  ['selfcheck', 'dist/cli/main.js', 'selfcheck', '--time', '0'],
];

/** @param {string} command @param {readonly string[]} given */
function run(command, given) {
  const began = Date.now();
  const { status } = spawnSync(command, given, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  return { good: status === 0, seconds: (Date.now() - began) / 1_000 };
}

/** @param {string} name @param {{ good: boolean, seconds: number }} outcome */
function say(name, { good, seconds }) {
  console.log(`${good ? 'ok    ' : 'FAILED'} ${name} (${seconds.toFixed(1)} s)`);
}

/** How many tests passed and failed, from vitest's own record; undefined when it left none. */
function testCounts() {
  try {
    const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(path.join(root, COUNTS), 'utf8'));
    return { passed: Number(numPassedTests), failed: Number(numFailedTests) };
  } catch {
    return undefined;
  }
}

ensureDependencies();
/** @type {string[]} */
const failedGates = [];
let passed = 0;
for (const [name, script, ...given] of gates) {
  const outcome = run(process.execPath, [path.join(root, script), ...given]);
  say(name, outcome);
  if (outcome.good) passed++;
  else failedGates.push(name);
}

rmSync(path.join(root, COUNTS), { force: true });
const recording = ['--reporter=default', '--reporter=json', `--outputFile.json=${COUNTS}`];
const tests = run('npm', ['test', '--', ...recording]);
say('npm test', tests);
const counts = testCounts() ?? { passed: 0, failed: 0 };
// Red without a red test: a file that could not be loaded, an error between tests, or no vitest at all.
const failedTests = tests.good ? counts.failed : Math.max(1, counts.failed);

for (const name of failedGates) console.log(`failed: ${name}`);
if (failedTests > 0) console.log('failed: npm test');
const failed = failedGates.length + failedTests;
process.exitCode = failed === 0 ? 0 : 1;
console.log(`${passed + counts.passed} passed, ${failed} failed`);
