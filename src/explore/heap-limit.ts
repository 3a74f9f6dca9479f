/**
 * A scenario may keep what it likes on the heap, run after run. V8 ends a process whose heap is full, without a word to
 * anybody; so it is asked beforehand how full it is.
 */
import v8 from 'node:v8';
import { SmplabError } from '#base/errors';
import { turns } from '#base/resumable';
import { collect } from '#machine/collect';

const FULL = 0.7;

function share(): number {
  const { used_heap_size: used, heap_size_limit: limit } = v8.getHeapStatistics();
  return used / limit;
}

/** @throws SmplabError SMPLAB_HOST_FAILED if the heap is nearly full of what is in use */
export function refuseFullHeap(): void {
  if (share() < FULL) return;
  collect();
  if (share() < FULL) return;
  const { heap_size_limit: limit } = v8.getHeapStatistics();
  throw new SmplabError(
    'SMPLAB_HOST_FAILED',
    `the heap of this process, ${Math.round(limit / 0x10_0000)} MiB, is nearly full: the scenario may keep more with each run, outside shared()`,
  );
}

/** Loops of a scenario are watched as well, from here on: one run can fill a heap. */
export function watchLoops(): void {
  turns.watch = refuseFullHeap;
}
