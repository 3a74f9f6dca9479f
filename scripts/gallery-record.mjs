// @ts-check
/**
 * The long run of the gallery, and the tables that are made from it: docs/gallery.md, and the figures in each entry's page.
 *
 *   node scripts/gallery-record.mjs                 writes the pages from what is recorded
 *   node scripts/gallery-record.mjs --check         fails when a page is not what is recorded
 *   node scripts/gallery-record.mjs --run [ID...]   verifies and counts first, hours for all of them, and records the results
 *
 * With --run: --seeds 20, --fixed-runs 100000 and --chance 10000, unless told otherwise; --only found,fixed,chance for some of it,
 * --missing for what is not recorded yet. Each part is kept as soon as it is done, so it may be stopped and gone on with.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { ensureBuild, ensureDependencies, root } from './prepare.mjs';
import { report } from './sources.mjs';

/** @typedef {import('./sources.mjs').Fault} Fault */
/** @typedef {import('smplab').GalleryEntry} Entry */
/**
 * What is known of an entry; each part with the command that made it. The parts are made apart: each takes minutes to an hour.
 * @typedef {{ command: string, seeds: number, foundSeeds: number, runsToFind: number, runsToFindMedian: number, limit: number,
 *   preemptions: number, replayed: boolean }} Found
 * @typedef {{ command: string, complete: boolean, runs: number, strategies: Record<string, number> }} Fixed
 * @typedef {{ command: string, runs: number, failed: number, kinds: Record<string, number>, cores: number }} Chance
 * @typedef {{ found?: Found, fixed?: Fixed, chance?: Chance }} Record_
 */

const RECORD = 'docs/gallery-record.json';
const INDEX = 'docs/gallery.md';
const BEGIN = '<!-- measured:begin (scripts/gallery-record.mjs) -->';
const END = '<!-- measured:end -->';
const TABLES = /** @type {const} */ ([
  ['kvm', 'KVM: enabling and disabling against hotplug, reboot and module life'],
  ['cross-call', 'Cross calls and rendezvous'],
  ['hotplug', 'CPU hotplug and its neighbours'],
  ['per-cpu', 'Per-CPU data'],
  ['lesson', 'Lessons on per-CPU variables'],
]);

/** @param {number} value */
const n = (value) => value.toLocaleString('en-US');
/** @param {number} count @param {string} what */
const counted = (count, what) => `${n(count)} ${what}${count === 1 ? '' : 's'}`;
/** @param {string} id */
const pageOf = (id) => `src/gallery/${id}/README.md`;

/** @returns {Record<string, Record_>} */
function recorded() {
  return JSON.parse(readFileSync(path.join(root, RECORD), 'utf8'));
}

/** @param {Record_} record @param {Entry} entry @returns {string[]} */
function figures({ found, fixed, chance }, entry) {
  const lines = [];
  if (chance !== undefined) {
    const kinds = Object.entries(chance.kinds).map(([kind, count]) => `${kind} ${n(count)}`);
    const seen = kinds.length === 0 ? '' : ` (${kinds.join(', ')})`;
    lines.push(
      `By chance: ${n(chance.failed)} of ${n(chance.runs)} unsteered runs on real threads fail${seen}, on ${chance.cores} cores (\`${chance.command}\`).`,
    );
    if (entry.expect.kind === 'use-after-free' && chance.failed === 0)
      lines.push('Nobody looks there at how memory is used, so only what comes of it would be seen.');
  }
  if (found !== undefined) {
    lines.push(
      `By search: found in ${found.foundSeeds} of ${counted(found.seeds, 'seed')}, with schedule ${n(found.runsToFind)} at the latest, ${n(found.runsToFindMedian)} in the middle, of ${n(found.limit)} allowed; ${counted(found.preemptions, 'preemption')} at most after shrinking (\`${found.command}\`).`,
    );
  }
  if (fixed !== undefined) {
    const strategies = Object.entries(fixed.strategies).map(([name, runs]) => `${n(runs)} with ${name}`);
    const what = fixed.complete
      ? `complete, every interleaving in ${counted(fixed.runs, 'schedule')}`
      : `nothing found in ${n(fixed.runs)} schedules (${strategies.join(', ')})`;
    lines.push(`The fixed kernel: ${what} (\`${fixed.command}\`).`);
  }
  return lines;
}

