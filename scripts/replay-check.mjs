// @ts-check
/**
 * Boots machines in deterministic mode from one seed, again and again, and says whether their traces are the same bytes.
 *
 *   node scripts/replay-check.mjs [--seed=3735928559] [--runs=100] [--cpus=4] [vendor] [strategy]
 *
 * Each run boots, loads kvm, takes a CPU down and up, unloads, with every operation traced. The last column is the
 * SHA-256 of the trace: compare it with that of another Node. dist is used as it is, so that both run the same code.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ensureBuild, ensureDependencies } from './prepare.mjs';

if (!existsSync(fileURLToPath(new URL('../dist/index.js', import.meta.url)))) {
  ensureDependencies();
  ensureBuild();
}
const { Machine, closeSharedPool } = await import('smplab');

const words = process.argv.slice(2);

/** @param {string} name @param {number} fallback */
function option(name, fallback) {
  const given = words.find((word) => word.startsWith(`--${name}=`));
  return given === undefined ? fallback : Number(given.slice(name.length + 3));
}

const seed = option('seed', 0xdeadbeef);
const runs = option('runs', 100);
const cpus = option('cpus', 4);
const only = words.filter((word) => !word.startsWith('-'));

/** @param {'amd' | 'intel'} vendor @param {string} strategy @returns {Promise<Uint8Array>} */
async function trace(vendor, strategy) {
  const machine = await Machine.powerOn({
    cpus,
    vendor,
    strategy,
    seed,
    mode: 'deterministic',
    trace: 7,
    traceEventsMax: 1 << 17,
  });
  const victim = cpus - 1;
  /** @type {[string, object][]} */
  const calls = [
    ['sys_init_module', { cpu: 0, text: 'kvm' }],
    ['sys_init_module', { cpu: 0, text: `kvm-${vendor}` }],
    ['cpu_down', { cpu: 0, args: [victim] }],
    ['cpu_up', { cpu: 0, args: [victim] }],
    ['sys_delete_module', { cpu: 0, text: `kvm-${vendor}` }],
    ['sys_delete_module', { cpu: 0, text: 'kvm' }],
  ];
  for (const [symbol, options] of calls) {
    const outcome = await machine.call(symbol, options);
    if (outcome.kind !== 'returned' || outcome.value !== 0)
      throw new Error(`${symbol}: ${JSON.stringify(outcome)}`);
  }
  const bytes = machine.traceBytes();
  const { lost } = machine.trace();
  if (lost > 0) throw new Error(`${lost} events did not fit`);
  await machine.powerOff();
  return bytes;
}

/** @param {Uint8Array} bytes */
const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

process.stdout.write(`node ${process.version}, seed ${seed}, ${cpus} CPUs\n`);
const all = createHash('sha256');
for (const vendor of /** @type {const} */ (['amd', 'intel'])) {
  for (const strategy of ['random', 'round-robin']) {
    if (only.some((word) => word !== vendor && word !== strategy)) continue;
    const begin = performance.now();
    const first = await trace(vendor, strategy);
    const hash = sha256(first);
    let same = 1;
    for (let run = 1; run < runs; run++) same += sha256(await trace(vendor, strategy)) === hash ? 1 : 0;
    const seconds = ((performance.now() - begin) / 1000).toFixed(1);
    process.stdout.write(
      `${vendor.padEnd(6)} ${strategy.padEnd(12)} ${same} of ${runs} the same, ${first.length} bytes, ${seconds} s  ${hash}\n`,
    );
    all.update(hash);
    if (same !== runs) process.exitCode = 1;
  }
}
process.stdout.write(`all    ${all.digest('hex')}\n`);
await closeSharedPool();
