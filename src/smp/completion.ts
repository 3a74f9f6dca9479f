/** Completions. @linux include/linux/completion.h, as of 2.6.24 */
import { atomic_add_unless, atomic_inc, atomic_read, atomic_set, atomic_t } from '#memory/atomic';
import { type StructView, struct } from '#memory/struct';
import { wait_event } from './sched.ts';

/** `done` counts the completions nobody has waited for. */
export const completion = struct('completion', { done: atomic_t });
export type completion = StructView<typeof completion>;

const COMPLETE_ALL = 0x3fffffff;

export function init_completion(x: completion): void {
  atomic_set(x.done, 0);
}

export function complete(x: completion): void {
  atomic_inc(x.done);
}

export function complete_all(x: completion): void {
  atomic_set(x.done, COMPLETE_ALL);
}

export function wait_for_completion(x: completion): void {
  wait_event(x.done.addr, () => atomic_read(x.done) !== 0);
  atomic_add_unless(x.done, -1, 0);
}
