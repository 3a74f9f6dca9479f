// @ts-check
/** The row jobs2/jobs1: a campaign in two processes against the same one in one. Wall seconds: it wants two free cores. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const SCENARIO = fileURLToPath(new URL('scenarios/lock4x2.ts', import.meta.url));
const RUNS = 40_000;
const PAIRS = 3;

/** @returns {number[]} */
const numbers = () => [];
/** @param {readonly number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

/** Seconds of a whole campaign, start-up and all. @param {number} jobs */
function campaign(jobs) {
  const words = [
    'explore',
    SCENARIO,
    '--strategy',
    'random',
    '--runs',
    String(RUNS),
    '--jobs',
    String(jobs),
    '--json',
  ];
  const begin = performance.now();
  const { status, stderr } = spawnSync(process.execPath, [CLI, ...words], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`bench: explore --jobs ${jobs} ended with ${status}: ${stderr}`);
  return (performance.now() - begin) / 1e3;
}

/** @returns {import('./table.mjs').Row} */
export function jobsRow() {
  const ones = numbers();
  const twos = numbers();
  const ratios = numbers();
  for (let pair = 0; pair < PAIRS; pair++) {
    const one = campaign(1);
    const two = campaign(2);
    ones.push(RUNS / one);
    twos.push(RUNS / two);
    ratios.push(two / one);
  }
  const note = `random walk on lock4x2, ${RUNS} runs, wall time with start-up`;
  return {
    name: 'jobs2/jobs1',
    value: median(twos),
    unit: 'schedules/s',
    baseline: median(ones),
    ratio: median(ratios),
    note,
  };
}
