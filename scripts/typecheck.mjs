// @ts-check
/** Types of the sources, the tests and the tools of the house. `npm run typecheck` */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { root } from './prepare.mjs';

const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
const projects = [
  'tsconfig.json',
  'src/page/tsconfig.json',
  'test/tsconfig.json',
  'test/pages/tsconfig.json',
  'examples/tsconfig.json',
  'scripts/tsconfig.json',
].filter((file) => existsSync(path.join(root, file)));
const failed = projects.filter((project) => {
  const run = spawnSync(process.execPath, [tsc, '--noEmit', '--project', project], {
    cwd: root,
    stdio: 'inherit',
  });
  return run.status !== 0;
});
if (failed.length > 0) console.log(`types: ${failed.join(', ')} failed`);
else console.log(`types: ${projects.length} projects, nothing wrong`);
process.exitCode = failed.length === 0 ? 0 : 1;
