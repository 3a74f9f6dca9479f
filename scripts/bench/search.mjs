// @ts-check
/**
 * The search rows of `npm run bench`, in a process of its own: pinned to one core, as a campaign is. Figures are per
 * CPU-second, user and system, of the whole process: compiling and collecting garbage count, starting does not. Whatever
 * is compared is measured in turn, and the median of the ratios is what counts. Each row is a message to the parent.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const smplab = await import('smplab');
const { BareBaton } = await import('./bare-baton.mjs');
const { fastCheckFindsRace, fastCheckSchedules } = await import('./fast-check-peer.mjs');

/** @typedef {import('./table.mjs').Row} Row */
/** @typedef {'fibers' | 'threads'} Kind */

smplab.pinToOneCore();
const only = new Set(process.argv.slice(2));
const ROUNDS = 9;
const SEED = 0x2a;
/** More runs than any search here needs. */
const RUNS_MAX = 100_000_000;
const LOCK_TRACES = 2520;
const RACE_SEEDS = 51;
/** @type {readonly Kind[]} */
const KINDS = ['fibers', 'threads'];
const LITMUS_BATCH = 1000;
const LITMUS_GENERATOR = new URL('../../test/support/litmus-arbitrary.ts', import.meta.url);
const SHAPES = new URL('../../test/litmus/shapes/', import.meta.url);

/** @param {string} name */
const scenarioFile = (name) => fileURLToPath(new URL(`scenarios/${name}.ts`, import.meta.url));
/** @returns {number[]} */
const numbers = () => [];
/** @param {readonly number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

/** @param {Row} row */
function tell(row) {
  if (process.send === undefined) process.stdout.write(`${JSON.stringify(row)}\n`);
  else process.send(row);
}

/** CPU seconds of this process for `work`. @param {() => unknown} work */
async function cpuSeconds(work) {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1e6;
}

/** @param {string} name @param {() => Promise<void>} measure */
async function section(name, measure) {
  if (only.size === 0 || only.has(name)) await measure();
}

/**
 * Litmus tests by chance, the same every time: seeds from 1.
 * @param {number} count
 * @returns {Promise<string[]>}
 */
async function generatedLitmus(count) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(LITMUS_GENERATOR)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    conditions: ['smplab-source'],
  });
  const [{ text }] = /** @type {[{ text: string }]} */ (/** @type {unknown} */ (outputFiles));
  const { generateLitmus } = await import(`data:text/javascript,${encodeURIComponent(text)}`);
  return Array.from({ length: count }, (_, index) => generateLitmus(index + 1));
}

/**
 * A booted machine for a scenario, with its checkers. `close` when done.
 * @param {string} file
 * @param {Kind} kind what its CPUs run on
 */
async function laboratory(file, kind) {
  const source = await smplab.compileScenario(scenarioFile(file), kind);
  const executor = await smplab.ScenarioExecutor.create(source, { executor: kind });
  const lab = new smplab.Laboratory(executor, executor.loaded.scenario);
  return { lab, close: () => executor.close() };
}

/**
 * An endless campaign of one strategy: what `explore` does in a run, shrinking and printing left out. `bare`: its runs in the
 * executor alone, with the scenario's own check, and nobody who reads their logs: no checkers, and no traces counted.
 * @param {any} lab @param {import('smplab').StrategyName} strategy
 */
function endless(lab, strategy) {
  const search = smplab.searchFor({ strategy, depth: 3, seed: SEED, runs: RUNS_MAX });
  const total = { runs: 0, steps: 0, switches: 0 };
  /** @param {number} runs */
  const make = (runs) => {
    for (let run = 0; run < runs; run++) {
      const plan = search.next();
      if (plan === undefined) throw new Error(`bench: ${strategy} has no more runs`);
      const result = lab.run(plan);
      search.observe(result);
      total.runs++;
      total.steps += result.steps;
      total.switches += result.switches;
    }
  };
  /** @param {number} runs */
  const bare = (runs) => {
    for (let run = 0; run < runs; run++) lab.inner.run(search.next());
  };
  return { make, bare, total };
}

