// @ts-check
/**
 * The smp rows of `npm run bench`: what the parallel machine costs. Each comparison is paired: ours and the other in
 * turn, and the median of the ratios is what counts.
 */
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { createSyncFn } from 'synckit';
import {
  bareCallNanoseconds,
  messageChannelNanoseconds,
  parkAndWakeNanoseconds,
  pingPongNanoseconds,
  startBareThreads,
  typedArrayNanoseconds,
} from './threads.mjs';

const { Machine, closeSharedPool } = await import('smplab');

/** @typedef {import('./table.mjs').Row} Row */

const PAIRS = 7;
/** Generous: a busy host must not look like a hung machine. */
const CALL_TIMEOUT_MS = 60_000;

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;
/** Milliseconds of a call on a machine. @param {any} machine @param {string} symbol @param {object} [options] */
async function timed(machine, symbol, options) {
  const begin = performance.now();
  const outcome = await machine.call(symbol, options);
  if (outcome.kind !== 'returned' || outcome.value < 0)
    throw new Error(`${symbol}: ${JSON.stringify(outcome)}`);
  return performance.now() - begin;
}

/** CpuWord.HALTS of memory/layout.ts. */
const HALTS = 83;
/** How often the threads of a machine have gone to sleep. @param {any} machine @param {number} cpus */
const timesAsleep = (machine, cpus) =>
  Array.from({ length: cpus }, (_, cpu) => machine.bus.registersOf(cpu).get(HALTS)).reduce(
    (a, b) => a + b,
    0,
  );

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

/**
 * Measures, and tells each row as soon as it is known.
 * @param {(row: Row) => void} tell @param {ReadonlySet<string>} only sections to measure; none = all
 */
