// @ts-check
/**
 * The JavaScript peer: fast-check's scheduler, which interleaves promises, on the programs of scenarios/hotplug24.ts and
 * scenarios/double-enable.ts. Each operation waits to be scheduled and is then made at once.
 */
import { assert, asyncProperty, check, scheduler as anySchedule } from 'fast-check';

/** @typedef {import('fast-check').Scheduler} Scheduler */

/** Shared words whose every access is a step of the scheduler. @param {Scheduler} scheduler @param {number} words */
function memory(scheduler, words) {
  const values = Array.from({ length: words }, () => 0);
  const step = () => scheduler.schedule(Promise.resolve());
  /** @param {number} word */
  const load = async (word) => {
    await step();
    return values[word] ?? 0;
  };
  /** @param {number} word @param {number} value */
  const store = async (word, value) => {
    await step();
    values[word] = value;
  };
  return { values, load, store };
}

const REGISTERED = 0;
const ONLINE = 1;
const ENABLED = 4;
const COUNT = 7;
const WORDS = 10;
const CPUS = 3;

/** 24 operations in three flows. Answers whether each CPU was enabled once. @param {Scheduler} scheduler */
async function hotplug24(scheduler) {
  const { values, load, store } = memory(scheduler, WORDS);
  /** @param {number} cpu @param {number} wanted */
  const enable = async (cpu, wanted) => {
    const before = await load(ENABLED + cpu);
    await store(ENABLED + cpu, before | wanted);
    const times = await load(COUNT + cpu);
    await store(COUNT + cpu, times + (wanted & ~before));
  };
  const init = async () => {
    const already = await load(REGISTERED);
    await store(REGISTERED, already | 1);
    await enable(1, await load(ONLINE + 1));
    await enable(2, await load(ONLINE + 2));
  };
  /** @param {number} cpu */
  const plug = async (cpu) => {
    await store(ONLINE + cpu, 1);
    await enable(cpu, await load(REGISTERED));
  };
  await scheduler.waitFor(Promise.all([init(), plug(1), plug(2)]));
  return values[COUNT + 1] === 1 && values[COUNT + 2] === 1;
}

/** @param {Scheduler} scheduler */
async function doubleEnable(scheduler) {
  const { values, load, store } = memory(scheduler, WORDS);
  values[ONLINE] = 1;
  /** @param {number} cpu */
  const enable = async (cpu) => {
    if ((await load(ENABLED + cpu)) !== 0) return;
    await store(ENABLED + cpu, 1);
    await store(COUNT + cpu, (await load(COUNT + cpu)) + 1);
  };
  const init = async () => {
    await store(REGISTERED, 1);
    for (let cpu = 0; cpu < CPUS; cpu++) if ((await load(ONLINE + cpu)) === 1) await enable(cpu);
  };
  /** @param {number} cpu */
  const plug = async (cpu) => {
    await store(ONLINE + cpu, 1);
    if ((await load(REGISTERED)) === 1) await enable(cpu);
  };
  await scheduler.waitFor(Promise.all([init(), plug(1), plug(2)]));
  return values.slice(COUNT, COUNT + CPUS).every((times) => times === 1);
}

/** Runs `runs` schedules of the 24-operation program. @param {number} runs @param {number} seed */
export async function fastCheckSchedules(runs, seed) {
  const property = asyncProperty(anySchedule(), async (scheduler) => {
    await hotplug24(scheduler);
  });
  await assert(property, { numRuns: runs, seed });
}

/** Schedules until the double-enable race shows, without shrinking it. @param {number} seed @param {number} runs at most */
export async function fastCheckFindsRace(seed, runs) {
  const property = asyncProperty(anySchedule(), doubleEnable);
  const { failed, numRuns } = await check(property, { numRuns: runs, seed, endOnFailure: true });
  return failed ? numRuns : undefined;
}
