// @ts-check
/**
 * `npm start -- [arguments]`: from a fresh clone to a running machine. Without arguments: the tour.
 *
 * The command runs in this very process, so its exit code and every signal are its own.
 */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuild, ensureDependencies, EXIT_HOST, root } from './prepare.mjs';

ensureDependencies();
ensureBuild();
const main = path.join(root, 'dist/cli/main.js');
if (existsSync(main)) {
  process.argv[1] = main;
  await import(pathToFileURL(main).href);
} else {
  process.stderr.write('smplab: the build made no dist/cli/main.js: is src/cli/main.ts there?\n');
  process.exitCode = EXIT_HOST;
}
