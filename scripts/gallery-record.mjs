// @ts-check
/**
 * The long run of the gallery, and the tables that are made from it: docs/gallery.md, and the figures in each entry's page.
 *
 *   node scripts/gallery-record.mjs                 writes the pages from what is recorded
 *   node scripts/gallery-record.mjs --check         fails when a page is not what is recorded (one of the gates)
 *   node scripts/gallery-record.mjs --run [ID...]   verifies and counts first, hours for all of them, and records the results
 *
 * With --run: --seeds 20, --fixed-runs 100000 and --chance 10000, unless told otherwise; --only found,fixed,chance for some of it,
 * --missing for what is not recorded yet. Each part is kept as soon as it is done, so it may be stopped and gone on with; chance is
 * counted, and kept, in pieces of 500 runs.
 *
 * What the check finds:
 *   measured   the figures of a page are not those that are recorded
 *   recorded   what is recorded is not what the entry promises, or is of no entry
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { format, resolveConfig } from 'prettier';
import { ensureBuild, ensureDependencies, root } from './prepare.mjs';
import { report, rootArgument, textOf } from './sources.mjs';

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

/** @param {string} base @returns {Record<string, Record_>} */
const recorded = (base) => JSON.parse(textOf(base, RECORD));

/** As src/explore/gallery.ts reads them, without a build. @param {string} base @returns {Entry[]} */
function entriesOf(base) {
  const folder = path.join(base, 'src/gallery');
  return readdirSync(folder)
    .toSorted()
    .filter((id) => existsSync(path.join(folder, id, 'entry.json')))
    .map((id) => ({ ...JSON.parse(textOf(folder, `${id}/entry.json`)), id }));
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

Most entries leave data races out of their search, since the kernels of their time mark hardly anything and nearly every one of
them has some. \`smplab gallery verify --race-runs 20\` looks at the fixed kernels for these, too: what it may find there is listed, with
the reason why it is the code's own and not this model's, in [gallery-races.ts](../src/explore/gallery-races.ts); anything else is told,
and the entry does not hold.

${chapters.join('\n')}`;
}

/** @param {string} file @param {string} text */
async function formatted(file, text) {
  const config = await resolveConfig(path.join(root, file));
  return format(text, { ...config, filepath: file });
}

/** Schedules that a fixed kernel has had at least, and runs on real threads: what the gallery promises. */
const FIXED_RUNS = 100_000;
const CHANCE_RUNS = 10_000;

/** What is recorded and does not hold. @param {Entry} entry @param {Record_} record @returns {string[]} */
function broken(entry, { found, fixed, chance }) {
  const wrong = [];
  if (found !== undefined) {
    if (found.foundSeeds < found.seeds) wrong.push(`found with ${found.foundSeeds} of ${found.seeds} seeds`);
    if (!found.replayed) wrong.push('not found again from its token');
    if (found.runsToFind > found.limit) wrong.push(`found by schedule ${found.runsToFind} of ${found.limit}`);
    if (found.preemptions > entry.preemptions)
      wrong.push(`shrinks to ${found.preemptions} preemptions, and entry.json says ${entry.preemptions}`);
  }
  if (fixed !== undefined && !fixed.complete && fixed.runs < FIXED_RUNS)
    wrong.push(`the fixed kernel has had ${fixed.runs} schedules of ${FIXED_RUNS}`);
  if (chance !== undefined && chance.runs < CHANCE_RUNS)
    wrong.push(`${chance.runs} of ${CHANCE_RUNS} runs by chance: go on with --run --missing`);
  return wrong;
}

/**
 * The pages as they should be.
 * @param {string} base @param {boolean} write @returns {Promise<Fault[]>}
 */
