// @ts-check
/** oxlint with types, then the walls it cannot express. `npm run lint` */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { root } from './prepare.mjs';

/** @param {string} script @param {readonly string[]} given */
const passes = (script, given) =>
  spawnSync(process.execPath, [path.join(root, script), ...given], { cwd: root, stdio: 'inherit' }).status ===
  0;

const oxlint = passes('node_modules/oxlint/bin/oxlint', process.argv.slice(2));
const walls = passes('scripts/walls.mjs', []);
process.exitCode = oxlint && walls ? 0 : 1;
