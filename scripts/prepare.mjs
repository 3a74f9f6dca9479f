// @ts-check
/**
 * What has to be true before anything can run: dependencies installed, dist built from today's sources.
 * Only Node's own modules here: it runs before node_modules exists. Progress goes to stderr.
 */
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
export const stampFile = path.join(root, 'dist/.stamp');

const lockFile = path.join(root, 'package-lock.json');
const installedFile = path.join(root, 'node_modules/.package-lock.json');
const installedHashFile = path.join(root, 'node_modules/.smplab-lock-hash');
const buildLock = path.join(root, '.cache/build.lock');

/** The host failed: the exit code of design/cli.md for "nothing about the simulated machine is claimed". */
export const EXIT_HOST = 3;
const BUILD_WAIT_SECONDS = 120;

/** Everything besides src that decides what a build looks like. */
const buildInputs = [
  'package.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'scripts/build.mjs',
  'scripts/constants.mjs',
  'scripts/pages.mjs',
  'scripts/rooms.mjs',
];

/** @param {string} message @returns {never} */
function giveUp(message) {
  process.stderr.write(`smplab: ${message}\n`);
  process.exit(EXIT_HOST);
}

/** @param {string} file */
const hashOf = (file) => createHash('sha256').update(readFileSync(file)).digest('hex');

function dependenciesFresh() {
  if (!existsSync(installedFile)) return false;
  if (!existsSync(lockFile)) return true;
  if (statSync(installedFile).mtimeMs >= statSync(lockFile).mtimeMs) return true;
  // Younger by its date may be the same by its bytes: a checkout touches files it does not change.
  return existsSync(installedHashFile) && readFileSync(installedHashFile, 'utf8') === hashOf(lockFile);
}

/** Installs exactly what package-lock.json says, when node_modules is missing or older than it. */
export function ensureDependencies() {
  if (dependenciesFresh()) return;
  process.stderr.write('smplab: installing dependencies (npm ci) ...\n');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const run = spawnSync(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    // npm's own stdout would mix with the result that stdout is for.
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (run.status !== 0) giveUp('npm ci failed; run it by hand to see why, then try again.');
  writeFileSync(installedHashFile, hashOf(lockFile));
}

/** @param {string} folder @returns {string[]} every file below, in an order that is ours */
function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const full = path.join(folder, entry.name);
      return entry.isDirectory() ? filesBelow(full) : [full];
    });
}

/** One hash over the sources and the configuration of the build. */
export function sourceHash() {
  // The code cache beside the thread code is for one V8 only.
  const hash = createHash('sha256').update(process.versions.v8);
  const inputs = [...filesBelow(path.join(root, 'src')), ...buildInputs.map((file) => path.join(root, file))];
  for (const file of inputs) {
    if (!existsSync(file)) continue;
    hash
      .update(`${path.relative(root, file)}\0`)
      .update(readFileSync(file))
      .update('\0');
  }
  return hash.digest('hex');
}

export function buildIsFresh() {
  return existsSync(stampFile) && readFileSync(stampFile, 'utf8').trim() === sourceHash();
}

/** Builds the code when dist is missing or made from other sources. */
export function ensureBuild() {
  if (buildIsFresh()) return;
  process.stderr.write('smplab: building ...\n');
  const run = spawnSync(process.execPath, [path.join(root, 'scripts/build.mjs'), '--code'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (run.status !== 0) giveUp('the build failed; the messages above say where.');
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** The process that holds the lock, or undefined when nobody living does. */
function lockHolder() {
  try {
    const pid = Number(readFileSync(path.join(buildLock, 'pid'), 'utf8'));
    return isAlive(pid) ? pid : undefined;
  } catch {
    // Between mkdir and the pid file: young means somebody is just taking it.
    const young = existsSync(buildLock) && Date.now() - statSync(buildLock).mtimeMs < 2_000;
    return young ? 0 : undefined;
  }
}

/**
 * Two commands started at once build one after the other: they write the same files.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withBuildLock(work) {
  mkdirSync(path.dirname(buildLock), { recursive: true });
  const deadline = Date.now() + BUILD_WAIT_SECONDS * 1_000;
  for (;;) {
    try {
      mkdirSync(buildLock);
      break;
    } catch {
      if (lockHolder() === undefined) rmSync(buildLock, { recursive: true, force: true });
      else if (Date.now() > deadline)
        giveUp(`another build holds ${path.relative(root, buildLock)}; remove it if none runs.`);
      else await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
  try {
    writeFileSync(path.join(buildLock, 'pid'), String(process.pid));
    return await work();
  } finally {
    rmSync(buildLock, { recursive: true, force: true });
  }
}
