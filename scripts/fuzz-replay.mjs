// @ts-check
/**
 * Failures of made-up scenarios, replayed from their tokens alone: in other processes, on the other executor, on another Node.
 *
 *   node scripts/fuzz-replay.mjs find FILE [--count=1000] [--seed=1]     finds them, and keeps tokens and digests in FILE
 *   node scripts/fuzz-replay.mjs check FILE [--executor=threads]         replays them: every digest has to be the same
 *
 * A scenario is made from its number, so that FILE holds tokens and nothing else. A digest is the SHA-256 of what the run
 * recorded. dist is used as it is, so that every Node runs the same code.
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureBuild, ensureDependencies } from './prepare.mjs';

if (!existsSync(fileURLToPath(new URL('../dist/index.js', import.meta.url)))) {
  ensureDependencies();
  ensureBuild();
}
const { closeSharedPool, compileScenario, encodeTrace, replayToken, runCampaign } = await import('smplab');

const [action, file, ...words] = process.argv.slice(2);
/** @param {string} name @param {string} fallback */
const option = (name, fallback) =>
  words.find((word) => word.startsWith(`--${name}=`))?.slice(name.length + 3) ?? fallback;
/** @typedef {{ readonly number: number; readonly token: string; readonly digest: string }} Kept */

const RUNS_MAX = 200;

/** xorshift32 @param {number} seed */
function chance(seed) {
  let state = Math.imul(seed, 0x9e3779b9) | 1;
  /** @param {number} below */
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A scenario that is wrong in some orders: its check wants what running one CPU after the other gives. @param {number} number */
function scenarioText(number) {
  const pick = chance(number);
  const cpus = 2 + pick(2);
  const names = ['a', 'b', 'c'].slice(0, 2 + pick(2));
  const variable = () => names[pick(names.length)] ?? 'a';
  /** @type {string[][]} */
  const flows = [];
  for (let cpu = 0; cpu < cpus; cpu++) {
    const lines = [];
    for (let left = 2 + pick(4); left > 0; left--) {
      const [x, y, n] = [variable(), variable(), 1 + pick(9)];
      lines.push(
        [
          `${x}.value = ${y}.value + ${n};`,
          `${x}.value += ${n};`,
          `${x}.value++;`,
          `WRITE_ONCE(${x}, 'value', READ_ONCE(${y}, 'value') ^ ${n});`,
          `if (${x}.value > ${n}) ${y}.value = ${n};`,
          `spin_lock(lock); ${x}.value += ${n}; spin_unlock(lock);`,
          `atomic_inc(counter); ${x}.value = atomic_read(counter);`,
          `for (let turn = 0; turn < 2; turn++) ${x}.value = xchg(${y}, 'value', ${x}.value + turn);`,
        ][pick(8)] ?? '',
      );
    }
    flows.push(lines);
  }
  const body = flows.map((lines) => `function () { ${lines.join(' ')} }`).join(',\n    ');
  const plain = flows.map((lines) => `(() => { ${lines.join(' ')} })();`).join('\n  ');
  return `import { DEFINE, READ_ONCE, WRITE_ONCE, atomic_inc, atomic_read, atomic_t, scenario, shared, spin_lock, spin_unlock, spinlock_t, xchg } from 'smplab';
${names.map((name) => `const ${name} = shared('${name}');`).join('\n')}
const counter = DEFINE('counter', atomic_t);
const lock = DEFINE('lock', spinlock_t);
function inOrder() {
  const kept = [${names.map((name) => `${name}.value`).join(', ')}];
  ${plain}
  const wanted = [${names.map((name) => `${name}.value`).join(', ')}];
  ${names.map((name, index) => `${name}.value = kept[${index}];`).join(' ')}
  return wanted.join();
}
const wanted = DEFINE('wanted', atomic_t);
export default scenario({
  name: 'made from ${number}',
  memoryModel: '${pick(3) === 0 ? 'tso' : 'sc'}',
  races: 'ignore',
  setup() {
    let hash = 0;
    for (const word of inOrder().split(',')) hash = (Math.imul(hash, 31) + Number(word)) | 0;
    wanted.counter = hash;
    counter.counter = 0;
  },
  on: [
    ${body},
  ],
  check() {
    let hash = 0;
    for (const name of [${names.join(', ')}]) hash = (Math.imul(hash, 31) + name.value) | 0;
    return hash === wanted.counter || 'not what any CPU after the other would give';
  },
});
`;
}

/** @param {readonly import('smplab').TraceEvent[]} events @param {number} cpus */
function digestOf(events, cpus) {
  const bytes = encodeTrace({ cpus, events: [...events], lost: 0 });
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

const folder = mkdtempSync(path.join(tmpdir(), 'smplab-fuzz-'));
/** @param {number} number @param {'fibers' | 'threads'} executor */
async function sourceOf(number, executor) {
  const name = path.join(folder, `fuzz-${number}.ts`);
  writeFileSync(name, scenarioText(number));
  return compileScenario(name, executor);
}

/** @param {string} token @param {number} number @param {'fibers' | 'threads'} executor */
async function replayed(token, number, executor) {
  const { shown, findings, diverged } = await replayToken(token, await sourceOf(number, executor), {
    executor,
  });
  return {
    digest: digestOf(shown.events, shown.cpus),
    failed: findings.length > 0 && diverged === undefined,
  };
}

async function find() {
  const count = Number(option('count', '1000'));
  /** @type {Kept[]} */
  const kept = [];
  let number = Number(option('seed', '1')) * 100_000;
  for (; kept.length < count; number++) {
    const source = await sourceOf(number, 'fibers');
    const { failures } = await runCampaign(source, {
      name: `fuzz-${number}`,
      strategy: 'random',
      runs: RUNS_MAX,
      seed: number,
      shrinkRuns: 0,
    }).catch((error) => {
      // Flows that share nothing are refused.
      if (/no two flows/.test(String(error))) return { failures: [] };
      throw error;
    });
    const [failure] = failures;
    if (failure === undefined) continue;
    const { digest } = await replayed(failure.token, number, 'fibers');
    kept.push({ number, token: failure.token, digest });
  }
  writeFileSync(String(file), JSON.stringify(kept));
  process.stdout.write(
    `${kept.length} failures of ${number - Number(option('seed', '1')) * 100_000} scenarios\n`,
  );
}

async function check() {
  const executor = /** @type {'fibers' | 'threads'} */ (option('executor', 'fibers'));
  const kept = /** @type {Kept[]} */ (JSON.parse(readFileSync(String(file), 'utf8')));
  let same = 0;
  for (const { number, token, digest } of kept) {
    const again = await replayed(token, number, executor);
    if (again.failed && again.digest === digest) same++;
    else process.stdout.write(`fuzz-${number}: ${again.failed ? 'other bytes' : 'no failure'} (${token})\n`);
  }
  process.stdout.write(
    `Node ${process.version}, ${executor}: ${same} of ${kept.length} replayed with the same bytes\n`,
  );
  if (same !== kept.length) process.exitCode = 1;
}

try {
  if (file === undefined || (action !== 'find' && action !== 'check')) {
    process.stderr.write('fuzz-replay: expected find FILE or check FILE\n');
    process.exitCode = 2;
  } else await (action === 'find' ? find() : check());
} finally {
  rmSync(folder, { recursive: true, force: true });
  await closeSharedPool();
}
