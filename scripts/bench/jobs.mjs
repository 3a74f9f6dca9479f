// @ts-check
/**
 * The rows jobs2/jobs1: a campaign in two jobs against the same one in one, as long as it goes on, and a short one from its start.
 * Wall seconds: it wants two free cores.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const SCENARIO = fileURLToPath(new URL('scenarios/lock4x2.ts', import.meta.url));
/** What the longer has more than the shorter is what starting has no part in. */
const SHORT = 40_000;
const LONG = 1_240_000;
const PAIRS = 3;

/** @param {readonly number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

/** Seconds of a whole campaign, start-up and all. @param {number} runs @param {number} jobs */
function campaign(runs, jobs) {
  const words = [
    'explore',
    SCENARIO,
    '--strategy',
    'random',
    '--runs',
    String(runs),
    '--jobs',
    String(jobs),
    '--json',
  ];
  const begin = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [CLI, ...words], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`bench: explore --jobs ${jobs} ended with ${status}: ${stderr}`);
  return (performance.now() - begin) / 1e3;
}

/** @returns {import('./table.mjs').Row[]} */
export function jobsRows() {
  /** @type {{ one: number, two: number }[]} */
  const short = [];
  /** @type {{ one: number, two: number }[]} */
  const steady = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    const begun = { one: campaign(SHORT, 1), two: campaign(SHORT, 2) };
    short.push(begun);
    steady.push({ one: campaign(LONG, 1) - begun.one, two: campaign(LONG, 2) - begun.two });
  }
  const what = 'random walk on lock4x2, wall time';
  return [
    rowOf('jobs2/jobs1', LONG - SHORT, steady, `${what} without start-up: ${LONG} runs less ${SHORT}`),
    rowOf('jobs2/jobs1-40k', SHORT, short, `${what} with start-up, ${SHORT} runs`),
  ];
}

/**
 * @param {string} name @param {number} runs @param {readonly { one: number, two: number }[]} pairs seconds @param {string} note
 * @returns {import('./table.mjs').Row}
 */
function rowOf(name, runs, pairs, note) {
  return {
    name,
    value: median(pairs.map(({ two }) => runs / two)),
    unit: 'schedules/s',
    baseline: median(pairs.map(({ one }) => runs / one)),
    ratio: median(pairs.map(({ one, two }) => two / one)),
    note,
  };
}
