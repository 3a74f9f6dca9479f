// @ts-check
/**
 * npm run bench: what things cost, beside the bare or best other way to do them, in one run, as ratios.
 * Each comparison is paired: ours and the other in turn, and the median of the ratios is what counts.
 */
import { fileURLToPath } from 'node:url';
import { ensureBuild, ensureDependencies } from './prepare.mjs';

ensureDependencies();
ensureBuild();
const { Machine, closeSharedPool } = await import('smplab');
const { Piscina } = await import('piscina');
const { createSyncFn } = await import('synckit');
const { messageChannelNanoseconds, pingPongNanoseconds, startBareThreads, typedArrayNanoseconds } =
  await import('./bench/threads.mjs');

const only = process.argv.slice(2).filter((word) => !word.startsWith('-'));
const PAIRS = 7;
/** Generous: a busy host must not look like a hung machine. */
const CALL_TIMEOUT_MS = 60_000;

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
/** @param {number} value */
const short = (value) =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** @param {string} what @param {string} figure @param {string} [beside] */
function row(what, figure, beside = '') {
  process.stdout.write(`${what.padEnd(58)} ${figure.padStart(18)}  ${beside}\n`);
}

/** @param {string} name @param {() => Promise<void>} run */
async function section(name, run) {
  if (only.length === 0 || only.includes(name)) await run();
}

/** Milliseconds of a call on a machine. @param {any} machine @param {string} symbol @param {object} [options] */
async function timed(machine, symbol, options) {
  const begin = performance.now();
  const outcome = await machine.call(symbol, options);
  if (outcome.kind !== 'returned' || outcome.value < 0)
    throw new Error(`${symbol}: ${JSON.stringify(outcome)}`);
  return performance.now() - begin;
}

/** Nanoseconds of a cross call from CPU 0 to CPU 1, which runs something else. @param {any} machine @param {number} rounds */
async function crossCallNanoseconds(machine, rounds) {
  await machine.call('scf_start');
  const begin = performance.now();
  const [first] = await machine.callAll([
    { symbol: 'scf_torture_single_then_stop', cpu: 0, args: [1, rounds] },
    { symbol: 'scf_busy', cpu: 1 },
  ]);
  if (first.kind !== 'returned') throw new Error(JSON.stringify(first));
  return ((performance.now() - begin) / rounds) * 1e6;
}

await section('struct', async () => {
  const machine = await Machine.powerOn({ cpus: 1, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS });
  const rounds = 60_000;
  await timed(machine, 'membench_fields', { args: [20_000] });
  const ours = [];
  const ratios = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    const bare = typedArrayNanoseconds(rounds);
    const field = ((await timed(machine, 'membench_fields', { args: [rounds] })) / (rounds * 64 * 3)) * 1e6;
    ours.push(field);
    ratios.push(field / bare);
  }
  row(
    'struct field access, parallel bus',
    `${short(median(ours))} ns`,
    `${short(median(ratios))}x a bare typed array (limit 3)`,
  );
  await machine.powerOff();
});

await section('call', async () => {
  for (const spins of [100_000, 200]) {
    const machine = await Machine.powerOn({ cpus: 2, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS, spins });
    const rounds = spins > 1000 ? 200_000 : 100_000;
    await crossCallNanoseconds(machine, rounds);
    const ours = [];
    const ratios = [];
    for (let pair = 0; pair < PAIRS; pair++) {
      const bare = await pingPongNanoseconds(spins, rounds);
      const call = await crossCallNanoseconds(machine, rounds);
      ours.push(call);
      ratios.push(call / bare);
    }
    row(
      `smp_call_function_single(wait=1), busy target, ${spins} polls`,
      `${short(median(ours))} ns`,
      `${short(median(ratios))}x a bare Atomics ping-pong, same waiting (limit 1.5)`,
    );
    await machine.powerOff();
    if (spins < 1000) continue;
    const channel = await messageChannelNanoseconds(5_000);
    const pool = new Piscina({
      filename: fileURLToPath(new URL('bench/empty-task.mjs', import.meta.url)),
      minThreads: 1,
      maxThreads: 1,
    });
    for (let warm = 0; warm < 500; warm++) await pool.run(0);
    const begin = performance.now();
    for (let round = 0; round < 5_000; round++) await pool.run(0);
    const task = ((performance.now() - begin) / 5_000) * 1e6;
    await pool.destroy();
    const sync = createSyncFn(new URL('bench/synckit-worker.mjs', import.meta.url));
    for (let warm = 0; warm < 200; warm++) sync();
    const syncBegin = performance.now();
    for (let round = 0; round < 3_000; round++) sync();
    const synckit = ((performance.now() - syncBegin) / 3_000) * 1e6;
    const best = Math.min(channel, task, synckit);
    row(
      '  MessageChannel / piscina.run / synckit',
      `${[channel, task, synckit].map((v) => (v / 1000).toFixed(1)).join(' / ')} us`,
    );
    row(
      '  our cross call is faster than the best of them by',
      `${short(best / median(ours))}x`,
      '(limit 10)',
    );
  }
});