export async function smpRows(tell, only) {
  /** @param {string} name @param {number} value @param {string} unit @param {number | null} baseline @param {number | null} ratio @param {string} note */
  const row = (name, value, unit, baseline, ratio, note) =>
    tell({ name, value, unit, baseline, ratio, note });
  /** @param {string} name @param {() => Promise<void>} run */
  const section = async (name, run) => {
    if (only.size === 0 || only.has(name)) await run();
  };

  await section('struct', async () => {
    const machine = await Machine.powerOn({ cpus: 1, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS });
    const rounds = 60_000;
    await timed(machine, 'membench_fields', { args: [20_000] });
    const ours = [];
    const bares = [];
    const ratios = [];
    for (let pair = 0; pair < PAIRS; pair++) {
      const bare = typedArrayNanoseconds(rounds);
      bares.push(bare);
      const field = ((await timed(machine, 'membench_fields', { args: [rounds] })) / (rounds * 64 * 3)) * 1e6;
      ours.push(field);
      ratios.push(field / bare);
    }
    row(
      'view/typedarray',
      median(ours),
      'ns',
      median(bares),
      median(ratios),
      'a struct field on the parallel bus',
    );
    await machine.powerOff();
  });

  await section('call', async () => {
    for (const spins of [100_000, 200]) {
      const machine = await Machine.powerOn({
        cpus: 2,
        vendor: 'amd',
        callTimeoutMs: CALL_TIMEOUT_MS,
        spins,
      });
      const rounds = spins > 1000 ? 200_000 : 100_000;
      await crossCallNanoseconds(machine, rounds);
      const ours = [];
      const bares = [];
      const ratios = [];
      const protocols = [];
      const overProtocol = [];
      for (let pair = 0; pair < PAIRS; pair++) {
        const bare = await pingPongNanoseconds(spins, rounds);
        const call = await crossCallNanoseconds(machine, rounds);
        const protocol = await bareCallNanoseconds(spins, rounds);
        ours.push(call);
        bares.push(bare);
        ratios.push(call / bare);
        protocols.push(protocol);
        overProtocol.push(call / protocol);
      }
      const name = spins > 1000 ? 'ipi/atomics' : 'ipi-asleep/atomics';
      const note = `smp_call_function_single(wait=1) against a bare ping-pong, both ${spins} polls`;
      row(name, median(ours), 'ns', median(bares), median(ratios), note);
      if (spins > 1000) {
        const what = 'the same against its protocol alone: the same lines and locked operations, no kernel';
        row('ipi/protocol', median(ours), 'ns', median(protocols), median(overProtocol), what);
      }
      await machine.powerOff();
      if (spins < 1000) continue;
      const channel = await messageChannelNanoseconds(5_000);
      const pool = new Piscina({
        filename: fileURLToPath(new URL('empty-task.mjs', import.meta.url)),
        minThreads: 1,
        maxThreads: 1,
      });
      for (let warm = 0; warm < 500; warm++) await pool.run(0);
      const begin = performance.now();
      for (let round = 0; round < 5_000; round++) await pool.run(0);
      const task = ((performance.now() - begin) / 5_000) * 1e6;
      await pool.destroy();
      const sync = createSyncFn(new URL('synckit-worker.mjs', import.meta.url));
      for (let warm = 0; warm < 200; warm++) sync();
      const syncBegin = performance.now();
      for (let round = 0; round < 3_000; round++) sync();
      const synckit = ((performance.now() - syncBegin) / 3_000) * 1e6;
      const own = median(ours);
      row('ipi/messagechannel', own, 'ns', channel, own / channel, 'a message there and back');
      row('ipi/piscina', own, 'ns', task, own / task, 'an empty task');
      row('ipi/synckit', own, 'ns', synckit, own / synckit, 'a synchronous call');
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
      row(`on_each_cpu${cpus}`, median(figures), 'us', null, null, '');
      await machine.powerOff();
    }
  });

  await section('boot', async () => {
    for (const cpus of [4, 16]) {
      const cold = [];
      const bares = [];
      const ratios = [];
      for (let pair = 0; pair < PAIRS; pair++) {
        await closeSharedPool();
        const bare = await startBareThreads(cpus);
        const begin = performance.now();
        const machine = await Machine.powerOn({ cpus, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS });
        cold.push(performance.now() - begin);
        bares.push(bare);
        ratios.push((cold.at(-1) ?? NaN) / bare);
        await machine.powerOff();
      }
      row(
        `boot${cpus}/workers`,
        median(cold),
        'ms',
        median(bares),
        median(ratios),
        'cold, against as many bare threads',
      );
      const warm = [];
      for (let pair = 0; pair < 15; pair++) {
        const begin = performance.now();
        const machine = await Machine.powerOn({ cpus, vendor: 'amd', callTimeoutMs: CALL_TIMEOUT_MS });
        warm.push(performance.now() - begin);
        await machine.powerOff();
      }
      row(`warmboot${cpus}`, median(warm), 'ms', null, null, 'with threads that have served before');
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
        const bares = [];
        const ratios = [];
        for (let pair = 0; pair < PAIRS; pair++) {
          const before = timesAsleep(machine, cpus);
          const took = await timed(machine, 'hotplug_torture', { args: [cpus - 1, cycles] });
          // The same threads park and are woken as often, and do nothing else.
          const parks = timesAsleep(machine, cpus) - before;
          const bare = ((await parkAndWakeNanoseconds(cpus, parks)) * parks) / 1e6;
          figures.push((cycles / took) * 1e3);
          bares.push((cycles / bare) * 1e3);
          ratios.push(took / bare);
        }
        const note = `off and on again${loaded ? ', kvm loaded' : ''}, against as many times of parking and waking`;
        row(
          `hotplug${cpus}${loaded ? '+kvm' : ''}`,
          median(figures),
          'cycles/s',
          median(bares),
          median(ratios),
          note,
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
      const note = `booted 4-CPU machine, ${mode}: ${(snapshot.bytes.length / 1024).toFixed(0)} KiB kept`;
      row(mode === 'parallel' ? 'restore' : 'restore+deterministic', took, 'us', null, null, note);
      await machine.powerOff();
    }
  });

  await closeSharedPool();
}
