/** Who makes the system calls of a shell or of one of its jobs, and what is mounted for all of them. */
import { Interrupted, NoReturn, SystemCallError, type UserProcess } from '#machine/user-space';
import type { CallOutcome } from '#machine/machine';

/** In place of an errno: an oops killed the process that made the call. */
export const KILLED = 0x1000;
/** In place of an errno: nobody waits for the call any more. */
export const GIVEN_UP = 4;

/** Where file systems of the kernel are: clean paths, as the kernel's own table has them. */
export class MountTable {
  readonly #points: string[] = [];

  add(point: string): void {
    this.#points.push(point);
  }

  remove(point: string): void {
    const at = this.#points.lastIndexOf(point);
    if (at >= 0) this.#points.splice(at, 1);
  }

  /** The mount that a path is in; undefined for user space's root. */
  covering(path: string): string | undefined {
    let found: string | undefined;
    for (const point of this.#points) {
      const covers = path === point || path.startsWith(point === '/' ? '/' : `${point}/`);
      if (covers && point.length >= (found?.length ?? 0)) found = point;
    }
    return found;
  }
}

/** How the machine under a shell has come to its end. */
export type End = Exclude<CallOutcome, { kind: 'returned' | 'killed' }>;

export class Caller {
  process: UserProcess;
  readonly mounts: MountTable;
  readonly #onEnd: (end: End) => void;

  constructor(process: UserProcess, mounts: MountTable, onEnd: (end: End) => void) {
    this.process = process;
    this.mounts = mounts;
    this.#onEnd = onEnd;
  }

  /**
   * The errno of a failed call, or what stands in its place. Where the machine has come to its end, the shell is told.
   * @throws the error if it is none of a system call
   */
  errnoOrEnd(error: unknown): number {
    if (error instanceof SystemCallError) return error.errno;
    if (error instanceof Interrupted) return GIVEN_UP;
    if (error instanceof NoReturn) {
      const { outcome } = error;
      if (outcome.kind === 'killed') return KILLED;
      if (outcome.kind !== 'returned') this.#onEnd(outcome);
      return GIVEN_UP;
    }
    if (error instanceof Error && 'errno' in error && typeof error.errno === 'number') return error.errno;
    throw error;
  }
}