/** @param {string} text @param {readonly string[]} lines */
function measuredInto(text, lines) {
  const begin = text.indexOf(BEGIN);
  const before = (begin === -1 ? text : text.slice(0, begin)).trimEnd();
  if (lines.length === 0) return `${before}\n`;
  return `${before}\n\n${BEGIN}\n\n${lines.map((line) => `- ${line}`).join('\n')}\n\n${END}\n`;
}

/** @param {Entry} entry @param {Record_} record */
function row(entry, { found, fixed, chance }) {
  const { id, title, upstream, depth, interrupts } = entry;
  const irqs = interrupts === 0 ? '' : ` + ${interrupts}`;
  const searched = found === undefined ? '' : `${n(found.runsToFind)} (${n(found.runsToFindMedian)})`;
  const held = fixed === undefined ? '' : `${fixed.complete ? 'complete' : 'clean'} in ${n(fixed.runs)}`;
  const cells = [
    `[${id}](../${pageOf(id)})<br>${title.replaceAll('|', '\\|')}`,
    upstream,
    `${depth}${irqs}`,
    chance === undefined ? '' : n(chance.failed),
    searched,
    found === undefined ? '' : n(found.preemptions),
    held,
  ];
  return `| ${cells.join(' | ')} |`;
}

/** @param {readonly Entry[]} entries @param {Record<string, Record_>} record */
function index(entries, record) {
  const chapters = TABLES.flatMap(([family, title]) => [
    `## ${title}`,
    '',
    '| Entry | Mended | Depth | By chance | By search | Preemptions | Fixed kernel |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    ...entries
      .filter((entry) => entry.family === family)
      .toSorted((a, b) => (a.lesson ?? 0) - (b.lesson ?? 0))
      .map((entry) => row(entry, record[entry.id] ?? {})),
    '',
  ]);
  const races = entries.filter(({ lesson }) => lesson === undefined).length;
  return `# The gallery

${races} races that real kernels had, and ${entries.length - races} lessons. Each is a folder in [src/gallery](../src/gallery): a page for people, a
scenario whose kernel has the race, one whose kernel has the fix, and \`entry.json\` with what is to be found. They import nothing but
\`smplab\`, so each is also an example of what a [scenario](scenarios.md) can be. This page is made by
\`node scripts/gallery-record.mjs\` from the recorded results of the long run, [gallery-record.json](gallery-record.json), which
name the commands that made them.

\`\`\`sh
smplab gallery list                     # what there is
smplab gallery show ID                  # its page; with --view diagram the run that fails, found now
smplab explore ID                       # find it; ID/fixed searches the kernel with the fix
smplab gallery verify                   # that all of it still holds
smplab gallery chance ID                # how often it fails by itself
\`\`\`

- **Depth**: orderings between CPUs that force the failure, counted by hand from the picture in its page, and interrupts that
  have to arrive in a certain place. Up to 3 in all the default search has 20,000 schedules, above that 200,000.
- **By chance**: of 10,000 runs on real threads that nobody steers, those that fail. Two cores; with more, or with others at work,
  the number is another one. Each run begins with all flows at one line, which makes it larger than in real life.
- **By search**: the schedule that fails, the latest and the middle one of 20 seeds of the default strategy.
- **Preemptions**: of the smallest schedule that shrinking came to, the most of any seed.
- **Fixed kernel**: *complete*: every interleaving was covered, by \`dpor\`; else so many schedules were tried, half with PCT and half
  with POS, without a finding of any kind.

An empty cell has not been measured yet.

${chapters.join('\n')}`;
}

/** @param {string} file @param {string} text */
async function formatted(file, text) {
  const config = await resolveConfig(path.join(root, file));
  return format(text, { ...config, filepath: file });
}

/**
 * The pages as they should be.
 * @param {boolean} write @returns {Promise<Fault[]>}
 */
