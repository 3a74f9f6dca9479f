// @ts-check
/**
 * The pictures in docs/pictures: pages of gallery findings, opened in chromium and photographed.
 *
 *   node scripts/pictures.mjs [--pages FOLDER]     and keeps the pages there
 *
 * Needs a build, chromium, and pngquant (without it the files are several times as big).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { ensureBuild, root } from './prepare.mjs';

const OUT = path.join(root, 'docs/pictures');
const SEED = 1;
const RUNS = 20_000;

/**
 * What is photographed: a finding, how, and what is done before.
 * @type {readonly { id: string, file: string, width: number, height: number, dark?: boolean, keys?: readonly string[] }[]}
 */
const PICTURES = [
  { id: 'hotplug-ipi-before-online-callback', file: 'double-vmxon.png', width: 1440, height: 900 },
  { id: 'cross-call-with-irqs-off-abba', file: 'abba-deadlock.png', width: 1440, height: 900, dark: true },
  {
    id: 'osvw-shared-word-lost-update',
    file: 'lost-update-phone.png',
    width: 390,
    height: 844,
  },
];

const EXECUTABLES = [process.env['SMPLAB_CHROMIUM'] ?? '', '/usr/bin/chromium', '/usr/bin/google-chrome'];

/** @param {string} id */
async function pageOf(id) {
  const { compileScenario, galleryScenario, replayToken, runCampaign, runPage } = await import(
    pathToFileURL(path.join(root, 'dist/index.js')).href
  );
  const source = await compileScenario(galleryScenario(id), 'fibers');
  const { failures } = await runCampaign(source, { name: id, strategy: 'portfolio', seed: SEED, runs: RUNS });
  const [failure] = failures;
  if (failure === undefined) throw new Error(`${id}: nothing found in ${RUNS} schedules with seed ${SEED}`);
  const report = await replayToken(failure.token, source);
  return runPage({ ...report, command: `smplab replay ${failure.token}` });
}

/** @param {string} file */
function squeeze(file) {
  const run = spawnSync('pngquant', [
    '--force',
    '--skip-if-larger',
    '--speed',
    '1',
    '--ext',
    '.png',
    '128',
    file,
  ]);
  if (run.error !== undefined) console.warn('no pngquant here: the pictures are bigger than they need to be');
}

ensureBuild();
const keep = process.argv.indexOf('--pages');
const folder =
  keep === -1
    ? mkdtempSync(path.join(tmpdir(), 'smplab-pictures-'))
    : path.resolve(process.argv[keep + 1] ?? '.');
mkdirSync(OUT, { recursive: true });
mkdirSync(folder, { recursive: true });
const executablePath = EXECUTABLES.find((file) => file !== '' && existsSync(file));
if (executablePath === undefined)
  throw new Error('no chromium here: apt-get install chromium, or SMPLAB_CHROMIUM=FILE');
const browser = await chromium.launch({
  executablePath,
  args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
});
for (const { id, file, width, height, dark = false, keys = [] } of PICTURES) {
  const page = path.join(folder, `${id}.html`);
  writeFileSync(page, await pageOf(id));
  const tab = await browser.newPage({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light' });
  await tab.goto(pathToFileURL(page).href);
  for (const key of keys) await tab.keyboard.press(key);
  // Two frames: one to lay out, one to draw.
  await tab.evaluate('new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))');
  await tab.screenshot({ path: path.join(OUT, file) });
  await tab.close();
  squeeze(path.join(OUT, file));
  console.log(`${file}: ${id}`);
}
await browser.close();
if (keep === -1) rmSync(folder, { recursive: true, force: true });
process.exit(0);
