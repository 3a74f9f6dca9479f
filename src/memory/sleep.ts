/** How a CPU sleeps on a word of the machine until somebody has changed it and said so. */

import { giveUp, plainCalls } from '#base/plain-calls';

/**
 * Sleeps while word `index` is `value`: as Atomics.wait, it may come back early. A thread blocks here; where CPUs share a
 * thread, the room fibers gives this a twin that suspends the CPU.
 */
export function sleep(i32: Int32Array, index: number, value: number): void {
  if (plainCalls.running) giveUp();
  Atomics.wait(i32, index, value);
}

/**
 * Blocks this thread for a while: word `index` is 0, and nobody changes it.
 * @plain
 */
export function sleepFor(i32: Int32Array, index: number, milliseconds: number): void {
  Atomics.wait(i32, index, 0, milliseconds);
}
