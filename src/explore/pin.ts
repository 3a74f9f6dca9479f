/**
 * One process, one core: handing the baton to a thread on another core costs ten times as much (architecture, wall 4).
 * Where the host has no `taskset`, the process stays where it is, and is slower.
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
  spawnSync('taskset', ['-a', '-c', '-p', String(chosen), String(process.pid)], { stdio: 'ignore' });
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
