// @ts-check
/**
 * Kills a stress run at random moments, again and again, and looks at what is left: `node scripts/stress-kill.mjs [MOMENTS] [SEED]`
 *
 * In turn: SIGINT, SIGTERM, and by --fault a thread (of a machine that is then replaced). Each time the exit code, the message and
 * the partial results must be right, and no process of it may live on. Threads that die without having been told to are the tests'
 * business (test/threads/stress-threads.test.ts): from outside nobody can end a thread.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ensureBuild, ensureDependencies, root } from './prepare.mjs';

ensureDependencies();
ensureBuild();
const [moments = '20', seed = '1'] = process.argv.slice(2);
let state = Number(seed) || 1;
/** @param {number} below */
const draw = (below) => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) % below;
};

const WORKLOADS = ['hotplug', 'ipi', 'load-unload', 'vm', 'mixed'];
/** Longer than any run here: whoever takes longer hangs. */
const PATIENCE_MS = 240_000;

/** Processes whose parent is `pid`. @param {number} pid */
function childrenOf(pid) {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/stat`, 'utf8').split(') ')[1]?.split(' ')[1] === String(pid);
      } catch {
        return false;
      }
    });
}

/** Not counting those that have ended and that nobody has asked about. @param {string} pid */
function isAlive(pid) {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.startsWith('Z') !== true;
  } catch {
    return false;
  }
}

/** @param {string[]} given @param {NodeJS.Signals | undefined} signal @param {number} afterMs of the first line */
async function run(given, signal, afterMs) {
  const main = path.join(root, 'dist/cli/main.js');
  const child = spawn(process.execPath, [main, 'stress', '--trace-folder', tmpdir(), '--json', ...given]);
  let stdout = '';
  let stderr = '';
  /** @type {string[]} */
  let children = [];
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text) => {
    if (stderr === '' && signal !== undefined) {
      setTimeout(() => {
        children = childrenOf(child.pid ?? 0);
        child.kill(signal);
      }, afterMs);
    }
    stderr += text;
  });
  const patience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(patience);
  // Who was its child may take a moment to see that nobody is left.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const orphans = children.filter(isAlive).length;
  return { code, stdout, stderr, orphans };
}

let wrong = 0;
for (let moment = 0; moment < Number(moments); moment++) {
  const workload = WORKLOADS[draw(WORKLOADS.length)] ?? 'mixed';
  const common = ['--workload', workload, '--cpus', String(2 + draw(7)), '--seed', String(moment)];
  const way = moment % 3;
  const afterMs = draw(3_000);
  const signal = way === 0 ? 'SIGINT' : way === 1 ? 'SIGTERM' : undefined;
  const given =
    signal === undefined
      ? [...common, '--fixed', '--ops', '300', '--fault', `thread-kill,nth=${1 + draw(100)}`]
      : [...common, '--fixed', '--time', '50'];
  const { code, stdout, stderr, orphans } = await run(given, signal, afterMs);
  const expected = signal === undefined ? 0 : 130;
  let ended = 'nothing';
  let ops = -1;
  let lost = -1;
  try {
    ({ ended, ops, lost } = JSON.parse(stdout));
  } catch {
    // Said below.
  }
  const isRight =
    code === expected &&
    ended === (signal === undefined ? 'done' : 'interrupted') &&
    lost === 0 &&
    orphans === 0 &&
    stderr.trim().split('\n').length === 1;
  if (!isRight) wrong += 1;
  const how = signal ?? 'thread-kill';
  const what = `${how} ${workload} after ${afterMs} ms: ${code} ${ended}, ${ops} operations, ${lost} lost, ${orphans} orphans`;
  process.stdout.write(`${isRight ? 'right' : 'WRONG'} ${moment} ${what}\n`);
  if (!isRight) process.stdout.write(`  ${given.join(' ')}\n  ${stderr.trim()}\n  ${stdout.slice(0, 200)}\n`);
}
process.stdout.write(`${moments} moments, ${wrong} wrong\n`);
process.exitCode = wrong === 0 ? 0 : 1;