for (const kind of KINDS)
  await section('rate24', async () => {
    const { lab, close } = await laboratory('hotplug24', kind);
    const bare = new BareBaton();
    let bareSeed = 1;
    let bareSwitches = 0;
    /** @param {'random' | 'pct'} policy @param {number} runs */
    const bareRuns = (policy, runs) => {
      bareSwitches = 0;
      for (let run = 0; run < runs; run++) bareSwitches += bare.run(policy, bareSeed++);
    };
    for (const policy of /** @type {const} */ (['random', 'pct'])) {
      const ours = endless(lab, policy);
      const runs = policy === 'pct' ? 3000 : 1500;
      // Until what runs is compiled code, on every thread.
      ours.make(runs * 4);
      bareRuns(policy, runs * 4);
      const hasPeer = policy === 'random' && kind === 'fibers';
      if (hasPeer) await fastCheckSchedules(runs, SEED);
      Object.assign(ours.total, { runs: 0, steps: 0, switches: 0 });
      const us = numbers();
      const bares = numbers();
      const peers = numbers();
      const ratios = numbers();
      const peerRatios = numbers();
      const bareRates = numbers();
      const bareRatios = numbers();
      if (kind === 'fibers') ours.bare(runs * 4);
      for (let round = 0; round < ROUNDS; round++) {
        const own = await cpuSeconds(() => ours.make(runs));
        const base = await cpuSeconds(() => bareRuns(policy, runs));
        us.push(runs / own);
        bares.push(runs / base);
        ratios.push(own / base);
        if (kind === 'fibers') {
          const unread = await cpuSeconds(() => {
            ours.bare(runs);
          });
          bareRates.push(runs / unread);
          bareRatios.push(unread / own);
        }
        if (!hasPeer) continue;
        const peer = await cpuSeconds(() => fastCheckSchedules(runs, SEED + round));
        peers.push(runs / peer);
        peerRatios.push(own / peer);
      }
      const { total } = ours;
      const perRun = (/** @type {number} */ sum) => (sum / total.runs).toFixed(1);
      const note = `${perRun(total.steps)} steps and ${perRun(total.switches)} switches a run, checkers on`;
      const bareRate = median(bares);
      const unit = 'schedules/CPU-s';
      tell({
        name: `${kind}/${policy}24`,
        value: median(us),
        unit,
        baseline: bareRate,
        ratio: median(ratios),
        note,
      });
      if (kind === 'fibers')
        tell({
          name: `fibers/${policy}24-bare`,
          value: median(bareRates),
          unit,
          baseline: median(us),
          ratio: median(bareRatios),
          note: `the executor alone: checkers and coverage off; ${((median(bareRates) * total.steps) / total.runs / 1e6).toFixed(1)} M operations/CPU-s`,
        });
      const bareNote = `${(bareSwitches / runs).toFixed(1)} switches a run; no kernel, views, log or checkers`;
      if (kind === 'threads')
        tell({
          name: `bare-baton/${policy}24`,
          value: bareRate,
          unit,
          baseline: null,
          ratio: null,
          note: bareNote,
        });
      if (!hasPeer) continue;
      const peerNote = 'beside it: fibers/random24; its ratio is ours over its time';
      tell({
        name: 'fastcheck/random24',
        value: median(peers),
        unit,
        baseline: median(us),
        ratio: median(peerRatios),
        note: peerNote,
      });
    }
    await bare.close();
    await close();
  });

for (const kind of KINDS)
  await section('dpor', async () => {
    const { lab, close } = await laboratory('lock4x2', kind);
    const rates = numbers();
    for (let round = 0; round <= ROUNDS; round++) {
      const search = smplab.searchFor({ strategy: 'dpor', seed: SEED, runs: RUNS_MAX });
      let runs = 0;
      const seconds = await cpuSeconds(() => {
        runs = smplab.runSearch(search, lab, () => false);
      });
      const { complete, traces } = search.statement();
      if (!complete || traces !== LOCK_TRACES)
        throw new Error(
          `bench: the lock program has ${LOCK_TRACES} traces, dpor found ${traces} in ${runs} runs`,
        );
      // The first round compiles, and learns which memory is shared.
      if (round > 0) rates.push(runs / seconds);
    }
    const note = `${LOCK_TRACES} traces, complete`;
    tell({
      name: `${kind}/dpor-lock4x2`,
      value: median(rates),
      unit: 'executions/CPU-s',
      baseline: null,
      ratio: null,
      note,
    });
    await close();
  });

