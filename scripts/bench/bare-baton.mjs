// @ts-check
/**
 * The bare side of the search rows: three threads that pass a baton over the program of scenarios/hotplug24.ts, written
 * by hand. No kernel, no typed views, no log, no checkers, memory reset by a fill of 16 words: what a schedule costs when
 * nothing is known of it but its end. The host hands the baton to whoever goes first, as a campaign does.
 */
import { Worker, isMainThread, workerData } from 'node:worker_threads';

const CPUS = 3;
/** Word indices; what several threads look at has a cache line of its own. */
const DOORBELL = 0;
const STATE = 16;
const SEED = 32;
const POLICY = 33;
const CHANCE = 34;
const MADE = 35;
const POINTS = 36;
const PRIORITIES = 40;
const SWITCHES = 44;
const STEPS = 45;
const MEMORY = 64;
const MEMORY_WORDS = 16;
const BATON = 128;
const BATON_STRIDE = 16;
const [REGISTERED, ONLINE, ENABLED, COUNT] = [MEMORY, MEMORY + 1, MEMORY + 4, MEMORY + 7];
const RANDOM = 0;
const PCT = 1;
/** Steps PCT spreads its two change points over. */
const PCT_STEPS = 24;

/** One step of xorshift32. @param {Int32Array} words @param {number} below */
function draw(words, below) {
  let x = words[CHANCE] ?? 0;
  x ^= x << 13;
  x ^= x >>> 17;
  x ^= x << 5;
  words[CHANCE] = x;
  return Math.floor(((Math.imul(x, 0x9e3779bb) >>> 0) / 0x1_0000_0000) * below);
}

/** Who goes next; -1 when all flows have ended. @param {Int32Array} words */
function choose(words) {
  if (words[POLICY] === PCT) {
    let best = -1;
    for (let cpu = 0; cpu < CPUS; cpu++) {
      if (words[STATE + cpu] === 0) continue;
      if (best < 0 || (words[PRIORITIES + cpu] ?? 0) > (words[PRIORITIES + best] ?? 0)) best = cpu;
    }
    return best;
  }
  let ready = 0;
  for (let cpu = 0; cpu < CPUS; cpu++) ready += words[STATE + cpu] ?? 0;
  if (ready === 0) return -1;
  let skip = ready === 1 ? 0 : draw(words, ready);
  for (let cpu = 0; cpu < CPUS; cpu++) if (words[STATE + cpu] !== 0 && skip-- === 0) return cpu;
  return -1;
}

/** @param {Int32Array} words @param {number} cpu */
function handOver(words, cpu) {
  const word = BATON + cpu * BATON_STRIDE;
  Atomics.store(words, word, 1);
  Atomics.notify(words, word, 1);
}

/** @param {Int32Array} words @param {number} me */
function awaitBaton(words, me) {
  const word = BATON + me * BATON_STRIDE;
  while (Atomics.load(words, word) === 0) Atomics.wait(words, word, 0);
  words[word] = 0;
}

/** What one CPU runs. @param {Int32Array} words @param {number} me */
function live(words, me) {
  const made = () => {
    words[STEPS] = (words[STEPS] ?? 0) + 1;
    const step = (words[MADE] = (words[MADE] ?? 0) + 1);
    for (let point = 0; point < 2; point++)
      if (words[POINTS + point] === step) words[PRIORITIES + me] = point + 1;
  };
  /** In front of every operation: somebody else may go first. */
  const point = () => {
    const next = choose(words);
    if (next !== me) {
      words[SWITCHES] = (words[SWITCHES] ?? 0) + 1;
      handOver(words, next);
      awaitBaton(words, me);
    }
    made();
  };
  /** @param {number} word */
  const load = (word) => {
    point();
    return words[word] ?? 0;
  };
  /** @param {number} word @param {number} value */
  const store = (word, value) => {
    point();
    words[word] = value;
  };
  /** @param {number} cpu @param {number} wanted */
  const enable = (cpu, wanted) => {
    const before = load(ENABLED + cpu);
    store(ENABLED + cpu, before | wanted);
    const times = load(COUNT + cpu);
    store(COUNT + cpu, times + (wanted & ~before));
  };
  const init = () => {
    const already = load(REGISTERED);
    store(REGISTERED, already | 1);
    enable(1, load(ONLINE + 1));
    enable(2, load(ONLINE + 2));
  };
  const plug = () => {
    store(ONLINE + me, 1);
    enable(me, load(REGISTERED));
  };
  const flow = me === 0 ? init : plug;
  for (;;) {
    awaitBaton(words, me);
    flow();
    words[STATE + me] = 0;
    const next = choose(words);
    if (next >= 0) {
      words[SWITCHES] = (words[SWITCHES] ?? 0) + 1;
      handOver(words, next);
      continue;
    }
    Atomics.store(words, DOORBELL, 1);
    Atomics.notify(words, DOORBELL, 1);
  }
}

if (!isMainThread && workerData?.bareBaton === true) live(workerData.words, workerData.me);

/** The host's side. */
export class BareBaton {
  constructor() {
    this.words = new Int32Array(new SharedArrayBuffer(4096));
    const { words } = this;
    this.threads = Array.from(
      { length: CPUS },
      (_, me) => new Worker(new URL(import.meta.url), { workerData: { bareBaton: true, words, me } }),
    );
  }

  /** One schedule. Answers how often the baton changed hands between CPUs. @param {'random' | 'pct'} policy @param {number} seed */
  run(policy, seed) {
    const { words } = this;
    words.fill(0, MEMORY, MEMORY + MEMORY_WORDS);
    words.fill(1, STATE, STATE + CPUS);
    words[ONLINE] = 1;
    words[SWITCHES] = 0;
    words[STEPS] = 0;
    words[MADE] = 0;
    words[SEED] = seed;
    words[CHANCE] = Math.imul(seed, 0x9e3779b1) | 1;
    words[POLICY] = policy === 'pct' ? PCT : RANDOM;
    for (let cpu = 0; cpu < CPUS; cpu++) words[PRIORITIES + cpu] = 0x400 + draw(words, 0x4000_0000);
    for (let point = 0; point < 2; point++) words[POINTS + point] = 1 + draw(words, PCT_STEPS);
    words[DOORBELL] = 0;
    handOver(words, choose(words));
    while (Atomics.load(words, DOORBELL) === 0) Atomics.wait(words, DOORBELL, 0);
    return words[SWITCHES] ?? 0;
  }

  /** Whether the last schedule enabled every CPU once. */
  isRight() {
    return this.words[COUNT + 1] === 1 && this.words[COUNT + 2] === 1;
  }

  async close() {
    await Promise.all(this.threads.map((thread) => thread.terminate()));
  }
}