export async function checkRecord(base, write) {
  const record = recorded(base);
  const entries = entriesOf(base);
  const pages = entries.map((entry) => {
    const file = pageOf(entry.id);
    const text = textOf(base, file);
    return { file, text, wanted: measuredInto(text, figures(record[entry.id] ?? {}, entry)) };
  });
  const text = existsSync(path.join(base, INDEX)) ? textOf(base, INDEX) : '';
  pages.push({ file: INDEX, text, wanted: index(entries, record) });
  /** @type {Fault[]} */
  const faults = [];
  /** @param {string} id @param {string} message */
  const recordFault = (id, message) => {
    const line =
      textOf(base, RECORD)
        .split('\n')
        .findIndex((one) => one.includes(`"${id}"`)) + 1;
    faults.push({ file: RECORD, line, rule: 'recorded', message: `${id}: ${message}` });
  };
  for (const id of Object.keys(record)) {
    const entry = entries.find((one) => one.id === id);
    const wrong = entry === undefined ? ['the gallery has no such entry'] : broken(entry, record[id] ?? {});
    for (const message of wrong) recordFault(id, message);
  }
  for (const page of pages) {
    const wanted = await formatted(page.file, page.wanted);
    if (wanted === page.text) continue;
    if (write) writeFileSync(path.join(base, page.file), wanted);
    else {
      const message = 'the figures are not those recorded: run node scripts/gallery-record.mjs';
      faults.push({ file: page.file, line: firstDifference(page.text, wanted), rule: 'measured', message });
    }
  }
  return faults;
}

/** The line, from 1. @param {string} text @param {string} wanted */
function firstDifference(text, wanted) {
  const lines = wanted.split('\n');
  return Math.max(1, text.split('\n').findIndex((line, at) => line !== lines[at]) + 1);
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

/** Runs by chance that are kept at once. */
const CHANCE_PIECE = 500;

/**
 * @param {string} id @param {{ seeds: string, 'fixed-runs': string, chance: string }} given
 * @returns {Record<string, (keep: (made: object) => Promise<void>) => object | Promise<object>>}
 */
function parts(id, given) {
  const verify = ['gallery', 'verify', id];
  /** @param {readonly string[]} line */
  const command = (line) => ({ command: `smplab ${line.join(' ')}` });
  return {
    found() {
      // The fixed kernel has a part of its own.
      const line = [...verify, '--seeds', given.seeds, '--fixed-runs', '10'];
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
    /** Goes on where it was stopped: what is kept is the sum. @param {(made: object) => Promise<void>} keep */
    async chance(keep) {
      const line = ['gallery', 'chance', id, '--runs', given.chance];
      const known = recorded(root)[id]?.chance;
      let { runs = 0, failed = 0 } = known ?? {};
      /** @type {Record<string, number>} */
      let kinds = known?.kinds ?? {};
      if (runs >= Number(given.chance)) [runs, failed, kinds] = [0, 0, {}];
      for (;;) {
        const piece = Math.min(CHANCE_PIECE, Number(given.chance) - runs);
        if (piece > 0) {
          const more = smplab([...line.slice(0, -1), String(piece)]);
          [runs, failed] = [runs + more.runs, failed + more.failed];
          for (const [kind, count] of Object.entries(more.kinds))
            kinds = { ...kinds, [kind]: (kinds[kind] ?? 0) + Number(count) };
        }
        const made = { ...command(line), runs, failed, kinds, cores: availableParallelism() };
        if (runs >= Number(given.chance)) return made;
        await keep(made);
      }
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
  const ids = positionals.length > 0 ? positionals : entriesOf(root).map(({ id }) => id);
  for (const id of ids) {
    const all = parts(id, values);
    for (const part of values.only.split(',')) {
      const known = recorded(root)[id]?.[/** @type {'chance'} */ (part)];
      const isWhole = part !== 'chance' || (known?.runs ?? 0) >= Number(values.chance);
      if (values.missing && known !== undefined && isWhole) continue;
      /** @param {object} made */
      const keep = async (made) => {
        // Read again: others may have written theirs meanwhile.
        const record = recorded(root);
        record[id] = { ...record[id], [part]: made };
        const sorted = Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)));
        writeFileSync(path.join(root, RECORD), await formatted(RECORD, JSON.stringify(sorted)));
      };
      const made = await all[part]?.(keep);
      if (made === undefined) throw new Error(`--only ${part}: expected found, fixed or chance`);
      await keep(made);
      console.log(`${id} ${part} ${JSON.stringify(made)}`);
    }
  }
}

if (process.argv[1] === import.meta.filename) {
  ensureDependencies();
  if (process.argv.includes('--run')) {
    ensureBuild();
    await run();
  }
  const faults = await checkRecord(rootArgument(process.argv), !process.argv.includes('--check'));
  process.exitCode = report('gallery-record', faults, `${INDEX} and the pages`);
}