for (const kind of KINDS)
  await section('boot-vs-hotplug', async () => {
    const { lab, close } = await laboratory('boot-vs-hotplug', kind);
    const campaign = endless(lab, 'random');
    campaign.make(150);
    Object.assign(campaign.total, { runs: 0, steps: 0, switches: 0 });
    const rates = numbers();
    for (let round = 0; round < 5; round++) rates.push(60 / (await cpuSeconds(() => campaign.make(60))));
    const { total } = campaign;
    const note = `random walk: ${(total.steps / total.runs).toFixed(0)} steps and ${(total.switches / total.runs).toFixed(0)} switches a run`;
    tell({
      name: `${kind}/boot-vs-hotplug`,
      value: median(rates),
      unit: 'schedules/CPU-s',
      baseline: null,
      ratio: null,
      note,
    });
    await close();
  });

for (const kind of KINDS)
  await section('litmus', async () => {
    const files = readdirSync(SHAPES).filter((file) => file.endsWith('.litmus'));
    const texts = files.map((file) => ({
      file,
      text: readFileSync(new URL(encodeURIComponent(file), SHAPES), 'utf8'),
    }));
    let schedules = 0;
    const all = async () => {
      for (const memoryModel of /** @type {const} */ (['sc', 'tso'])) {
        for (const { file, text } of texts) {
          const result = await smplab.runLitmus(text, file, { memoryModel, executor: kind });
          if (!result.complete) throw new Error(`bench: ${file} under ${memoryModel}: ${result.incomplete}`);
          schedules += result.schedules;
        }
      }
    };
    const [first] = texts;
    if (first === undefined) throw new Error('bench: no litmus shapes');
    await smplab.runLitmus(first.text, first.file, { memoryModel: 'sc', executor: kind });
    const seconds = await cpuSeconds(all);
    const note = `${files.length} shapes, sc and tso, each to its last schedule (${schedules}); each boots its machine`;
    tell({
      name: `${kind}/litmus`,
      value: (files.length * 2) / seconds,
      unit: 'tests/CPU-s',
      baseline: null,
      ratio: null,
      note,
    });
  });

await section('litmus', async () => {
  const texts = await generatedLitmus(LITMUS_BATCH);
  const shelf = new smplab.MachineShelf();
  let schedules = 0;
  const all = async () => {
    for (const [index, text] of texts.entries()) {
      const result = await smplab.runLitmus(text, `generated ${index + 1}`, { memoryModel: 'tso', shelf });
      if (!result.complete) throw new Error(`bench: generated test ${index + 1}: ${result.incomplete}`);
      schedules += result.schedules;
    }
  };
  const seconds = await cpuSeconds(all);
  const milliseconds = ((seconds / texts.length) * 1e3).toFixed(2);
  const note = `${texts.length} generated tests, tso, each to its last schedule (${schedules}): ${milliseconds} CPU ms a test`;
  tell({
    name: 'fibers/litmus-batch',
    value: texts.length / seconds,
    unit: 'tests/CPU-s',
    baseline: null,
    ratio: null,
    note,
  });
});

for (const kind of KINDS)
  await section('race', async () => {
    const { lab, close } = await laboratory('double-enable', kind);
    /** Schedules to the first bug. @param {number} seed */
    const find = (seed) => {
      const search = smplab.searchFor({ strategy: 'portfolio', seed, runs: 10_000 });
      return smplab.runSearch(search, lab, (result) => result.findings.length > 0);
    };
    for (let seed = 1000; seed < 1400; seed++) {
      find(seed);
      await fastCheckFindsRace(seed, 10_000);
    }
    const us = numbers();
    const peers = numbers();
    const runs = numbers();
    const peerRuns = numbers();
    for (let seed = 1; seed <= RACE_SEEDS; seed++) {
      us.push((await cpuSeconds(() => runs.push(find(seed)))) * 1e3);
      peers.push(
        (await cpuSeconds(async () => peerRuns.push((await fastCheckFindsRace(seed, 10_000)) ?? NaN))) * 1e3,
      );
    }
    const note = `first bug, ${RACE_SEEDS} seeds: ${median(runs)} schedules of the default strategy; fast-check ${median(peerRuns)}`;
    const [own, peer] = [median(us), median(peers)];
    tell({
      name: `${kind}/double-enable-ms`,
      value: own,
      unit: 'CPU ms',
      baseline: peer,
      ratio: own / peer,
      note,
    });
    await close();
  });

await smplab.closeSharedPool();
process.disconnect?.();