export async function checkRecord(write) {
  const { galleryEntries } = await import('smplab');
  const record = recorded();
  const entries = galleryEntries();
  const pages = entries.map((entry) => {
    const file = pageOf(entry.id);
    const text = readFileSync(path.join(root, file), 'utf8');
    return { file, text, wanted: measuredInto(text, figures(record[entry.id] ?? {}, entry)) };
  });
  const file = path.join(root, INDEX);
  pages.push({
    file: INDEX,
    text: existsSync(file) ? readFileSync(file, 'utf8') : '',
    wanted: index(entries, record),
  });
  /** @type {Fault[]} */
  const faults = [];
  for (const page of pages) {
    const wanted = await formatted(page.file, page.wanted);
    if (wanted === page.text) continue;
    if (write) writeFileSync(path.join(root, page.file), wanted);
    else {
      const message = 'the figures are not those recorded: run node scripts/gallery-record.mjs';
      faults.push({ file: page.file, line: 1, rule: 'measured', message });
    }
  }
  return faults;
}

/** @param {readonly string[]} line @returns {any} the only entry of what it prints */
function smplab(line) {
  const main = path.join(root, 'dist/cli/main.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...line, '--json'], {
    encoding: 'utf8',
  });
  if (!stdout.startsWith('{')) throw new Error(`smplab ${line.join(' ')}: exit ${status}: ${stderr}`);
  return JSON.parse(stdout).entries[0];
}

/** @param {string} id @param {{ seeds: string, 'fixed-runs': string, chance: string }} given @returns {Record<string, () => object>} */
function parts(id, given) {
  const verify = ['gallery', 'verify', id];
  /** @param {readonly string[]} line */
  const command = (line) => ({ command: `smplab ${line.join(' ')}` });
  return {
    found() {
      const line = [...verify, '--seeds', given.seeds];
      const { seeds, foundSeeds, runsToFind, runsToFindMedian, limit, preemptions, replayed } = smplab(line);
      return {
        ...command(line),
        seeds,
        foundSeeds,
        runsToFind,
        runsToFindMedian,
        limit,
        preemptions,
        replayed,
      };
    },
    fixed() {
      const line = [...verify, '--fixed-runs', given['fixed-runs']];
      const { fixedClean, fixedFailures, fixedComplete, fixedRuns, fixedStrategies } = smplab(line);
      if (!fixedClean) throw new Error(`${id}: the fixed kernel is not clean: ${fixedFailures.join(', ')}`);
      return { ...command(line), complete: fixedComplete, runs: fixedRuns, strategies: fixedStrategies };
    },
    chance() {
      const line = ['gallery', 'chance', id, '--runs', given.chance];
      const { runs, failed, kinds } = smplab(line);
      return { ...command(line), runs, failed, kinds, cores: availableParallelism() };
    },
  };
}

/** Makes the parts that are asked for, and keeps each as soon as it is there. */
async function run() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      run: { type: 'boolean' },
      only: { type: 'string', default: 'found,fixed,chance' },
      missing: { type: 'boolean', default: false },
      seeds: { type: 'string', default: '20' },
      'fixed-runs': { type: 'string', default: '100000' },
      chance: { type: 'string', default: '10000' },
    },
  });
  const { galleryEntries } = await import('smplab');
  const ids = positionals.length > 0 ? positionals : galleryEntries().map(({ id }) => id);
  for (const id of ids) {
    const all = parts(id, values);
    for (const part of values.only.split(',')) {
      if (values.missing && recorded()[id]?.[/** @type {'found'} */ (part)] !== undefined) continue;
      const made = all[part]?.();
      // Read again: others may have written theirs meanwhile.
      const record = recorded();
      record[id] = { ...record[id], [part]: made };
      const sorted = Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));
      writeFileSync(path.join(root, RECORD), await formatted(RECORD, JSON.stringify(sorted)));
      console.log(`${id} ${part} ${JSON.stringify(made)}`);
    }
  }
}

if (process.argv[1] === import.meta.filename) {
  ensureDependencies();
  ensureBuild();
  if (process.argv.includes('--run')) await run();
  const faults = await checkRecord(!process.argv.includes('--check'));
  process.exitCode = report('gallery-record', faults, `${INDEX} and the pages`);
}
