/** What fingerprints (fingerprint.ts) are mixed of: two halves, each by a mixing of its own. */
import { NR_CPUS } from '#base/limits';
import { ACTORS_PER_CPU, Flow, cpuOf, flowOf } from '#base/strategy';
import { OpFlag, opActor } from '#trace/operations';

/** No part of what happened: what is a choice point depends on the runs before. */
const HEAD = ~(OpFlag.VISIBLE << 11);

/** The history of a flow that has done nothing. */
export const FIRST_A = 0x51ed270b;
export const FIRST_B = 0x2f0b4c47;

export function mix(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, 0x85ebca6b);
  return h ^ (h >>> 15);
}

export function stir(hash: number, word: number): number {
  const h = Math.imul(hash ^ word, 0xc2b2ae35);
  return h ^ (h >>> 13);
}

/** What a record is by itself: nothing of what was before it, and nothing of what it read. */
export function shareA(head: number, address: number, size: number, written: number): number {
  return stir(mix(stir(mix(FIRST_A, head & HEAD), address), size), written);
}

export function shareB(head: number, address: number, size: number, written: number): number {
  return mix(stir(mix(stir(FIRST_B, head & HEAD), address), size), written);
}

/** What a flow's whole history adds to a run's. */
export function lastA(history: number, flow: number): number {
  return stir(mix(history, flow), 1);
}

export function lastB(history: number, flow: number): number {
  return mix(stir(history, flow), 2);
}

/** The two halves as one number of 53 bits. */
export function joined(a: number, b: number): number {
  return (a >>> 11) * 0x1_0000_0000 + (b >>> 0);
}

/** Whose history a record is part of: a CPU has two, of what it runs, and of its store buffer. */
export function flowOfHead(head: number): number {
  const actor = opActor(head);
  return cpuOf(actor % (NR_CPUS * ACTORS_PER_CPU)) * 2 + (flowOf(actor) === Flow.BUFFER ? 1 : 0);
}
