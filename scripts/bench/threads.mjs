// @ts-check
/** The bare side of the comparisons: threads that import nothing of ours. */
import { MessageChannel, Worker } from 'node:worker_threads';

/** Starts `count` threads that say hello through memory and wait. Answers milliseconds until all have. @param {number} count */
export async function startBareThreads(count) {
  const words = new Int32Array(new SharedArrayBuffer(64));
  const code = `
    const { workerData: words } = require('node:worker_threads');
    Atomics.add(words, 0, 1);
    Atomics.notify(words, 0);
    Atomics.wait(words, 1, 0);`;
  const begin = performance.now();
  const threads = Array.from({ length: count }, () => new Worker(code, { eval: true, workerData: words }));
  for (;;) {
    const seen = Atomics.load(words, 0);
    if (seen >= count) break;
    const wait = Atomics.waitAsync(words, 0, seen, 5_000);
    if (wait.async) await wait.value;
  }
  const took = performance.now() - begin;
  Atomics.store(words, 1, 1);
  Atomics.notify(words, 1);
  await Promise.all(threads.map((thread) => thread.terminate()));
  return took;
}

/** Two threads hand a number to each other: spin `spins` looks, then sleep. */
const pingPong = `
  const { workerData: { words, me, spins, rounds } } = require('node:worker_threads');
  const mine = me * 64, other = (1 - me) * 64;
  function await_(value) {
    for (;;) {
      for (let spin = 0; spin < spins; spin++) if (Atomics.load(words, mine) === value) return;
      Atomics.store(words, mine + 16, 1);
      const seen = Atomics.load(words, mine);
      if (seen !== value) Atomics.wait(words, mine, seen, 1);
      Atomics.store(words, mine + 16, 0);
    }
  }
  function send(value) {
    Atomics.store(words, other, value);
    if (Atomics.load(words, other + 16) !== 0) Atomics.notify(words, other);
  }
  Atomics.add(words, 130, 1);
  while (Atomics.load(words, 130) < 2);
  const begin = performance.now();
  for (let round = 1; round <= rounds; round++) {
    if (me === 0) { send(round); await_(round); } else { await_(round); send(round); }
  }
  if (me === 0) require('node:worker_threads').parentPort.postMessage((performance.now() - begin) / rounds * 1e6);`;

/** Nanoseconds of a round trip between two threads. @param {number} spins @param {number} rounds @returns {Promise<number>} */
export function pingPongNanoseconds(spins, rounds) {
  return betweenTwo(pingPong, spins, rounds);
}

/** Runs a loop on two threads; the first tells its nanoseconds. @param {string} code @param {number} spins @param {number} rounds @returns {Promise<number>} */
function betweenTwo(code, spins, rounds) {
  const words = new Int32Array(new SharedArrayBuffer(1024));
  return new Promise((resolve, reject) => {
    const threads = [0, 1].map(
      (me) => new Worker(code, { eval: true, workerData: { words, me, spins, rounds } }),
    );
    threads[0]?.once('message', (nanoseconds) => {
      void Promise.all(threads.map((thread) => thread.terminate())).then(() => resolve(nanoseconds));
    });
    for (const thread of threads) thread.once('error', reject);
  });
}

/**
 * A cross call as 2.6.24 makes it, and nothing around it: the same words in as many cache lines, the same locked operations in
 * the same order, by two loops. What is left of smp_call_function_single when the kernel's own code costs nothing.
 */
const bareCall = `
  const { workerData: { words, me, spins, rounds } } = require('node:worker_threads');
  const LOCK = 0, SLOT = 2, DATA = 32, STARTED = DATA + 3, FINISHED = DATA + 4, PENDING = 64, HALTED = 65;
  const FENCE = 96 + me * 32, DONE = 160, READY = 192;
  function awaitOne(word) {
    for (;;) {
      for (let spin = 0; spin < spins; spin++) if (Atomics.load(words, word) === 1) return;
      Atomics.wait(words, word, 0, 1);
    }
  }
  function call(argument) {
    while (Atomics.exchange(words, LOCK, 1) !== 0);
    words[DATA] = 7;
    words[DATA + 1] = argument;
    words[DATA + 2] = 1;
    Atomics.store(words, STARTED, 0);
    Atomics.store(words, FINISHED, 0);
    words[SLOT] = DATA;
    Atomics.or(words, FENCE, 0);
    Atomics.or(words, PENDING, 2);
    if (Atomics.load(words, HALTED) !== 0) Atomics.notify(words, HALTED);
    awaitOne(STARTED);
    awaitOne(FINISHED);
    Atomics.store(words, LOCK, 0);
  }
  function serve() {
    let sum = 0;
    while (Atomics.load(words, DONE) === 0) {
      if (words[PENDING] === 0) continue;
      Atomics.and(words, PENDING, ~2);
      const data = words[SLOT];
      const wait = words[data + 2];
      sum += words[data] + words[data + 1];
      Atomics.or(words, FENCE, 0);
      Atomics.add(words, data + 3, 1);
      if (wait === 0) continue;
      Atomics.or(words, FENCE, 0);
      Atomics.add(words, data + 4, 1);
    }
    return sum;
  }
  Atomics.add(words, READY, 1);
  while (Atomics.load(words, READY) < 2);
  if (me === 0) {
    const begin = performance.now();
    for (let round = 1; round <= rounds; round++) call(round);
    const took = performance.now() - begin;
    Atomics.store(words, DONE, 1);
    require('node:worker_threads').parentPort.postMessage((took / rounds) * 1e6);
  } else serve();`;

