// @ts-check
/**
 * `npm test -- [vitest arguments]`: the tests, against a fresh build. `--long` explores for minutes instead
 * of seconds (tests read SMPLAB_LONG).
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { ensureBuild, ensureDependencies, root } from './prepare.mjs';

const LONG_TEST_MILLISECONDS = 30 * 60 * 1_000;

ensureDependencies();
ensureBuild();
const given = process.argv.slice(2);
const long = given.includes('--long');
const vitestArguments = [
  'run',
  ...(long ? [`--test-timeout=${LONG_TEST_MILLISECONDS}`] : []),
  ...given.filter((argument) => argument !== '--long'),
];
const run = spawnSync(
  process.execPath,
  [path.join(root, 'node_modules/vitest/vitest.mjs'), ...vitestArguments],
  { cwd: root, stdio: 'inherit', env: { ...process.env, ...(long ? { SMPLAB_LONG: '1' } : {}) } },
);
if (run.signal) process.kill(process.pid, run.signal);
process.exitCode = run.status ?? 1;
