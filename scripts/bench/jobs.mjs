// @ts-check
/**
 * The rows jobs2/jobs1: a campaign in two jobs against the same one in one, a short one and one in which starting counts less.
 * Wall seconds: it wants two free cores.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const SCENARIO = fileURLToPath(new URL('scenarios/lock4x2.ts', import.meta.url));
const LENGTHS = [40_000, 400_000];
const PAIRS = 3;

/** @returns {number[]} */
const numbers = () => [];
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

export function jobsRows() {
  return LENGTHS.map(rowOf);
}

/** @param {number} runs @returns {import('./table.mjs').Row} */
function rowOf(runs) {
  const ones = numbers();
  const twos = numbers();
  const ratios = numbers();
  for (let pair = 0; pair < PAIRS; pair++) {
    const one = campaign(runs, 1);
    const two = campaign(runs, 2);
    ones.push(runs / one);
    twos.push(runs / two);
    ratios.push(two / one);
  }
  const note = `random walk on lock4x2, ${runs} runs, wall time with start-up`;
  return {
    name: `jobs2/jobs1-${runs / 1000}k`,
    value: median(twos),
    unit: 'schedules/s',
    baseline: median(ones),
    ratio: median(ratios),
    note,
  };
}
