/**
 * One process, one core: handing the baton to a thread on another core costs ten times as much (architecture, wall 4).
 * Where the host has no `taskset`, the process stays where it is, and is slower.
 *
 * And it is scheduled as a batch process. Who hands the baton over wakes the next thread while it still holds the lock
 * that V8 keeps for Atomics.notify. Linux lets a woken thread preempt whoever woke it; that thread then runs into the
 * lock, and the hand-over costs two context switches more. Batch threads do not preempt: 4 microseconds instead of 6.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

let pinned = false;

/** Pins this process, with the threads it has and will start. Once: later calls do nothing. */
export function pinToOneCore(core: number = process.pid % availableParallelism()): void {
  if (pinned || process.platform !== 'linux') return;
  pinned = true;
  const cores = allowedCores();
  const chosen = cores[core % Math.max(cores.length, 1)];
  if (chosen === undefined) return;
  const pid = String(process.pid);
  spawnSync('taskset', ['-a', '-c', '-p', String(chosen), pid], { stdio: 'ignore' });
  // Threads to come inherit it, as they do the core.
  spawnSync('chrt', ['--all-tasks', '--batch', '--pid', '0', pid], { stdio: 'ignore' });
}

/** Cores this process may use: a container may have been given some of them. */
function allowedCores(): number[] {
  const { stdout } = spawnSync('taskset', ['-c', '-p', String(process.pid)], { encoding: 'utf8' });
  const list = (stdout as string | null)?.split(':').pop()?.trim() ?? '';
  return list.split(',').flatMap((part) => {
    const [first, last = first] = part.split('-').map(Number);
    if (first === undefined || !Number.isInteger(first)) return [];
    return Array.from({ length: last! - first + 1 }, (_, index) => first + index);
  });
}
