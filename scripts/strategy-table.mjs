// @ts-check
/**
 * Mean schedules to the first bug, for each search strategy and each program in test/programs, as a markdown table.
 *
 *   node scripts/strategy-table.mjs [--seeds N] [--runs N] [--programs a,b] [--strategies a,b] [--write]
 *
 * --write puts the table into docs/search-strategies.md. The figures count schedules and so do not depend on the machine.
 * With each seed the flows run on other CPUs, too: what is found must not hang on who has the lower number.
 */
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { ensureBuild, ensureDependencies, root } from './prepare.mjs';

const DOCUMENT = path.join(root, 'docs/search-strategies.md');
const [BEGIN, END] = ['<!-- table -->', '<!-- /table -->'];
/** What others reached, as issue 3 quotes them: RFF (Wolff et al. 2024), PERIOD (Wen et al. 2022), POS, PCT(3). */
const REFERENCES = /** @type {Record<string, string>} */ ({
  reorder_3: 'POS 223, PCT 241, RFF 6, PERIOD 6',
  reorder_5: 'POS 4,377, PCT 1,126, RFF 6, PERIOD 12',
  reorder_10: 'PCT 2,356, RFF 6, PERIOD 27',
  twostage: 'POS 15, PCT 9',
  bluetooth_driver: 'POS 72, RFF 45, PERIOD 9',
  work_stealing_queue: 'POS 10, PCT 12',
  double_enable: 'PCT 43, random 190 to 270',
});
/** The programs fail by their checks, or hang; what checkers say besides, they say of runs that did not fail. */
const FAILURES = new Set(['check', 'deadlock']);
/** Strategies without chance: their seed is only the CPUs that flows run on. */
const WITHOUT_CHANCE = new Set(['dpor', 'preemptions', 'delays', 'round-robin']);

const { values: given } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    runs: { type: 'string', default: '10000' },
    programs: { type: 'string' },
    strategies: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
});
const [SEEDS, RUNS] = [Number(given.seeds), Number(given.runs)];

ensureDependencies();
ensureBuild();
const engine = await import('smplab');

const folder = path.join(root, 'test/programs');
const programs =
  given.programs?.split(',') ??
  readdirSync(folder)
    .filter((name) => name.endsWith('.ts') && name !== 'reorder.ts')
    .map((name) => name.slice(0, -'.ts'.length));
/** @type {readonly string[]} */
const strategies = given.strategies?.split(',') ?? engine.STRATEGIES;
const scratch = mkdtempSync(path.join(tmpdir(), 'smplab-table-'));

/** The program with its flows moved on by so many CPUs. @param {string} name @param {number} by */
function rotated(name, by) {
  const file = path.join(scratch, `${name}-${by}.ts`);
  writeFileSync(
    file,
    `import { scenario } from 'smplab';
     import program from ${JSON.stringify(path.join(folder, `${name}.ts`))};
     const { flows } = program;
     export default scenario({ ...program, on: flows.map((_, cpu) => flows[(cpu + ${by}) % flows.length]!) });`,
  );
  return engine.compileScenario(file);
}

/** Schedules to the first failure, Infinity if there was none. @param {any} source @param {string} strategy @param {number} seed */
async function schedulesToFail(source, strategy, seed) {
  const executor = await engine.ScenarioExecutor.create(source);
  try {
    const lab = new engine.Laboratory(executor, { races: 'ignore' });
    const search = engine.searchFor({ strategy: /** @type {any} */ (strategy), seed, runs: RUNS });
    let runs = 0;
    for (let plan = search.next(); plan !== undefined && runs < RUNS; plan = search.next()) {
      runs++;
      const result = lab.run(plan);
      search.observe(result);
      if (result.findings.some((/** @type {{ kind: string }} */ { kind }) => FAILURES.has(kind))) return runs;
    }
    return Infinity;
  } finally {
    await executor.close();
  }
}

/** @param {number[]} counts */
function cell(counts) {
  const found = counts.filter((count) => count !== Infinity);
  if (found.length === 0) return 'none';
  const mean = found.reduce((sum, count) => sum + count, 0) / found.length;
  const shown = mean < 10 ? mean.toFixed(1) : Math.round(mean).toLocaleString('en');
  return found.length === counts.length ? shown : `${shown} (${found.length} of ${counts.length})`;
}

/** @param {string} name */
async function row(name) {
  const cells = [];
  const sources = new Map();
  const { cpus } = await firstLook(name);
  for (const strategy of strategies) {
    const counts = [];
    const known = new Map();
    for (let seed = 0; seed < SEEDS; seed++) {
      const by = seed % cpus;
      if (!sources.has(by)) sources.set(by, await rotated(name, by));
      const isKnown = WITHOUT_CHANCE.has(strategy) && known.has(by);
      const count = isKnown ? known.get(by) : await schedulesToFail(sources.get(by), strategy, seed);
      known.set(by, count);
      counts.push(count);
    }
    cells.push(cell(counts));
    process.stderr.write(`${name} ${strategy}: ${cells.at(-1)}\n`);
  }
  return `| ${[name, ...cells, REFERENCES[name] ?? ''].join(' | ')} |`;
}

/** @param {string} name */
async function firstLook(name) {
  const executor = await engine.ScenarioExecutor.create(await rotated(name, 0));
  const { flows } = executor.loaded.scenario;
  await executor.close();
  return { cpus: flows.length };
}

const lines = [
  `| program | ${strategies.join(' | ')} | others |`,
  `| --- |${' ---: |'.repeat(strategies.length)} --- |`,
];
try {
  for (const name of programs) lines.push(await row(name));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
await engine.closeSharedPool();

if (given.write) {
  const text = readFileSync(DOCUMENT, 'utf8');
  const [from, to] = [text.indexOf(BEGIN) + BEGIN.length, text.indexOf(END)];
  if (to < from) throw new Error(`${DOCUMENT} has no place between ${BEGIN} and ${END}`);
  writeFileSync(DOCUMENT, `${text.slice(0, from)}\n\n${lines.join('\n')}\n\n${text.slice(to)}`);
}
process.stdout.write(`${lines.join('\n')}\n`);
