// @ts-check
/**
 * npm run bench -- [smp|search|all] [SECTION...] [--json FILE]: what things cost, beside the bare or best other way to do
 * them, in one run. Prints a line for each row as it is known; --json keeps them all, as design/cli.md says.
 */
import { fork } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensureBuild, ensureDependencies } from './prepare.mjs';

ensureDependencies();
ensureBuild();
const { lineOf } = await import('./bench/table.mjs');

/** @typedef {import('./bench/table.mjs').Row} Row */

/** The sections of each part, in the order they are measured. */
const SECTIONS = {
  smp: ['struct', 'call', 'each', 'boot', 'hotplug', 'snapshot'],
  search: ['rate24', 'dpor', 'boot-vs-hotplug', 'litmus', 'race', 'jobs'],
};
const USAGE = `usage: npm run bench -- [smp|search|all] [${[...SECTIONS.smp, ...SECTIONS.search].join('|')}]... [--json FILE]\n`;

/** @param {string} why @returns {never} */
function refuse(why) {
  process.stderr.write(`bench: ${why}\n${USAGE}`);
  process.exit(2);
}

/** @returns {{ wanted: Set<string>, json: string | undefined }} */
function request() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { json: { type: 'string' } },
    });
    const all = [...SECTIONS.smp, ...SECTIONS.search];
    const wanted = new Set(
      positionals.flatMap((word) =>
        word === 'all' ? all : word === 'smp' || word === 'search' ? SECTIONS[word] : [word],
      ),
    );
    const unknown = [...wanted].find((word) => !all.includes(word));
    if (unknown !== undefined) throw new Error(`there is no section ${unknown}`);
    return { wanted: wanted.size === 0 ? new Set(all) : wanted, json: values.json };
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

const { wanted, json } = request();
/** @type {Row[]} */
const rows = [];
/** @param {Row} row */
const tell = (row) => {
  rows.push(row);
  process.stdout.write(`${lineOf(row)}\n`);
};
/** @param {readonly string[]} sections */
const chosen = (sections) => sections.filter((section) => wanted.has(section));

/** Search rows come from a process of their own, which stays on one core. @param {readonly string[]} sections */
async function searchRows(sections) {
  const child = fork(fileURLToPath(new URL('bench/search.mjs', import.meta.url)), sections);
  child.on('message', (row) => tell(/** @type {Row} */ (row)));
  const code = await new Promise((resolve) => child.on('exit', resolve));
  if (code !== 0) throw new Error(`bench: the search rows ended with ${String(code)}`);
}

const smp = chosen(SECTIONS.smp);
if (smp.length > 0) {
  const { smpRows } = await import('./bench/smp.mjs');
  await smpRows(tell, new Set(smp));
}
const search = chosen(SECTIONS.search).filter((section) => section !== 'jobs');
if (search.length > 0) await searchRows(search);
if (wanted.has('jobs')) {
  const { jobsRows } = await import('./bench/jobs.mjs');
  for (const row of jobsRows()) tell(row);
}
if (json !== undefined) {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const [cpu] = os.cpus();
  const machine = {
    cpu: cpu?.model ?? '',
    cores: os.cpus().length,
    system: `${os.type()} ${os.release()}`,
    node: process.version,
  };
  writeFileSync(json, `${JSON.stringify({ schema: 'smplab.bench/1', version, machine, rows }, null, 2)}\n`);
}