/** Nanoseconds of a bare cross call between two threads. @param {number} spins @param {number} rounds @returns {Promise<number>} */
export function bareCallNanoseconds(spins, rounds) {
  return betweenTwo(bareCall, spins, rounds);
}

/** Nanoseconds of a message there and back. @param {number} rounds @returns {Promise<number>} */
export async function messageChannelNanoseconds(rounds) {
  const code = `
    const { workerData: { port } } = require('node:worker_threads');
    port.on('message', (value) => port.postMessage(value));`;
  const { port1, port2 } = new MessageChannel();
  const thread = new Worker(code, { eval: true, workerData: { port: port2 }, transferList: [port2] });
  /** @type {() => void} */
  let arrived = () => {};
  port1.on('message', () => arrived());
  const roundTrip = () =>
    new Promise((resolve) => {
      arrived = () => resolve(undefined);
      port1.postMessage(1);
    });
  for (let warm = 0; warm < 200; warm++) await roundTrip();
  const begin = performance.now();
  for (let round = 0; round < rounds; round++) await roundTrip();
  const took = ((performance.now() - begin) / rounds) * 1e6;
  port1.close();
  await thread.terminate();
  return took;
}

/** Nanoseconds of a plain typed-array loop: two loads and a store, as membench_fields does. @param {number} rounds */
export function typedArrayNanoseconds(rounds) {
  const words = new Uint32Array(new SharedArrayBuffer(4096));
  const run = (/** @type {number} */ count) => {
    for (let round = 0; round < count; round++) {
      for (let index = 0; index < 64; index++) {
        const at = index * 4;
        words[at + 1] = ((words[at + 1] ?? 0) + (words[at] ?? 0) + index) | 0;
      }
    }
  };
  run(20_000);
  const begin = performance.now();
  run(rounds);
  return ((performance.now() - begin) / (rounds * 64 * 3)) * 1e6;
}

/** Threads in a ring: each parks until the one before it has woken it, and wakes the next. */
const ring = `
  const { workerData: { words, me, threads, hops } } = require('node:worker_threads');
  const mine = me * 16, next = ((me + 1) % threads) * 16, done = threads * 16;
  Atomics.add(words, done + 16, 1);
  Atomics.notify(words, done + 16);
  for (let seen = 0; ;) {
    Atomics.wait(words, mine, seen);
    const now = Atomics.load(words, mine);
    if (now === seen) continue;
    seen = now;
    if (Atomics.load(words, done) !== 0) break;
    if (Atomics.add(words, done + 32, 1) + 1 >= hops) {
      Atomics.store(words, done, 1);
      Atomics.notify(words, done);
      break;
    }
    Atomics.add(words, next, 1);
    Atomics.notify(words, next);
  }`;

/** Nanoseconds of one thread parking and being woken, of `threads` in turn. @param {number} threads @param {number} hops */
export async function parkAndWakeNanoseconds(threads, hops) {
  const words = new Int32Array(new SharedArrayBuffer((threads + 3) * 64));
  const done = threads * 16;
  const workers = Array.from(
    { length: threads },
    (_, me) => new Worker(ring, { eval: true, workerData: { words, me, threads, hops } }),
  );
  for (;;) {
    const up = Atomics.load(words, done + 16);
    if (up >= threads) break;
    const wait = Atomics.waitAsync(words, done + 16, up, 5_000);
    if (wait.async) await wait.value;
  }
  const begin = performance.now();
  Atomics.add(words, 0, 1);
  Atomics.notify(words, 0);
  const wait = Atomics.waitAsync(words, done, 0, 60_000);
  if (wait.async) await wait.value;
  const took = ((performance.now() - begin) / hops) * 1e6;
  await Promise.all(workers.map((worker) => worker.terminate()));
  return took;
}