await section('each', async () => {
  for (const cpus of [2, 4, 8, 16]) {
    const machine = await Machine.powerOn({ cpus, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS });
    const rounds = cpus <= 2 ? 20_000 : 500;
    await timed(machine, 'scf_torture_all', { args: [rounds] });
    const figures = [];
    for (let pair = 0; pair < 5; pair++)
      figures.push(((await timed(machine, 'scf_torture_all', { args: [rounds] })) / rounds) * 1e3);
    row(`on_each_cpu over ${cpus} CPUs`, `${short(median(figures))} us`);
    await machine.powerOff();
  }
});

await section('boot', async () => {
  for (const cpus of [4, 16]) {
    const cold = [];
    const ratios = [];
    for (let pair = 0; pair < PAIRS; pair++) {
      await closeSharedPool();
      const bare = await startBareThreads(cpus);
      const begin = performance.now();
      const machine = await Machine.powerOn({ cpus, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS });
      cold.push(performance.now() - begin);
      ratios.push((cold.at(-1) ?? NaN) / bare);
      await machine.powerOff();
    }
    row(
      `cold boot, ${cpus} CPUs`,
      `${short(median(cold))} ms`,
      `${short(median(ratios))}x starting as many bare threads (limit 1.5)`,
    );
    const warm = [];
    for (let pair = 0; pair < 15; pair++) {
      const begin = performance.now();
      const machine = await Machine.powerOn({ cpus, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS });
      warm.push(performance.now() - begin);
      await machine.powerOff();
    }
    row(`warm boot, ${cpus} CPUs`, `${short(median(warm))} ms`, cpus === 4 ? '(limit 5 ms)' : '');
  }
});

await section('hotplug', async () => {
  for (const cpus of [4, 8]) {
    for (const loaded of [false, true]) {
      const machine = await Machine.powerOn({ cpus, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS });
      if (loaded) for (const text of ['kvm', 'kvm-amd']) await machine.call('sys_init_module', { text });
      const cycles = 200;
      await timed(machine, 'hotplug_torture', { args: [cpus - 1, 20] });
      const figures = [];
      for (let pair = 0; pair < 3; pair++) {
        figures.push(
          (cycles / (await timed(machine, 'hotplug_torture', { args: [cpus - 1, cycles] }))) * 1e3,
        );
      }
      row(
        `off/on cycles, ${cpus} CPUs, kvm ${loaded ? 'loaded' : 'not loaded'}`,
        `${short(median(figures))} /s`,
      );
      await machine.powerOff();
    }
  }
});

await section('snapshot', async () => {
  for (const mode of /** @type {const} */ (['parallel', 'deterministic'])) {
    const machine = await Machine.powerOn({ cpus: 4, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS, mode });
    const snapshot = machine.snapshot();
    for (let warm = 0; warm < 50; warm++) await machine.restore(snapshot);
    const begin = performance.now();
    for (let round = 0; round < 200; round++) await machine.restore(snapshot);
    const took = ((performance.now() - begin) / 200) * 1e3;
    row(
      `snapshot restore, booted 4-CPU machine, ${mode}`,
      `${short(took)} us`,
      `${(snapshot.bytes.length / 1024).toFixed(0)} KiB kept`,
    );
    await machine.powerOff();
  }
});

await closeSharedPool();
